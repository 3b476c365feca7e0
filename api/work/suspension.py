"""Suspension: annotations that pause the reconcile of a PackageRevision, with user, reason and end."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from porchflow.api.models.conditions import Condition, ConditionType, Reason, not_ready, raw_holding
from porchflow.api.names import SUSPEND_ANNOTATION, SUSPEND_UNTIL_ANNOTATION, SUSPENDED_BY_ANNOTATION

_NOT_SUSPENDED = "false"
_NO_WORDS = frozenset({"", "true"})
"""Values that suspend without a reason."""


@dataclass(frozen=True)
class Suspension:
    """The suspension that the annotations of an object state.

    Attributes:
        why: The reason in the user's words; may be empty.
        by: The user; empty where it was not recorded.
        until: When it ends by itself; None means that a user must end it.
        problem: What is wrong with the annotations; the suspension then has no end.
    """

    why: str = ""
    by: str = ""
    until: datetime | None = None
    problem: str = ""

    def is_active(self, now: datetime) -> bool:
        """Return whether it still holds."""
        return self.until is None or now < self.until

    @property
    def reason(self) -> Reason:
        """Reason of the condition."""
        return Reason.INVALID_SUSPENSION if self.problem else Reason.SUSPENDED

    @property
    def conditions(self) -> tuple[Condition, Condition]:
        """The conditions of the object: suspended is never healthy, or a wait for Ready would end too early."""
        return not_ready(self.reason, self.message, ConditionType.SUSPENDED)

    @property
    def message(self) -> str:
        """Message of the condition."""
        by = f" by {self.by}" if self.by else ""
        until = f" until {self.until.isoformat()}" if self.until else ""
        why = f": {self.why}" if self.why else ""
        problem = f"; {self.problem}" if self.problem else ""
        return (
            f"suspended{by}{until}{why}{problem}; nothing is reconciled or deleted in Git meanwhile. To go on,"
            f" remove the annotations {SUSPEND_ANNOTATION} and {SUSPEND_UNTIL_ANNOTATION}"
        )


def suspension_of(annotations: Mapping[str, str]) -> Suspension | None:
    """Return the suspension that the annotations of an object state; None where there is none.

    Either annotation suspends. An invalid time is reported, and leaves the object suspended: resuming by mistake can do
    more harm.
    """
    words, time = annotations.get(SUSPEND_ANNOTATION), annotations.get(SUSPEND_UNTIL_ANNOTATION)
    if words is None and time is None:
        return None
    why = (words or "").strip()
    if why.lower() == _NOT_SUSPENDED:
        return None
    by = annotations.get(SUSPENDED_BY_ANNOTATION, "")
    until, problem = _read(time)
    return Suspension(why="" if why.lower() in _NO_WORDS else why, by=by, until=until, problem=problem)


def _read(text: str | None) -> tuple[datetime | None, str]:
    if text is None:
        return None, ""
    try:
        until = datetime.fromisoformat(text.strip())
    except ValueError:
        return None, _invalid_time(text)
    return (until, "") if until.tzinfo is not None else (None, _invalid_time(text))


def _invalid_time(text: str) -> str:
    return (
        f"{SUSPEND_UNTIL_ANNOTATION} must be a time such as 2030-01-31T18:00:00Z, not {text[:100]!r}, so it has no end"
    )


def told_suspended(status: Mapping[str, object]) -> str:
    """Return the message of a raw status's suspension condition; empty where it has none."""
    return str(raw_holding({"status": status}, ConditionType.SUSPENDED).get("message") or "")
