"""What a phase comes to: returned by its body, or raised with its failure. `reports.py` makes the report."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from porchflow.activities.definitions import PhaseResult
from porchflow.api.conditions import Condition, ConditionStatus, ConditionType, Reason, condition, not_ready
from porchflow.api.error_kinds import ErrorKind
from porchflow.api.packagerevision import Lifecycle, RunOutcome
from porchflow.api.suspension import Suspension
from porchflow.repositories.failures import PhaseError


@dataclass(frozen=True)
class Standing:
    """How an object stands after a phase."""

    run: RunOutcome
    """How the workflow run stands, for `status.lastRun`."""
    conditions: tuple[Condition, ...]
    handled: bool = False
    """Whether what the object asks for was handled: its generation and its reconcile-now token."""


@dataclass(frozen=True)
class Outcome:
    """What a phase came to."""

    result: PhaseResult
    """For the workflow."""
    standing: Standing | None = None
    """None where there is nothing to report."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Status fields that the phase found or made true; None removes one."""
    files: Mapping[str, bytes] | None = None
    """The resource files of a draft that is rendered now, by path in the package; None where none was."""
    warnings: tuple[tuple[Reason, str], ...] = ()
    """What no condition says: one Event each, of type Warning."""
    relabels: bool = False
    """Whether another revision may be the latest of the package now."""
    lets_go: bool = False
    """Whether nothing keeps a deleted object any more."""


def ready(message: str = "") -> Standing:
    """Return the standing of an object that is what it asks for."""
    told = condition(ConditionType.READY, ConditionStatus.TRUE, Reason.READY, message)
    return Standing(RunOutcome.SUCCEEDED, (told,), handled=True)


def suspended(suspension: Suspension) -> Standing:
    """Return the standing of an object on which nothing is done."""
    return Standing(RunOutcome.SUSPENDED, suspension.conditions)


def under_way(message: str, doing: str) -> Standing:
    """Return the standing of an object whose next phase follows.

    Args:
        message: Of `Ready`.
        doing: Of `Reconciling`.
    """
    because = (Reason.PROGRESSING, doing)
    return Standing(RunOutcome.RUNNING, not_ready(Reason.PENDING, message, ConditionType.RECONCILING, because=because))


def rendering_awaited() -> Standing:
    """Return the standing of an object whose first content is still to be rendered."""
    message = "awaiting render"
    awaited = under_way(message, message)
    rendered = condition(ConditionType.RENDERED, ConditionStatus.UNKNOWN, Reason.PENDING, message)
    return Standing(awaited.run, (*awaited.conditions, rendered))


def rendered(lifecycle: Lifecycle | None) -> Standing:
    """Return the standing of an object whose draft is rendered: Ready, where nothing else is asked."""
    if lifecycle is Lifecycle.DRAFT:
        return ready()
    return under_way("rendered; the lifecycle follows", "moving the lifecycle")


def failed(failure: PhaseError, attempt: int) -> Standing:
    """Return the standing of an object on which work failed: by the kind of error, with the same words everywhere.

    Args:
        failure: What went wrong.
        attempt: Which attempt that was, from 1.
    """
    reason, message = failure.reason, failure.message
    if failure.kind is ErrorKind.STALLED:
        return Standing(RunOutcome.STALLED, not_ready(reason, message, ConditionType.STALLED), handled=True)
    if failure.kind is ErrorKind.WAITING:
        run, because = RunOutcome.WAITING, (Reason.WAITING, message)
    else:
        retry = f"attempt {attempt} failed, trying again: {message}"
        run, because = RunOutcome.RETRYING, (Reason.PROGRESSING_WITH_RETRY, retry)
    return Standing(run, not_ready(reason, message, ConditionType.RECONCILING, because=because))
