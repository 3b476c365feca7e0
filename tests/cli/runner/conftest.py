"""A namespace whose pods run, for the tests of the pod evaluator."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from porchflow.kube.client import KubeClient
from tests.cli.runner.pods import IMAGE, Cluster, Images, Slow
from tests.servers.kubelet import Kubelet
from tests.servers.registry import Registry, running_registry


@pytest.fixture
async def cluster(kube: KubeClient, namespace: str, wrapper_binary: Path, tmp_path: Path) -> AsyncIterator[Cluster]:
    async with Kubelet(kube, namespace, wrapper_binary).running() as kubelet:
        images = Images(tmp_path)
        images.add(IMAGE, "sed s/x/y/")
        yield Cluster(kube, namespace, kubelet, images)


@pytest.fixture
def slow(cluster: Cluster, tmp_path: Path) -> Slow:
    return Slow(cluster.images, tmp_path)


@pytest.fixture
async def registry(registry_binary: Path, tmp_path: Path) -> AsyncIterator[Registry]:
    async with running_registry(registry_binary, tmp_path / "registry") as registry:
        yield registry
