"""Schedules on a real Temporal."""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.workflowservice.v1 import ListScheduleMatchingTimesRequest
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionExecutionStartWorkflow,
    ScheduleActionStartWorkflow,
    ScheduleCalendarSpec,
    ScheduleDescription,
    ScheduleHandle,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    ScheduleRange,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
    WorkflowExecutionStatus,
)
from temporalio.service import RPCError

from porchflow.api.crontab import parse_crontab
from porchflow.kube.following import Key
from porchflow.watcher.scheduling import SyncScheduling
from porchflow.watcher.syncs import SyncPlan, plan_of
from porchflow.watcher.temporal.schedules import ForeignScheduleError, ListedSchedule, RepositorySchedules
from porchflow.watcher.temporal.starter import WorkflowStarter
from porchflow.watcher.temporal.stuck_runs import FAILED_ATTEMPTS
from porchflow.watcher.temporal.temporal_errors import TemporalUnavailable
from porchflow.workflows.ids import SYNC_QUEUE, Installation, RepositorySyncInput
from tests.servers.waiting import eventually
from tests.watcher.objects import repository
from tests.watcher.tasks import take_and_fail


@pytest.fixture
async def key(temporal: Client) -> AsyncIterator[Key]:
    made = (f"ns-{uuid.uuid4().hex[:8]}", "mine")
    await WorkflowStarter(temporal).prepare()
    yield made
    await RepositorySchedules(temporal).remove(made)


def plan(key: Key, times: str = "@every 1h", once: datetime | None = None, paused: str = "") -> SyncPlan:
    return SyncPlan(key, parse_crontab(times), once, paused)


async def ensured(schedules: RepositorySchedules, wanted: SyncPlan) -> None:
    async def takes() -> bool:
        try:
            await schedules.ensure(wanted)
        except TemporalUnavailable as error:
            if "search attribute" not in str(error).lower():
                raise
            # A search attribute that was registered a moment ago is not known in all of Temporal at once.
            return False
        return True

    await eventually(takes, what="Temporal knows the search attributes")


async def described(temporal: Client, key: Key) -> ScheduleDescription:
    return await temporal.get_schedule_handle(Installation().sync_id(*key)).describe()


async def test_a_schedule_is_made_changed_and_removed(temporal: Client, key: Key) -> None:
    schedules = RepositorySchedules(temporal)

    await ensured(schedules, plan(key))
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
        return ListedSchedule(key) in [each async for each in schedules.listed()]

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

    await ensured(schedules, plan(key, times))
    assert await schedules.differences(plan(key, times)) == [], "Temporal gives it back as it was made"
    assert (await described(temporal, key)).info.next_action_times


async def _times(temporal: Client, key: Key, at: datetime) -> list[datetime]:
    """Return the times of a schedule around a time."""
    start, end = Timestamp(), Timestamp()
    start.FromDatetime(at - timedelta(hours=1))
    end.FromDatetime(at + timedelta(hours=1))
    request = ListScheduleMatchingTimesRequest(
        namespace=temporal.namespace, schedule_id=Installation().sync_id(*key), start_time=start, end_time=end
    )
    answer = await temporal.workflow_service.list_schedule_matching_times(request)
    return [each.ToDatetime(tzinfo=UTC) for each in answer.start_time]


async def test_a_trigger_starts_the_workflow_of_the_repository(temporal: Client, key: Key) -> None:
    schedules = RepositorySchedules(temporal)
    await ensured(schedules, plan(key, paused="suspended"))
    await schedules.trigger(key, instead=False)

    async def started() -> bool:
        actions = (await described(temporal, key)).info.recent_actions
        return bool(actions) and actions[0].action.workflow_id.startswith(Installation().sync_id(*key))  # type: ignore[union-attr]

    await eventually(started, what="the start of a sync")
    running = (await described(temporal, key)).info.running_actions
    for action in running:
        await temporal.get_workflow_handle(action.workflow_id).terminate()  # type: ignore[attr-defined]


OURS, OTHERS = Installation("blue"), Installation("green")


def _paused(schedule: Schedule) -> None:
    schedule.state.paused, schedule.state.note = True, "an incident"


def _limited(schedule: Schedule) -> None:
    schedule.state.limited_actions, schedule.state.remaining_actions = True, 1


def _slower(schedule: Schedule) -> None:
    schedule.spec.intervals = [ScheduleIntervalSpec(timedelta(days=9))]


def _at_other_times(schedule: Schedule) -> None:
    schedule.spec.calendars = [*schedule.spec.calendars, ScheduleCalendarSpec()]


def _never_on_sundays(schedule: Schedule) -> None:
    schedule.spec.skip = [ScheduleCalendarSpec(day_of_week=[ScheduleRange(0)])]


def _overlapping(schedule: Schedule) -> None:
    schedule.policy.overlap = ScheduleOverlapPolicy.ALLOW_ALL


def _elsewhere(schedule: Schedule) -> None:
    assert isinstance(schedule.action, ScheduleActionStartWorkflow)
    schedule.action.task_queue = "nobody"


def _of_another_repository(schedule: Schedule) -> None:
    assert isinstance(schedule.action, ScheduleActionStartWorkflow)
    schedule.action.args = [RepositorySyncInput(namespace="a", name="b")]


def _something_else(schedule: Schedule) -> None:
    schedule.action = ScheduleActionStartWorkflow("Other", {"a": 1}, id="other", task_queue="other")


@pytest.mark.parametrize("times", ["@every 1h", "5 0 1 jan sun", "*/7 1-5,8 * * MON-FRI"])
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_paused, "it was paused in Temporal (an incident)"),
        (_limited, "the number of its runs is limited"),
        (_slower, "it has other times"),
        (_at_other_times, "it has other times"),
        (_never_on_sundays, "it has other times"),
        (_overlapping, "it has another overlap policy"),
        (_elsewhere, "it starts something else"),
        (_of_another_repository, "it starts something else"),
        (_something_else, "it starts something else"),
    ],
)
async def test_what_was_changed_in_temporal_is_put_right(
    temporal: Client, key: Key, change: Callable[[Schedule], None], told: str, times: str
) -> None:
    schedules, wanted = RepositorySchedules(temporal), plan(key, times)
    await ensured(schedules, wanted)

    def update(found: ScheduleUpdateInput) -> ScheduleUpdate:
        change(found.description.schedule)
        return ScheduleUpdate(found.description.schedule)

    await temporal.get_schedule_handle(Installation().sync_id(*key)).update(update)
    assert await schedules.differences(wanted) == [told]
    await schedules.ensure(wanted)
    assert await schedules.differences(wanted) == []


async def test_a_look_at_a_schedule_that_is_right_changes_nothing(temporal: Client, key: Key) -> None:
    schedules = RepositorySchedules(temporal)
    await ensured(schedules, plan(key, "@daily"))
    before = (await described(temporal, key)).info.last_updated_at
    await schedules.ensure(plan(key, "@daily"))
    assert (await described(temporal, key)).info.last_updated_at == before


async def test_two_installations_leave_each_others_schedules_alone(
    temporal: Client, key: Key, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    ours, others = RepositorySchedules(temporal, OURS), RepositorySchedules(temporal, OTHERS)
    await ensured(ours, plan(key))
    await ensured(others, plan(key, "@daily"))

    async def listed() -> bool:
        mine = [each async for each in ours.listed() if each.key == key]
        theirs = [each async for each in others.listed() if each.key == key]
        return mine == theirs == [ListedSchedule(key)]

    await eventually(listed, what="both are listed")
    assert "left alone" in caplog.text
    await ours.remove(key)
    assert await others.differences(plan(key, "@daily")) == []
    await others.remove(key)


@pytest.fixture
async def foreign(temporal: Client, key: Key) -> AsyncIterator[ScheduleHandle]:
    """A schedule of somebody else that has the id which ours would have."""
    schedule = Schedule(
        action=ScheduleActionStartWorkflow("Other", id="other", task_queue="other"),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(timedelta(days=1))]),
    )
    handle = await temporal.create_schedule(OURS.sync_id(*key), schedule)
    yield handle
    with contextlib.suppress(RPCError):
        await handle.delete()


async def is_untouched(schedule: ScheduleHandle) -> bool:
    found = await schedule.describe()
    action = found.schedule.action
    assert isinstance(action, ScheduleActionStartWorkflow)
    return action.workflow == "Other" and found.info.num_actions == 0 and not found.info.running_actions


async def test_a_schedule_of_our_id_that_is_not_ours_is_left_alone(
    temporal: Client, key: Key, foreign: ScheduleHandle
) -> None:
    ours = RepositorySchedules(temporal, OURS)
    calls = (
        lambda: ours.ensure(plan(key)),
        lambda: ours.trigger(key, instead=False),
        lambda: ours.trigger(key, instead=True),
        lambda: ours.remove(key),
        lambda: ours.differences(plan(key)),
    )
    for call in calls:
        with pytest.raises(ForeignScheduleError, match=f"{foreign.id}.*is not of this installation"):
            await call()
    assert await is_untouched(foreign)


async def test_a_schedule_that_is_not_ours_is_never_triggered_whatever_asks_for_a_sync(
    temporal: Client, key: Key, foreign: ScheduleHandle, caplog: pytest.LogCaptureFixture
) -> None:
    ours = RepositorySchedules(temporal, OURS)
    scheduling = SyncScheduling(ours, usual=timedelta(hours=1))
    working = asyncio.create_task(scheduling.run())
    obj = repository(*key)
    obj["metadata"]["uid"] = "u"

    def asked(generation: int) -> dict[str, Any]:
        return {**obj, "metadata": {**obj["metadata"], "generation": generation}}

    try:
        for generation, listed in enumerate((True, False, True), start=1):
            scheduling.seen(asked(generation), listed=listed)
            scheduling.sync(key, instead=listed)
            await eventually(lambda: not scheduling._due and not scheduling._busy, what="it was looked at")
            assert await is_untouched(foreign)
        assert caplog.text.count("is not of this installation") == 1, "it is said once"
        await foreign.delete()
        scheduling.seen(asked(3), listed=True)

        async def synced() -> bool:
            return (await temporal.get_schedule_handle(OURS.sync_id(*key)).describe()).info.num_actions > 0

        async def made() -> bool:
            return await ours.differences(plan_of(obj)) == []

        await eventually(made, what="its own schedule")
        await eventually(synced, what="the sync that was asked for")
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
    await ours.remove(key)


async def test_a_repository_that_is_gone_leaves_a_schedule_that_is_not_ours(
    key: Key, temporal: Client, foreign: ScheduleHandle
) -> None:
    scheduling = SyncScheduling(RepositorySchedules(temporal, OURS), usual=timedelta(hours=1))
    working = asyncio.create_task(scheduling.run())
    scheduling.gone(key)
    await eventually(lambda: not scheduling._entries, what="nothing is left to do")
    assert await is_untouched(foreign)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)


async def test_a_trigger_without_a_schedule_says_so(temporal: Client, key: Key) -> None:
    with pytest.raises(TemporalUnavailable, match="there is no schedule") as raised:
        await RepositorySchedules(temporal, OURS).trigger(key, instead=False)
    assert not raised.value.for_all


async def test_the_schedule_of_the_first_version_is_listed_and_removed(temporal: Client, key: Key) -> None:
    await ensured(RepositorySchedules(temporal), plan(key))
    ours = RepositorySchedules(temporal, OURS)
    await ours.ensure(plan(key))

    async def listed() -> bool:
        found = {each async for each in ours.listed() if each.key == key}
        return found == {ListedSchedule(key), ListedSchedule(key, first_version=True)}

    await eventually(listed, what="both are listed")
    for _ in range(2):
        await ours.remove_first_version(key)
    assert await ours.differences(plan(key)) == []
    with pytest.raises(RPCError, match="not found"):
        await described(temporal, key)
    await ours.remove(key)


async def test_a_schedule_with_an_id_of_the_first_version_that_syncs_nothing_is_left_alone(
    temporal: Client, key: Key
) -> None:
    ours, identity = RepositorySchedules(temporal, OURS), Installation().sync_id(*key)
    foreign = Schedule(
        action=ScheduleActionStartWorkflow("Other", id="other", task_queue=SYNC_QUEUE),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(timedelta(days=1))]),
    )
    handle = await temporal.create_schedule(identity, foreign)
    await ours.remove_first_version(key)
    assert (await handle.describe()).id == identity
    await handle.delete()


async def test_a_sync_that_is_stuck_is_ended_by_the_next_look(temporal: Client, key: Key) -> None:
    # An installation of its own has a queue of its own.
    ours = Installation(f"stuck-{key[0]}")
    schedules, wanted = RepositorySchedules(temporal, ours), plan(key)
    await ensured(schedules, wanted)
    await schedules.trigger(key, instead=False)
    for _ in range(1, FAILED_ATTEMPTS):
        await take_and_fail(temporal, ours.queue(SYNC_QUEUE))
    found = await temporal.get_schedule_handle(ours.sync_id(*key)).describe()
    [run] = found.info.running_actions
    assert isinstance(run, ScheduleActionExecutionStartWorkflow)
    await schedules.ensure(wanted)
    ended = temporal.get_workflow_handle(run.workflow_id, run_id=run.first_execution_run_id)
    assert (await ended.describe()).status is WorkflowExecutionStatus.TERMINATED
    await schedules.remove(key)
