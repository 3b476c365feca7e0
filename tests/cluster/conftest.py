"""A real cluster for the tests that need one: of their own, or the one of PORCHFLOW_CLUSTER_DIR.

Only `make test-cluster` runs them: the mark `cluster` is left out otherwise.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from porchflow.devstack.cluster.layout import ClusterFolder
from tests.cluster.nodes import Cluster, Packages

_START_SECONDS = 5400
_RUNNING = os.environ.get("PORCHFLOW_CLUSTER_DIR")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)
            item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster, with porchflow installed and ready."""
    if _RUNNING:
        yield Cluster(ClusterFolder(Path(_RUNNING).absolute()))
        return
    folder = tmp_path_factory.mktemp("cluster")
    commands = [sys.executable, "-m", "porchflow.devstack.cluster", "--state-dir", str(folder / "state")]
    try:
        subprocess.run([*commands, "up"], check=True, timeout=_START_SECONDS)
        yield Cluster(ClusterFolder(folder / "state"))
    finally:
        subprocess.run([*commands, "down"], check=True, timeout=_START_SECONDS)


@pytest.fixture
def packages(cluster: Cluster) -> Packages:
    """A namespace with a repository of its own."""
    return cluster.registered()
