"""The upstream that is cloned: ten resources and one function, in two revisions."""

import tempfile
from pathlib import Path

from cli.demo.repository import push_files

PACKAGE = "catalog"
RESOURCES = 10

_KPTFILE = """\
apiVersion: kpt.dev/v1
kind: Kptfile
metadata:
  name: catalog
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
        (folder / "Kptfile").write_text(_KPTFILE)
        for number in range(RESOURCES):
            text = _DEPLOYMENT.format(number=number, replicas=number + version, version=version)
            (folder / f"deployment-{number}.yaml").write_text(text)
        return push_files(url, branch, PACKAGE, folder)
