"""The packages that are cloned, upgraded, pushed and rendered: resources and functions."""

import shutil

from porchflow.devstack.demo.demo_repository import cloned, git

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

_MORE_FUNCTIONS = """\
    - image: set-labels:v0.2.0
      configMap:
        team: bench
    - image: set-annotations:v0.1.4
      configMap:
        owner: bench
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
    with cloned(url) as clone:
        git("switch", "--quiet", branch, cwd=clone)
        target = clone / PACKAGE
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        for file, text in package_files(PACKAGE, version).items():
            (target / file).write_text(text)
        git("add", "--all", cwd=clone)
        git("commit", "--quiet", "--message", f"Fill the package {PACKAGE}", cwd=clone)
        git("push", "--quiet", "origin", branch, cwd=clone)
        return git("rev-parse", "HEAD", cwd=clone)


def package_files(name: str, version: int = 1) -> dict[str, str]:
    """Return the files of a package.

    Args:
        name: Of the package.
        version: Revisions differ in every resource.
    """
    return {"Kptfile": _KPTFILE.format(name=name), **_deployments(RESOURCES, version)}


def large_files(name: str, resources: int) -> dict[str, str]:
    """Return the files of a package with three functions, each of which changes every resource.

    Args:
        name: Of the package.
        resources: How many there are, each in a file of its own.
    """
    return {"Kptfile": _KPTFILE.format(name=name) + _MORE_FUNCTIONS, **_deployments(resources, 1)}


def _deployments(resources: int, version: int) -> dict[str, str]:
    return {
        f"deployment-{number}.yaml": deployment(number, str(version), number + version) for number in range(resources)
    }


def deployment(number: int, version: str, replicas: int = 1) -> str:
    """Return the text of one resource."""
    return _DEPLOYMENT.format(number=number, replicas=replicas, version=version)
