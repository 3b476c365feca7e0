"""One Temporal Schedule per Repository: it starts the Repository's syncs."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Final, Protocol

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleCalendarSpec,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleRange,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
)
from temporalio.common import SearchAttributePair, TypedSearchAttributes
from temporalio.service import RPCError, RPCStatusCode

from porchflow.kube.following import Key
from porchflow.watcher.starter import TemporalUnavailable
from porchflow.watcher.syncs import SyncPlan
from porchflow.workflows.ids import (
    REPOSITORY_ATTRIBUTE,
    SYNC_QUEUE,
    SYNC_WORKFLOW_NAME,
    RepositorySyncInput,
    sync_id,
)

_RPC_TIMEOUT: Final = timedelta(seconds=10)
_LONGEST_JITTER: Final = timedelta(seconds=30)
_CATCH_UP: Final = timedelta(minutes=1)
"""Syncs that were missed while Temporal was away are not made up for: the next sync finds every change."""
_PREFIX: Final = sync_id("", "").rstrip("/")


class Schedules(Protocol):
    """Starts syncs; `RepositorySchedules`."""

    async def ensure(self, plan: SyncPlan) -> None:
        """Create or change the schedule of a Repository."""

    async def trigger(self, key: Key, *, instead: bool) -> None:
        """Start a sync now: after a sync that runs, or instead of it."""

    async def remove(self, key: Key) -> None:
        """Remove the schedule of a Repository that is gone."""

    def keys(self) -> AsyncIterator[Key]:
        """Return the Repositories that have a schedule."""


class RepositorySchedules:
    """The schedules in Temporal. Every method raises `TemporalUnavailable` when Temporal cannot do it now."""

    def __init__(self, client: Client) -> None:
        """Create the access to the schedules.

        Args:
            client: Has the pydantic data converter.
        """
        self._client = client

    async def ensure(self, plan: SyncPlan) -> None:
        """See `Schedules.ensure`."""
        schedule = _schedule(plan)
        try:
            await self._client.create_schedule(sync_id(*plan.key), schedule, rpc_timeout=_RPC_TIMEOUT)
        except ScheduleAlreadyRunningError:
            try:
                handle = self._client.get_schedule_handle(sync_id(*plan.key))
                await handle.update(lambda _: ScheduleUpdate(schedule), rpc_timeout=_RPC_TIMEOUT)
            except RPCError as error:
                raise _unavailable(error) from error
        except RPCError as error:
            raise _unavailable(error) from error

    async def trigger(self, key: Key, *, instead: bool) -> None:
        """See `Schedules.trigger`."""
        overlap = ScheduleOverlapPolicy.CANCEL_OTHER if instead else ScheduleOverlapPolicy.BUFFER_ONE
        handle = self._client.get_schedule_handle(sync_id(*key))
        try:
            await handle.trigger(overlap=overlap, rpc_timeout=_RPC_TIMEOUT)
        except RPCError as error:
            raise _unavailable(error) from error

    async def remove(self, key: Key) -> None:
        """See `Schedules.remove`."""
        try:
            await self._client.get_schedule_handle(sync_id(*key)).delete(rpc_timeout=_RPC_TIMEOUT)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise _unavailable(error) from error

    async def keys(self) -> AsyncIterator[Key]:
        """See `Schedules.keys`."""
        try:
            async for listed in await self._client.list_schedules(rpc_timeout=_RPC_TIMEOUT):
                prefix, _, rest = listed.id.partition("/")
                namespace, slash, name = rest.partition("/")
                if prefix == _PREFIX and slash:
                    yield namespace, name
        except RPCError as error:
            raise _unavailable(error) from error


def _schedule(plan: SyncPlan) -> Schedule:
    namespace, name = plan.key
    return Schedule(
        action=ScheduleActionStartWorkflow(
            SYNC_WORKFLOW_NAME,
            RepositorySyncInput(namespace=namespace, name=name),
            id=sync_id(namespace, name),
            task_queue=SYNC_QUEUE,
            typed_search_attributes=TypedSearchAttributes([SearchAttributePair(REPOSITORY_ATTRIBUTE, name)]),
            static_summary=f"sync {namespace}/{name}",
        ),
        spec=_spec(plan),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.BUFFER_ONE, catchup_window=_CATCH_UP),
        state=ScheduleState(paused=bool(plan.paused), note=plan.paused or f"syncs Repository {namespace}/{name}"),
    )


def _spec(plan: SyncPlan) -> ScheduleSpec:
    every = plan.times.every
    once = [_calendar(plan)] if plan.once is not None else []
    if every is None:
        # A cron expression means the minute that a person named, so it gets no jitter.
        return ScheduleSpec(cron_expressions=plan.times.expressions, calendars=once)
    # Spread out, so that Repositories that were registered together do not reach their Git server at the same moment.
    return ScheduleSpec(
        intervals=[ScheduleIntervalSpec(every)],
        calendars=once,
        jitter=None if once else min(every / 10, _LONGEST_JITTER),
    )


def _calendar(plan: SyncPlan) -> ScheduleCalendarSpec:
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


def _unavailable(error: RPCError) -> TemporalUnavailable:
    return TemporalUnavailable(error.message or error.status.name)
