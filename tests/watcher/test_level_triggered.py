"""What happens to schedules behind the watcher's back is put right by its next list, whatever it did before."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.client import Client, ScheduleIntervalSpec, ScheduleUpdate, ScheduleUpdateInput
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RetryConfig

from porchflow.kube.client import KubeClient
from porchflow.kube.kinds import PACKAGEREVISIONS, REPOSITORIES
from porchflow.watcher.app import WatcherHealth, run_watcher
from porchflow.watcher.syncs import plan_of
from porchflow.watcher.temporal.schedules import RepositorySchedules
from porchflow.watcher.temporal.search_attributes import registered_attributes
from porchflow.watcher.temporal.starter import WorkflowStarter
from porchflow.watcher.temporal.temporal_errors import TemporalUnavailable
from porchflow.watcher.watcher_settings import WatcherSettings
from porchflow.workflows.ids import Installation
from tests.kube.helpers import QUICK
from tests.servers.temporal import TemporalServer, running_temporal
from tests.servers.waiting import eventually
from tests.watcher.objects import package_revision, repository

OURS = Installation("blue")
FIRST_VERSION = Installation()
USUAL = timedelta(minutes=5)


@asynccontextmanager
async def watching(kube: KubeClient, namespace: str, address: str) -> AsyncIterator[Client]:
    """Run a watcher that lists everything again at short intervals."""
    client = await Client.connect(
        address, data_converter=pydantic_data_converter, retry_config=RetryConfig(max_retries=1)
    )
    running = asyncio.create_task(
        run_watcher(
            kube,
            WorkflowStarter(client, OURS),
            RepositorySchedules(client, OURS),
            WatcherSettings(relist_seconds=0.5),
            namespaces=[namespace],
            health=WatcherHealth(),
            timings=QUICK,
        )
    )
    try:
        yield client
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def is_right(client: Client, kube: KubeClient, namespace: str) -> bool:
    """Return whether the schedules of the Repository and of the listing are there, and as they should be."""
    wanted = plan_of(await kube.get(REPOSITORIES, namespace, "mine"))
    try:
        schedules = RepositorySchedules(client, OURS)
        return not (await schedules.differences(wanted) or await schedules.listing_differences(USUAL))
    except TemporalUnavailable:
        return False


@pytest.fixture
async def registered(kube: KubeClient, namespace: str) -> str:
    await kube.create(REPOSITORIES, repository(namespace, "mine"))
    return namespace


async def test_a_schedule_that_was_deleted(kube: KubeClient, registered: str, temporal_server: TemporalServer) -> None:
    async with watching(kube, registered, temporal_server.address) as client:
        for schedule in (OURS.sync_id(registered, "mine"), OURS.listing_id) * 2:
            await eventually(lambda: is_right(client, kube, registered), what="the schedules")
            await client.get_schedule_handle(schedule).delete()
        await eventually(lambda: is_right(client, kube, registered), what="the schedules, again")


async def test_a_schedule_that_was_paused_or_changed(
    kube: KubeClient, registered: str, temporal_server: TemporalServer
) -> None:
    def slower(found: ScheduleUpdateInput) -> ScheduleUpdate:
        found.description.schedule.spec.intervals = [ScheduleIntervalSpec(timedelta(days=9))]
        return ScheduleUpdate(found.description.schedule)

    async with watching(kube, registered, temporal_server.address) as client:
        for schedule in (OURS.sync_id(registered, "mine"), OURS.listing_id):
            handle = client.get_schedule_handle(schedule)
            await eventually(lambda: is_right(client, kube, registered), what="the schedules")
            await handle.pause(note="by hand")
            await eventually(lambda: is_right(client, kube, registered), what="it runs again")
            await handle.update(slower)
            await eventually(lambda: is_right(client, kube, registered), what="it has its times again")


async def test_a_rollback_to_the_first_version_leaves_no_second_schedule(
    kube: KubeClient, registered: str, temporal_server: TemporalServer
) -> None:
    """The first version makes its schedules again, beside those of this one; the next lists remove them."""
    wanted = plan_of(await kube.get(REPOSITORIES, registered, "mine"))
    elsewhere = replace(wanted, key=(f"{registered}-elsewhere", "mine"))
    async with watching(kube, registered, temporal_server.address) as client:
        await eventually(lambda: is_right(client, kube, registered), what="the schedule")
        first_version = RepositorySchedules(client, FIRST_VERSION)
        await first_version.ensure(elsewhere)
        for _ in range(2):
            await first_version.ensure(wanted)

            async def removed() -> bool:
                return await first_version.differences(wanted) == ["there is no schedule"]

            await eventually(removed, what="the schedule of the first version is removed")
        assert await is_right(client, kube, registered)
        assert await first_version.differences(elsewhere) == [], "its Repository may be of another cluster"
        await first_version.remove(elsewhere.key)


@pytest.fixture
async def bare_temporal(server_binaries: dict[str, Path], tmp_path: Path) -> AsyncIterator[TemporalServer]:
    """A Temporal that registers no search attributes by itself."""
    async with running_temporal(server_binaries, tmp_path, searchable=False) as server:
        yield server


async def test_a_temporal_that_lost_its_data(kube: KubeClient, registered: str, bare_temporal: TemporalServer) -> None:
    """Schedules, search attributes and runs are there again, and the same watcher lives."""
    await kube.create(PACKAGEREVISIONS, package_revision(registered, "mine", "app"))
    async with watching(kube, registered, bare_temporal.address) as client:
        handle = client.get_workflow_handle(OURS.workflow_id(registered, "mine.app.v1"))

        async def runs() -> bool:
            return any([run async for run in client.list_workflows(f"WorkflowId = '{handle.id}'")])

        await eventually(lambda: is_right(client, kube, registered), what="the schedule", timeout=120)
        await eventually(runs, what="the run", timeout=120)
        await bare_temporal.lose_data()
        await eventually(lambda: is_right(client, kube, registered), what="the schedule, again", timeout=120)
        await eventually(runs, what="the run, again", timeout=120)
        known = await registered_attributes(client)
        assert {key.name for key in OURS.attributes.all} <= known.keys()
