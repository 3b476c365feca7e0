"""The outcome of a phase, which its body returns. `reports.py` turns it, or a failure, into the report."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from porchflow.activities.definitions import PhaseResult
from porchflow.api.error_kinds import ErrorKind
from porchflow.api.models.conditions import Condition, ConditionStatus, ConditionType, Reason, condition, not_ready
from porchflow.api.models.packagerevision import Lifecycle, RunOutcome
from porchflow.api.work.suspension import Suspension
from porchflow.kpt.format.metadata import MetadataWish
from porchflow.repositories.failures import PhaseError


@dataclass(frozen=True)
class Standing:
    """The state of an object after a phase."""

    run: RunOutcome
    """The state of the workflow run, for `status.lastRun`."""
    conditions: tuple[Condition, ...]
    handled: bool = False
    """Whether the report records the object's generation and reconcile-now token as handled."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of a phase."""

    result: PhaseResult
    """For the workflow."""
    standing: Standing | None = None
    """None where the status does not change."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Status fields that the phase found or made true; None removes one."""
    files: Mapping[str, bytes] | None = None
    """The resource files of a draft that is rendered now, by path in the package; None where none was."""
    wish: MetadataWish | None = None
    """Labels and annotations of the spec that the rendering took into account; None where that is not known."""
    kptfile: bytes | None = None
    """The Kptfile of content that no user may change: the spec is made to agree with it."""
    warnings: tuple[tuple[Reason, str], ...] = ()
    """Reasons and messages that are in no condition: one Event each, of type Warning."""
    relabels: bool = False
    """Whether another revision may have become the latest of the package."""
    is_first: bool = False
    """Whether it was published now, while Git held no other published revision of its package."""
    lets_go: bool = False
    """Whether the finalizer of a deleted object is removed."""


def ready(message: str = "") -> Standing:
    """Return the standing of a converged object."""
    told = condition(ConditionType.READY, ConditionStatus.TRUE, Reason.READY, message)
    return Standing(RunOutcome.SUCCEEDED, (told,), handled=True)


def suspended(suspension: Suspension) -> Standing:
    """Return the standing of a suspended object."""
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
    """Return the standing of an object whose draft is rendered: Ready, unless it asks for another lifecycle."""
    if lifecycle is Lifecycle.DRAFT:
        return ready()
    return under_way("rendered; the lifecycle follows", "moving the lifecycle")


def failed(failure: PhaseError, attempt: int) -> Standing:
    """Return the standing of an object on which work failed, by the kind of error.

    Args:
        failure: The error.
        attempt: Number of the attempt, from 1.
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
