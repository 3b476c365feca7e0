"""The whole watcher, with what it depends on coming and going."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RetryConfig, RPCError

from porchflow.kube.client import KubeClient
from porchflow.kube.following import key_of
from porchflow.kube.kinds import PACKAGEREVISIONS
from porchflow.watcher.app import WatcherHealth, run_watcher
from porchflow.watcher.temporal.schedules import RepositorySchedules
from porchflow.watcher.temporal.starter import WorkflowStarter
from porchflow.watcher.temporal.temporal_errors import TemporalUnavailable
from porchflow.watcher.watcher_settings import WatcherSettings
from porchflow.workflows.ids import Installation
from tests.kube.helpers import QUICK, kubeconfig_for
from tests.kube.proxy import tcp_proxy
from tests.kube.scripted import listing, not_served, scripted_server, watching
from tests.servers.waiting import eventually
from tests.watcher.objects import converge, package_revision
from tests.watcher.signallers import RecordingSchedules, RecordingSignaller


async def _runs(temporal: Client, namespace: str, name: str) -> bool:
    try:
        await temporal.get_workflow_handle(Installation().workflow_id(namespace, name)).describe()
    except RPCError:
        return False
    return True


async def test_temporal_away_for_a_while_loses_nothing(
    kube: KubeClient, namespace: str, temporal_server: Any, temporal: Client
) -> None:
    host, port = temporal_server.address.split(":")
    async with tcp_proxy(host, int(port)) as proxy:
        client = await Client.connect(
            f"127.0.0.1:{proxy.port}",
            data_converter=pydantic_data_converter,
            retry_config=RetryConfig(max_retries=1),
        )
        health = WatcherHealth()
        running = asyncio.create_task(
            run_watcher(
                kube,
                WorkflowStarter(client),
                RepositorySchedules(client),
                WatcherSettings(),
                namespaces=[namespace],
                health=health,
                timings=QUICK,
            )
        )
        await eventually(lambda: health.readiness()[0], what="the watcher is ready")
        await proxy.stop()
        made = [
            await kube.create(PACKAGEREVISIONS, package_revision(namespace, "repo", f"p{number}"))
            for number in range(10)
        ]
        await eventually(lambda: health.readiness()[1]["signals"]["error"], what="that Temporal is away is noticed")
        assert health.readiness()[0] is False
        await converge(kube, made[0])
        await eventually(lambda: health.readiness()[1]["signals"]["unconverged"] == 9, what="it is noticed")
        await proxy.start()
        for obj in made[1:]:
            await eventually(lambda o=obj: _runs(temporal, *key_of(o)), what="a workflow")
        await eventually(lambda: health.readiness()[0], what="the watcher is ready again")
        assert not await _runs(temporal, *key_of(made[0])), "what converged meanwhile needs no run"
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_waits_for_temporal_and_the_crds_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class LateTemporal(RecordingSignaller):
        attempts = 0

        async def prepare(self) -> None:
            self.attempts += 1
            if not here.is_set():
                raise TemporalUnavailable("nobody listens at 127.0.0.1:7233")

    here = asyncio.Event()
    caplog.set_level(logging.INFO)
    health, temporal = WatcherHealth(), LateTemporal()
    async with scripted_server() as server:
        server.lists, server.watches = [not_served], [watching(stay=True)]
        async with await KubeClient.connect(kubeconfig_for(server.url, tmp_path)) as kube:
            running = asyncio.create_task(
                run_watcher(kube, temporal, RecordingSchedules(), WatcherSettings(), health=health, timings=QUICK)
            )
            await eventually(lambda: temporal.attempts >= 2, what="attempts to reach Temporal")
            assert health.readiness() == (False, {"waitingFor": "Temporal: nobody listens at 127.0.0.1:7233"})
            here.set()
            await eventually(
                lambda: "cannot watch PackageRevisions in all namespaces" in caplog.text, what="a log line"
            )
            ready, numbers = health.readiness()
            assert not ready
            assert "install the CustomResourceDefinitions" in numbers["watches"][0]["error"]
            server.lists = [listing(1)]
            await eventually(lambda: health.readiness()[0], what="the watcher is ready")
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
    assert caplog.text.count("waiting for Temporal") == 1
    assert caplog.text.count("cannot watch PackageRevisions") == 1
    assert "watching PackageRevisions in all namespaces again" in caplog.text


async def test_a_broken_part_ends_the_watcher_instead_of_standing_still(tmp_path: Path) -> None:
    async with scripted_server() as server:
        server.lists = [listing(1, {"metadata": {}})]
        server.watches = [watching(stay=True)]
        async with await KubeClient.connect(kubeconfig_for(server.url, tmp_path)) as kube:
            with pytest.raises(ExceptionGroup):
                await asyncio.wait_for(
                    run_watcher(kube, RecordingSignaller(), RecordingSchedules(), WatcherSettings(), timings=QUICK), 30
                )
