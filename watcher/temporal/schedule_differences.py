"""What makes a schedule in Temporal another than the one that porchflow made.

Temporal keeps a schedule in a form of its own (ranges have ends and steps, nothing is left out), so schedules are
compared by what they mean.
"""

from collections.abc import Sequence
from typing import Any

from temporalio.api.common.v1 import Payload
from temporalio.client import (
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleCalendarSpec,
    ScheduleListSchedule,
    ScheduleRange,
    ScheduleSpec,
)
from temporalio.common import RetryPolicy
from temporalio.converter import DataConverter

from porchflow.workflows.ids import RepositorySyncInput


async def differences(found: Schedule, wanted: Schedule, converter: DataConverter) -> list[str]:
    """Return in words what differs; empty where nothing does.

    Args:
        found: As Temporal describes it.
        wanted: As porchflow makes it.
        converter: Decodes the input of its runs.
    """
    state, policy = found.state, found.policy
    checks = {
        "it was paused in Temporal" + (f" ({state.note})" if state.note else ""): state.paused
        and not wanted.state.paused,
        "it runs, and its Repository is suspended": wanted.state.paused and not state.paused,
        "its note is not why its Repository is suspended": wanted.state.paused
        and state.paused
        and state.note != wanted.state.note,
        "the number of its runs is limited": state.limited_actions,
        "it has other times": _times(found.spec) != _times(wanted.spec),
        "it has another overlap policy": policy.overlap != wanted.policy.overlap
        or policy.pause_on_failure != wanted.policy.pause_on_failure,
        "it has another catch-up window": policy.catchup_window != wanted.policy.catchup_window,
        "it starts something else": await _action(found, converter) != await _action(wanted, converter),
        "it is encrypted with another key, or not as it should be": await kept_otherwise(found, wanted, converter),
    }
    return [what for what, differs in checks.items() if differs]


async def kept_otherwise(found: Schedule, wanted: Schedule, converter: DataConverter) -> bool:
    """Return whether Temporal keeps what the runs begin with in another form than porchflow would give it now.

    That is so after encryption began or ended, and after its key was replaced: the schedule would need the old key.

    Args:
        found: As Temporal describes it.
        wanted: As porchflow makes it.
        converter: Encrypts what `wanted` holds.
    """
    theirs, ours = found.action, wanted.action
    if not (isinstance(theirs, ScheduleActionStartWorkflow) and isinstance(ours, ScheduleActionStartWorkflow)):
        return False
    kept = [dict(each.metadata) for each in _values(theirs) if isinstance(each, Payload)]
    return kept != [] and kept != [dict(each.metadata) for each in await converter.encode(_values(ours))]


def _values(action: ScheduleActionStartWorkflow) -> list[Any]:
    """Return the input and the memo of an action: values, or payloads of Temporal."""
    return [*action.args, *(action.memo or {}).values()]


def looks_different(listed: ScheduleListSchedule, wanted: Schedule) -> bool:
    """Return whether what Temporal's list says of a schedule is other than wanted.

    Args:
        listed: As the list has it: times, state, and the type of the runs.
        wanted: As porchflow makes it.
    """
    state = listed.state
    return _times(listed.spec) != _times(wanted.spec) or (state.paused, state.note if state.paused else "") != (
        wanted.state.paused,
        wanted.state.note if wanted.state.paused else "",
    )


def _times(spec: ScheduleSpec) -> object:
    intervals = frozenset((each.every, each.offset or None) for each in spec.intervals)
    return (
        intervals,
        frozenset(map(_calendar, spec.calendars)),
        frozenset(spec.cron_expressions),
        frozenset(map(_calendar, spec.skip)),
        (spec.start_at, spec.end_at, spec.jitter or None, spec.time_zone_name or "UTC"),
    )


def _calendar(calendar: ScheduleCalendarSpec) -> object:
    return (
        _numbers(calendar.second),
        _numbers(calendar.minute),
        _numbers(calendar.hour),
        _numbers(calendar.day_of_month),
        _numbers(calendar.month),
        _numbers(calendar.year),
        frozenset(day % 7 for day in _numbers(calendar.day_of_week)),
        calendar.comment or "",
    )


def _numbers(ranges: Sequence[ScheduleRange]) -> frozenset[int]:
    return frozenset(
        number for each in ranges for number in range(each.start, max(each.end, each.start) + 1, each.step or 1)
    )


async def _action(schedule: Schedule, converter: DataConverter) -> object:
    action = schedule.action
    if not isinstance(action, ScheduleActionStartWorkflow):
        return type(action).__name__
    attributes = {pair.key.name: pair.value for pair in action.typed_search_attributes}
    # Temporal adds the schedule's own id and time to the search attributes of the runs that it starts.
    ours = {name: value for name, value in attributes.items() if not name.startswith("TemporalScheduled")}
    return (
        (action.workflow, action.id, action.task_queue),
        _retry(action.retry_policy),
        ours,
        await _input(action, converter),
    )


def _retry(policy: RetryPolicy | None) -> object:
    if policy is None:
        return None
    return (
        policy.initial_interval,
        policy.backoff_coefficient,
        policy.maximum_interval,
        policy.maximum_attempts,
        frozenset(policy.non_retryable_error_types or ()),
    )


async def _input(action: ScheduleActionStartWorkflow, converter: DataConverter) -> Any:  # noqa: ANN401 - whatever is there
    """Return what its runs begin with: a model of ours, payloads of Temporal, or a text for what is neither."""
    args = list(action.args)
    if all(isinstance(each, RepositorySyncInput) for each in args):
        return args
    try:
        return await converter.decode(args, [RepositorySyncInput])
    except Exception as error:  # noqa: BLE001 - whatever a person made of the input, it is not ours
        return f"{type(error).__name__}"
