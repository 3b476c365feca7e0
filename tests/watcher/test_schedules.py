"""Schedules on a real Temporal."""

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.workflowservice.v1 import ListScheduleMatchingTimesRequest
from temporalio.client import Client, ScheduleDescription, ScheduleOverlapPolicy
from temporalio.service import RPCError

from porchflow.api.crontab import parse_crontab
from porchflow.kube.following import Key
from porchflow.watcher.schedules import RepositorySchedules
from porchflow.watcher.starter import TemporalUnavailable, WorkflowStarter
from porchflow.watcher.syncs import SyncPlan
from porchflow.workflows.ids import sync_id
from tests.servers.waiting import eventually


@pytest.fixture
async def key(temporal: Client) -> AsyncIterator[Key]:
    made = (f"ns-{uuid.uuid4().hex[:8]}", "mine")
    await WorkflowStarter(temporal).prepare()
    yield made
    await RepositorySchedules(temporal).remove(made)


def plan(key: Key, times: str = "@every 1h", once: datetime | None = None, paused: str = "") -> SyncPlan:
    return SyncPlan(key, parse_crontab(times), once, paused)


async def described(temporal: Client, key: Key) -> ScheduleDescription:
    return await temporal.get_schedule_handle(sync_id(*key)).describe()


async def test_a_schedule_is_made_changed_and_removed(temporal: Client, key: Key) -> None:
    schedules = RepositorySchedules(temporal)

    async def makes() -> bool:
        try:
            await schedules.ensure(plan(key))
        except TemporalUnavailable:
            # A search attribute that was registered a moment ago is not known in all of Temporal at once.
            return False
        return True

    await eventually(makes, what="Temporal knows the search attributes")
    found = await described(temporal, key)
    assert [each.every for each in found.schedule.spec.intervals] == [timedelta(hours=1)]
    assert found.schedule.spec.jitter == timedelta(seconds=30)
    assert found.schedule.policy.overlap == ScheduleOverlapPolicy.BUFFER_ONE

    at = datetime(2099, 2, 3, 4, 5, 6, tzinfo=UTC)
    await schedules.ensure(plan(key, "0 3 * * *", once=at, paused="suspended: audit"))
    found = await described(temporal, key)
    assert not found.schedule.spec.intervals
    assert (found.schedule.state.paused, found.schedule.state.note) == (True, "suspended: audit")
    await schedules.ensure(plan(key, "@every 24h", once=at))
    found = await described(temporal, key)
    assert not found.schedule.state.paused
    await schedules.ensure(plan(key, "0 0 1 1 *", once=at))
    assert at in (await _times(temporal, key, at))

    async def listed() -> bool:
        return key in [each async for each in schedules.keys()]  # noqa: SIM118 - no mapping

    await eventually(listed, what="the schedule is listed")
    await schedules.remove(key)
    with pytest.raises(RPCError):
        await described(temporal, key)
    await schedules.remove(key)


@pytest.mark.parametrize(
    "times", ["0 0 * * 7", "5 0 1 jan sun", "*/7 1-5,8 * * MON-FRI", "@yearly", "@every 10s", "0 0 29 2 ?"]
)
async def test_temporal_takes_every_schedule_that_is_one(temporal: Client, key: Key, times: str) -> None:
    schedules = RepositorySchedules(temporal)

    async def made() -> bool:
        try:
            await schedules.ensure(plan(key, times))
        except TemporalUnavailable as error:
            if "search attribute" in str(error).lower():
                return False
            raise
        return True

    await eventually(made, what="the schedule")
    assert (await described(temporal, key)).info.next_action_times


async def _times(temporal: Client, key: Key, at: datetime) -> list[datetime]:
    """Return the times of a schedule around a time."""
    start, end = Timestamp(), Timestamp()
    start.FromDatetime(at - timedelta(hours=1))
    end.FromDatetime(at + timedelta(hours=1))
    request = ListScheduleMatchingTimesRequest(
        namespace=temporal.namespace, schedule_id=sync_id(*key), start_time=start, end_time=end
    )
    answer = await temporal.workflow_service.list_schedule_matching_times(request)
    return [each.ToDatetime(tzinfo=UTC) for each in answer.start_time]


async def test_a_trigger_starts_the_workflow_of_the_repository(temporal: Client, key: Key) -> None:
    schedules = RepositorySchedules(temporal)
    await schedules.ensure(plan(key, paused="suspended"))
    await schedules.trigger(key, instead=False)

    async def started() -> bool:
        actions = (await described(temporal, key)).info.recent_actions
        return bool(actions) and actions[0].action.workflow_id.startswith(sync_id(*key))  # type: ignore[union-attr]

    await eventually(started, what="the start of a sync")
    running = (await described(temporal, key)).info.running_actions
    for action in running:
        await temporal.get_workflow_handle(action.workflow_id).terminate()  # type: ignore[attr-defined]
