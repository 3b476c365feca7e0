"""Functions in pods: the evaluator on the real API server, the pods' wrapper servers real processes."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kube.client import KubeClient
from tests.cli.runner.pods import IMAGE, LIST, Cluster, Images
from tests.servers.kubelet import Kubelet


@pytest.fixture
async def cluster(kube: KubeClient, namespace: str, tmp_path: Path) -> AsyncIterator[Cluster]:
    async with Kubelet(kube, namespace).running() as kubelet:
        images = Images(tmp_path)
        images.add(IMAGE, "sed s/x/y/")
        yield Cluster(kube, namespace, kubelet, images)


async def test_a_pod_is_started_and_used_again(cluster: Cluster) -> None:
    async with cluster.evaluator() as evaluate:
        assert await evaluate() == LIST.replace(b"x", b"y")
        assert await evaluate() == LIST.replace(b"x", b"y")
    [name] = await cluster.names()
    assert name.startswith("tool-v10-1-")
