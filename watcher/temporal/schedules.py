"""One Temporal Schedule per Repository starts its syncs; one for all lists their refs."""

import logging
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final, Protocol

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionExecutionStartWorkflow,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleCalendarSpec,
    ScheduleDescription,
    ScheduleHandle,
    ScheduleIntervalSpec,
    ScheduleListActionStartWorkflow,
    ScheduleListDescription,
    ScheduleListSchedule,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleRange,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
)
from temporalio.common import SearchAttributePair, TypedSearchAttributes
from temporalio.service import RPCError, RPCStatusCode

from porchflow.api.crontab import Calendar
from porchflow.kube.following import Key
from porchflow.watcher.syncs import SyncPlan
from porchflow.watcher.temporal.schedule_differences import differences, kept_otherwise, looks_different
from porchflow.watcher.temporal.search_attributes import SearchAttributes
from porchflow.watcher.temporal.stuck_runs import end_stuck_run
from porchflow.watcher.temporal.temporal_errors import (
    RPC_TIMEOUT,
    TemporalError,
    TemporalUnavailable,
    lacks_search_attributes,
    unavailable,
)
from porchflow.workflows.converter import UnreadablePayloadError
from porchflow.workflows.ids import (
    FIRST_VERSION,
    INSTALLATION_MEMO,
    LISTING_WORKFLOW_NAME,
    SYNC_QUEUE,
    SYNC_WORKFLOW_NAME,
    Installation,
    RepositorySyncInput,
)
from porchflow.workflows.policies import RUN_RETRY

logger = logging.getLogger(__name__)

_UNREADABLE = object()
"""The memo of a schedule that is encrypted with a key that this process has not."""
_LONGEST_JITTER: Final = timedelta(seconds=30)
_CATCH_UP: Final = timedelta(minutes=1)
"""Syncs that were missed while Temporal was away are not made up for: the next sync finds every change."""


class ForeignScheduleError(TemporalError):
    """A schedule with an id of ours that is not ours; it is left alone."""


@dataclass(frozen=True, slots=True)
class ListedSchedule:
    """A schedule in Temporal's list.

    Attributes:
        key: Its Repository.
        first_version: Whether its id is one of the first version: the Repository may be of another cluster then.
        summary: What the list says of it; None where it says nothing.
    """

    key: Key
    first_version: bool = False
    summary: ScheduleListSchedule | None = field(default=None, compare=False)


class Schedules(Protocol):
    """Starts syncs; `RepositorySchedules`."""

    async def ensure(self, plan: SyncPlan) -> None:
        """Look at the schedule of a Repository; create it, or put right what differs."""

    async def ensure_listing(self, every: timedelta) -> None:
        """Look at the schedule that lists the refs of all Repositories; create it, or put right what differs."""

    async def trigger(self, key: Key, *, instead: bool) -> None:
        """Start a sync now: after a sync that runs, or instead of it."""

    async def remove(self, key: Key) -> None:
        """Remove the schedule of a Repository that is gone."""

    async def remove_first_version(self, key: Key) -> None:
        """Remove the schedule of a Repository that has an id of the first version, which names no installation."""

    def listed(self) -> AsyncIterator[ListedSchedule]:
        """Return the schedules of Repositories: all of this installation, and those with an id of the first version."""


class RepositorySchedules:
    """The schedules in Temporal. Every method raises `TemporalUnavailable` when Temporal cannot do it now."""

    def __init__(self, client: Client, installation: Installation = FIRST_VERSION) -> None:
        """Create the access to the schedules.

        Args:
            client: Has the pydantic data converter.
            installation: Begins their ids; schedules of other installations are left alone.
        """
        self._client = client
        self._installation = installation
        self._search_attributes = SearchAttributes(client, installation.attributes)
        self._told_others: frozenset[str] = frozenset()

    async def ensure(self, plan: SyncPlan) -> None:
        """See `Schedules.ensure`.

        Raises:
            ForeignScheduleError: The schedule with this id belongs to somebody else.
        """
        await self._ensure(self._handle(plan.key), self._schedule(plan))

    async def ensure_listing(self, every: timedelta) -> None:
        """See `Schedules.ensure_listing`.

        Raises:
            ForeignScheduleError: The schedule with this id belongs to somebody else.
        """
        await self._ensure(self._listing_handle, self._listing(every))

    async def differences(self, plan: SyncPlan) -> list[str]:
        """Return in words what the schedule of a Repository lacks; empty where it is as it should be.

        Raises:
            TemporalUnavailable: It cannot be looked at now.
            ForeignScheduleError: The schedule with this id belongs to somebody else.
        """
        return await self._differences(self._handle(plan.key), self._schedule(plan))

    async def listing_differences(self, every: timedelta) -> list[str]:
        """Return in words what the schedule that lists the refs lacks; see `differences`."""
        return await self._differences(self._listing_handle, self._listing(every))

    async def _differences(self, handle: ScheduleHandle, wanted: Schedule) -> list[str]:
        try:
            found = await self._describe(handle)
            if found is None:
                return ["there is no schedule"]
            await self._check_ours(found)
            return await differences(found.schedule, wanted, self._client.data_converter)
        except RPCError as error:
            raise unavailable(error) from error

    async def suspects(self, plans: Iterable[SyncPlan]) -> list[SyncPlan]:
        """Return the plans whose schedule Temporal's list lacks, or shows with other times or in another state.

        One call lists a thousand schedules, where `differences` needs one for each. The list is seconds old, and leaves
        out overlap and catch-up policies and what the runs begin with.

        Raises:
            TemporalUnavailable: They cannot be listed now.
        """
        listed = {found.key: found.summary async for found in self.listed() if not found.first_version}
        return [
            plan
            for plan in plans
            if (summary := listed.get(plan.key)) is None or looks_different(summary, self._schedule(plan))
        ]

    async def trigger(self, key: Key, *, instead: bool) -> None:
        """See `Schedules.trigger`. The schedule is looked at first: its owner may have changed since the last look.

        Raises:
            ForeignScheduleError: The schedule with this id belongs to somebody else.
        """
        overlap = ScheduleOverlapPolicy.CANCEL_OTHER if instead else ScheduleOverlapPolicy.BUFFER_ONE
        handle = self._handle(key)
        try:
            found = await self._describe(handle)
            if found is None:
                raise TemporalUnavailable(f"there is no schedule {handle.id}; it is made again")
            await self._check_ours(found)
            await handle.trigger(overlap=overlap, rpc_timeout=RPC_TIMEOUT)
        except RPCError as error:
            raise unavailable(error) from error

    async def remove(self, key: Key) -> None:
        """See `Schedules.remove`."""
        handle = self._handle(key)
        try:
            found = await self._describe(handle)
            if found is not None:
                await self._check_ours(found)
                await _delete(handle)
                logger.info("removed schedule %s: its Repository is gone", handle.id)
        except RPCError as error:
            raise unavailable(error) from error

    async def remove_first_version(self, key: Key) -> None:
        """See `Schedules.remove_first_version`."""
        handle = self._client.get_schedule_handle(FIRST_VERSION.sync_id(*key))
        try:
            found = await self._describe(handle)
            if found is not None and _is_first_version(found):
                await _delete(handle)
                logger.warning("schedule %s goes on as %s", handle.id, self._installation.sync_id(*key))
        except RPCError as error:
            raise unavailable(error) from error

    async def listed(self) -> AsyncIterator[ListedSchedule]:
        """See `Schedules.listed`. The log counts those of other installations and programs, which are left alone."""
        others = set()
        try:
            async for listed in await self._client.list_schedules(rpc_timeout=RPC_TIMEOUT):
                if (found := await self._sorted(listed)) is not None:
                    yield found
                elif listed.id != self._installation.listing_id:
                    others.add(listed.id)
        except RPCError as error:
            raise unavailable(error) from error
        if others - self._told_others:
            logger.info(
                "left alone %d schedules of other installations or programs in namespace %r, such as %s",
                len(others),
                self._client.namespace,
                min(others),
            )
        self._told_others = frozenset(others)

    async def _ensure(self, handle: ScheduleHandle, wanted: Schedule) -> None:
        try:
            await self._make_right(handle, wanted)
        except RPCError as error:
            if lacks_search_attributes(error):
                # Temporal's data may have been lost, and the search attributes with it.
                await self._search_attributes.mend(error)
            raise unavailable(error) from error

    async def _make_right(self, handle: ScheduleHandle, wanted: Schedule) -> None:
        found = await self._describe(handle)
        if found is None:
            await self._create(handle, wanted)
            return
        await self._check_ours(found)
        for run in found.info.running_actions:
            # A run that is stuck would hold up every later sync.
            if isinstance(run, ScheduleActionExecutionStartWorkflow):
                await end_stuck_run(self._client, run.workflow_id)
        converter = self._client.data_converter
        if await kept_otherwise(found.schedule, wanted, converter):
            # An update leaves the memo as it is, which is encrypted with the same key.
            await _delete(handle)
            await self._create(handle, wanted)
        elif differ := await differences(found.schedule, wanted, converter):
            await handle.update(lambda _: ScheduleUpdate(wanted), rpc_timeout=RPC_TIMEOUT)
            logger.warning("put schedule %s right: %s", handle.id, "; ".join(differ))

    async def _create(self, handle: ScheduleHandle, wanted: Schedule) -> None:
        try:
            await self._client.create_schedule(handle.id, wanted, memo=self._installation.memo, rpc_timeout=RPC_TIMEOUT)
        except ScheduleAlreadyRunningError:
            # Another watcher was quicker; the next look compares.
            return
        logger.info("made schedule %s", handle.id)

    async def _check_ours(self, found: ScheduleDescription) -> None:
        try:
            owner = await found.memo_value(INSTALLATION_MEMO, "")
        except UnreadablePayloadError as error:
            raise ForeignScheduleError(
                f"whose schedule {found.id} in namespace {self._client.namespace!r} is cannot be read: {error}; it is"
                " left alone: bring the key back, or delete the schedule, then the watcher makes its own"
            ) from error
        if owner != self._installation.id:
            raise ForeignScheduleError(
                f"schedule {found.id} in namespace {self._client.namespace!r} is not of this installation"
                f" ({self._installation.id}): its memo {INSTALLATION_MEMO} is {owner!r}; it is left alone: delete it,"
                " then the watcher makes its own"
            )

    async def _sorted(self, listed: ScheduleListDescription) -> ListedSchedule | None:
        """Return a schedule of ours or of the first version; None for one of anybody else."""
        action = listed.schedule.action if listed.schedule else None
        if isinstance(action, ScheduleListActionStartWorkflow) and action.workflow != SYNC_WORKFLOW_NAME:
            return None
        owner = await _memo(listed)
        if owner == self._installation.id and (key := _key_of(listed.id, self._installation)) is not None:
            return ListedSchedule(key, summary=listed.schedule)
        if not owner and (key := _key_of(listed.id, FIRST_VERSION)) is not None:
            return ListedSchedule(key, first_version=True, summary=listed.schedule)
        return None

    async def _describe(self, handle: ScheduleHandle) -> ScheduleDescription | None:
        try:
            return await handle.describe(rpc_timeout=RPC_TIMEOUT)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND and not _is_of_namespace(error, self._client.namespace):
                return None
            raise

    def _handle(self, key: Key) -> ScheduleHandle:
        return self._client.get_schedule_handle(self._installation.sync_id(*key))

    @property
    def _listing_handle(self) -> ScheduleHandle:
        return self._client.get_schedule_handle(self._installation.listing_id)

    def _listing(self, every: timedelta) -> Schedule:
        return Schedule(
            action=ScheduleActionStartWorkflow(
                LISTING_WORKFLOW_NAME,
                id=self._installation.listing_id,
                task_queue=self._installation.queue(SYNC_QUEUE),
                memo=self._installation.memo or None,
                static_summary="list the refs of Repositories",
                static_details="starts the sync of each Repository whose refs have moved",
            ),
            spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every)]),
            policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=_CATCH_UP),
            state=ScheduleState(note="lists the refs of Repositories"),
        )

    def _schedule(self, plan: SyncPlan) -> Schedule:
        namespace, name = plan.key
        repository = self._installation.attributes.repository
        return Schedule(
            action=ScheduleActionStartWorkflow(
                SYNC_WORKFLOW_NAME,
                RepositorySyncInput(namespace=namespace, name=name),
                id=self._installation.sync_id(namespace, name),
                task_queue=self._installation.queue(SYNC_QUEUE),
                retry_policy=RUN_RETRY,
                memo=self._installation.memo or None,
                typed_search_attributes=TypedSearchAttributes([SearchAttributePair(repository, name)]),
                static_summary=f"sync {namespace}/{name}",
                static_details=f"`kubectl describe repository.config.porch.kpt.dev {name} --namespace {namespace}`",
            ),
            spec=_spec(plan),
            policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.BUFFER_ONE, catchup_window=_CATCH_UP),
            state=ScheduleState(paused=bool(plan.paused), note=plan.paused or f"syncs Repository {namespace}/{name}"),
        )


def _key_of(schedule: str, installation: Installation) -> Key | None:
    """Return the Repository that an id of a schedule of an installation names; None for any other id."""
    namespace, _, name = schedule.removeprefix(installation.sync_id("", "").removesuffix("/")).partition("/")
    return (namespace, name) if schedule == installation.sync_id(namespace, name) and namespace and name else None


async def _memo(listed: ScheduleListDescription) -> Any:  # noqa: ANN401 - JSON
    try:
        return await listed.memo_value(INSTALLATION_MEMO, "")
    except UnreadablePayloadError:
        # It is encrypted with keys of somebody else, or one of ours is missing: then it is looked at by its id.
        return _UNREADABLE


async def _delete(handle: ScheduleHandle) -> None:
    try:
        await handle.delete(rpc_timeout=RPC_TIMEOUT)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise


def _is_of_namespace(error: RPCError, namespace: str) -> bool:
    """Return whether the namespace, and not the schedule, is what Temporal does not find."""
    return f"Namespace {namespace} is not found" in error.message


def _is_first_version(found: ScheduleDescription) -> bool:
    action = found.schedule.action
    return (
        isinstance(action, ScheduleActionStartWorkflow)
        and action.workflow == SYNC_WORKFLOW_NAME
        and action.task_queue == FIRST_VERSION.queue(SYNC_QUEUE)
    )


def _spec(plan: SyncPlan) -> ScheduleSpec:
    every = plan.times.every
    once = [_moment(plan)] if plan.once is not None else []
    if every is None:
        # A cron expression means the minute that a person named, so it gets no jitter.
        return ScheduleSpec(calendars=[*(_regular(calendar) for calendar in plan.times.calendars), *once])
    # Spread out, so that Repositories that were registered together do not reach their Git server at the same moment.
    return ScheduleSpec(
        intervals=[ScheduleIntervalSpec(every)],
        calendars=once,
        jitter=None if once else min(every / 10, _LONGEST_JITTER),
    )


def _regular(calendar: Calendar) -> ScheduleCalendarSpec:
    return ScheduleCalendarSpec(
        minute=_ranges(calendar.minutes),
        hour=_ranges(calendar.hours),
        day_of_month=_ranges(calendar.days),
        month=_ranges(calendar.months),
        day_of_week=_ranges(calendar.weekdays),
        comment=calendar.expression,
    )


def _ranges(numbers: frozenset[int]) -> list[ScheduleRange]:
    """Return ranges of consecutive numbers."""
    ranges: list[ScheduleRange] = []
    for number in sorted(numbers):
        if ranges and ranges[-1].end == number - 1:
            ranges[-1] = replace(ranges[-1], end=number)
        else:
            ranges.append(ScheduleRange(number, number))
    return ranges


def _moment(plan: SyncPlan) -> ScheduleCalendarSpec:
    """Return the calendar of one moment, rounded up to a full second."""
    assert plan.once is not None  # noqa: S101 - asked by the caller
    at = plan.once + timedelta(seconds=1 if plan.once.microsecond else 0)

    def exactly(number: int) -> list[ScheduleRange]:
        return [ScheduleRange(number)]

    return ScheduleCalendarSpec(
        year=exactly(at.year),
        month=exactly(at.month),
        day_of_month=exactly(at.day),
        hour=exactly(at.hour),
        minute=exactly(at.minute),
        second=exactly(at.second),
        comment="spec.sync.runOnceAt",
    )
