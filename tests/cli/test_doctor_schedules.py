"""What `porchflow doctor` says of schedules and runs, on a real Temporal."""

import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.contrib.pydantic import pydantic_data_converter

from porchflow.cli.doctor.findings import Finding, Level
from porchflow.cli.doctor.schedules import check_schedules
from porchflow.cli.settings import Settings, load_settings
from porchflow.kube.client import KubeClient
from porchflow.kube.kinds import REPOSITORIES
from porchflow.watcher.syncs import plan_of
from porchflow.watcher.temporal.schedules import RepositorySchedules
from porchflow.watcher.temporal.search_attributes import SearchAttributes
from porchflow.watcher.temporal.stuck_runs import FAILED_ATTEMPTS
from porchflow.watcher.temporal.temporal_errors import TemporalUnavailable
from porchflow.workflows.ids import RECONCILE_QUEUE, Installation
from tests.servers.control_plane import ControlPlane
from tests.servers.temporal import TemporalServer
from tests.servers.waiting import eventually
from tests.watcher.objects import repository
from tests.watcher.tasks import take_and_fail

NAMES = ("a", "b", "c", "d", "e", "f")
USUAL = timedelta(minutes=5)


@pytest.fixture
async def client(temporal_server: TemporalServer) -> Client:
    return await Client.connect(temporal_server.address, data_converter=pydantic_data_converter)


@pytest.fixture
def settings(control_plane: ControlPlane, temporal_server: TemporalServer, namespace: str) -> Settings:
    flags = {"kubeconfig": control_plane.kubeconfig, "temporal_address": temporal_server.address}
    return load_settings({**flags, "namespaces": (namespace,)})


@pytest.fixture
def ours() -> Installation:
    return Installation(f"doctor-{uuid.uuid4().hex[:8]}")


@pytest.fixture
async def schedules(
    client: Client, ours: Installation, kube: KubeClient, namespace: str
) -> AsyncIterator[RepositorySchedules]:
    """The schedules of six Repositories, all as they should be."""
    await SearchAttributes(client, ours.attributes).ensure()
    made = RepositorySchedules(client, ours)
    for name in NAMES:
        plan = plan_of(await kube.create(REPOSITORIES, repository(namespace, name)))

        async def is_made(plan: Any = plan) -> bool:
            try:
                await made.ensure(plan)
            except TemporalUnavailable:
                # Search attributes that were registered a moment ago are not known in all of Temporal at once.
                return False
            return True

        await eventually(is_made, what="the schedule")
    await made.ensure_listing(USUAL)
    yield made
    async for found in made.listed():
        if not found.first_version:
            await made.remove(found.key)
    await client.get_schedule_handle(ours.listing_id).delete()


async def told(settings: Settings, ours: Installation, in_detail: int) -> dict[str, Finding]:
    """Return what is said, by its place."""
    return {each.where: each for each in await check_schedules(settings, ours, 10, in_detail=in_detail)}


@pytest.mark.parametrize("in_detail", [0, 2, 200])
@pytest.mark.usefixtures("schedules")
async def test_all_is_well(settings: Settings, ours: Installation, namespace: str, in_detail: int) -> None:
    async def well() -> bool:
        found = await told(settings, ours, in_detail)
        said = f"each of 6 Repositories has its own; looked at in detail: {min(in_detail, 6)}"
        return found[namespace].level == Level.OK and found[namespace].message == said

    await eventually(well, what="Temporal lists all schedules")


@pytest.mark.parametrize("in_detail", [0, 200])
async def test_what_the_list_shows_is_found_among_any_number_of_schedules(
    settings: Settings,
    ours: Installation,
    client: Client,
    schedules: RepositorySchedules,
    namespace: str,
    in_detail: int,
) -> None:
    def handle(name: str) -> Any:
        return client.get_schedule_handle(ours.sync_id(namespace, name))

    def slower(found: ScheduleUpdateInput) -> ScheduleUpdate:
        found.description.schedule.spec.intervals = [ScheduleIntervalSpec(timedelta(days=9))]
        return ScheduleUpdate(found.description.schedule)

    await handle("a").delete()
    await handle("b").pause(note="by hand")
    await handle("c").update(slower)
    await schedules.remove((namespace, "d"))
    foreign = Schedule(
        action=ScheduleActionStartWorkflow("Other", id="other", task_queue="other"),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(timedelta(days=1))]),
    )
    theirs = await client.create_schedule(handle("d").id, foreign)

    async def found() -> dict[str, Finding]:
        said = await told(settings, ours, in_detail)
        assert {where for where in said if where.startswith(namespace)} == {f"{namespace}/{name}" for name in "abcd"}
        return said

    said = await eventually(found, what="all are named")
    assert said[f"{namespace}/a"].message == "there is no schedule"
    assert said[f"{namespace}/b"].message == "it was paused in Temporal (by hand)"
    assert said[f"{namespace}/c"].message == "it has other times"
    assert "is not of this installation" in said[f"{namespace}/d"].message
    assert said[f"{namespace}/d"].level == Level.FAILURE
    await theirs.delete()


@pytest.mark.usefixtures("schedules")
async def test_what_only_a_description_shows_is_found_within_the_limit(
    settings: Settings, ours: Installation, client: Client, namespace: str
) -> None:
    def overlapping(found: ScheduleUpdateInput) -> ScheduleUpdate:
        found.description.schedule.policy.overlap = ScheduleOverlapPolicy.ALLOW_ALL
        return ScheduleUpdate(found.description.schedule)

    await client.get_schedule_handle(ours.sync_id(namespace, "f")).update(overlapping)

    async def found() -> bool:
        said = await told(settings, ours, 200)
        return {where for where in said if where.startswith(namespace)} == {f"{namespace}/f"}

    await eventually(found, what="it is named, and no other")


@pytest.mark.usefixtures("schedules")
async def test_runs_that_are_stuck_are_named(settings: Settings, ours: Installation, client: Client) -> None:
    runs = [
        await client.start_workflow("Any", id=f"{ours.id}/{number}", task_queue=ours.queue(RECONCILE_QUEUE))
        for number in range(3)
    ]

    async def open_runs(number: int) -> bool:
        return f"of {number} open runs" in (await told(settings, ours, 0))[client.namespace].message

    await eventually(lambda: open_runs(3), what="Temporal lists them")
    for run in runs[1:]:
        await run.terminate()
    await take_and_fail(client, ours.queue(RECONCILE_QUEUE))
    said = (await told(settings, ours, 0))[client.namespace]
    assert (said.level, runs[0].id in said.message) == (Level.WARNING, True), said
    for _ in range(2, FAILED_ATTEMPTS):
        await take_and_fail(client, ours.queue(RECONCILE_QUEUE))
    said = (await told(settings, ours, 0))[client.namespace]
    assert (said.level, runs[0].id in said.message) == (Level.FAILURE, True), said
    await runs[0].terminate()
    await eventually(lambda: open_runs(0), what="none is open")


async def test_a_listing_of_refs_that_is_paused_is_told(
    settings: Settings, ours: Installation, client: Client, schedules: RepositorySchedules
) -> None:
    await client.get_schedule_handle(ours.listing_id).pause(note="by hand")
    assert await schedules.listing_differences(USUAL) == ["it was paused in Temporal (by hand)"]
    assert (await told(settings, ours, 0))["listing of refs"].message == "it was paused in Temporal (by hand)"
