"""Readiness follows the servers that a process needs: away, back, and away again."""

import asyncio
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.service import RetryConfig

from porchflow.cli.processes.health import ProcessHealth
from porchflow.cli.processes.peers import Peers, kubernetes_probe, temporal_probe
from porchflow.kube.client import KubeClient
from tests.kube.helpers import kubeconfig_for
from tests.kube.scripted import listing, not_served, scripted_server
from tests.servers.temporal import TemporalServer
from tests.servers.waiting import eventually


async def test_while_temporal_is_away_or_hangs(restartable_temporal: TemporalServer) -> None:
    health, peers = ProcessHealth(), Peers(seconds=1)
    readiness = peers.readiness(health.readiness)
    assert readiness() == (False, {"waitingFor": "the start"})
    health.serves(queues=["render"])
    client = await Client.connect(restartable_temporal.address, retry_config=RetryConfig(max_retries=1))
    async with peers.probing(Temporal=temporal_probe(client)):
        await eventually(lambda: readiness() == (True, {"queues": ["render"]}), what="it is ready")
        for _ in range(2):
            await restartable_temporal.stop()
            await eventually(lambda: not readiness()[0], what="it is not ready")
            assert str(readiness()[1]["waitingFor"]).startswith("Temporal: ")
            await restartable_temporal.start()
            await eventually(lambda: readiness()[0], what="it is ready again")


async def test_while_the_api_server_serves_no_package_revisions(tmp_path: Path) -> None:
    health, peers = ProcessHealth(), Peers(seconds=0.1)
    health.serves()
    readiness = peers.readiness(health.readiness)
    async with scripted_server() as server:
        server.lists = [not_served]
        async with (
            await KubeClient.connect(kubeconfig_for(server.url, tmp_path)) as kube,
            peers.probing(Kubernetes=kubernetes_probe(kube, ["team"])),
        ):
            await eventually(lambda: not readiness()[0], what="it is not ready")
            assert "Kubernetes: " in readiness()[1]["waitingFor"]
            server.lists = [listing(1)]
            await eventually(lambda: readiness()[0], what="it is ready again")


async def test_a_server_that_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    peers, silent = Peers(seconds=0.05), asyncio.Event()
    readiness = peers.readiness(lambda: (True, {}))
    async with peers.probing(Temporal=silent.wait):
        await eventually(lambda: not readiness()[0], what="it is not ready")
        assert readiness()[1] == {"waitingFor": "Temporal: no answer within 0.05 s"}
        silent.set()
        await eventually(lambda: readiness()[0], what="it is ready again")
    assert caplog.text.count("Temporal does not answer") == 1
