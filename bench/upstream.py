"""The package that is cloned, upgraded and pushed: ten resources and one function."""

import tempfile
from pathlib import Path

from cli.demo.repository import push_files

PACKAGE = "catalog"
RESOURCES = 10

_KPTFILE = """\
apiVersion: kpt.dev/v1
kind: Kptfile
metadata:
  name: {name}
  annotations:
    config.kubernetes.io/local-config: "true"
info:
  description: what the benchmark clones
pipeline:
  mutators:
    - image: set-namespace:v0.4.5
      configMap:
        namespace: bench
"""

_DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: app-{number}
  namespace: example
spec:
  replicas: {replicas}
  selector:
    matchLabels:
      app: app-{number}
  template:
    metadata:
      labels:
        app: app-{number}
    spec:
      containers:
        - name: app
          image: example/app:{version}
"""


def push_revision(url: str, branch: str, version: int) -> str:
    """Push a revision's content to a draft branch.

    Returns:
        The new commit.
    """
    with tempfile.TemporaryDirectory(prefix="porchflow-bench-") as name:
        folder = Path(name)
        for file, text in package_files(PACKAGE, version).items():
            (folder / file).write_text(text)
        return push_files(url, branch, PACKAGE, folder)


def package_files(name: str, version: int = 1) -> dict[str, str]:
    """Return the files of a package.

    Args:
        name: Of the package.
        version: Revisions differ in every resource.
    """
    resources = range(RESOURCES)
    return {
        "Kptfile": _KPTFILE.format(name=name),
        **{f"deployment-{number}.yaml": deployment(number, str(version), number + version) for number in resources},
    }


def deployment(number: int, version: str, replicas: int = 1) -> str:
    """Return the text of one resource."""
    return _DEPLOYMENT.format(number=number, replicas=replicas, version=version)
