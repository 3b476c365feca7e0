"""The page of conditions, reasons and Events."""

from typing import Final

from porchflow.api.error_kinds import ErrorKind
from porchflow.api.models.conditions import ConditionType, Reason
from porchflow.cli.reference.documented import documented
from porchflow.cli.reference.tables import code, table

_HEAD: Final = """\
# Conditions, reasons and Events

<!-- Made from api/models/conditions.py by `python -m porchflow.cli.reference`. Change that, not this. -->

For everybody: what the status and the Events of a PackageRevision or Repository can say. Each reason leads to the
heading in [troubleshooting](../troubleshooting.md) that says how to look and how to mend it.

## Conditions

"""

_KINDS: Final = """
`observedGeneration` moves when a generation was handled: either the object is Ready, or a person must act.

## Kinds of trouble

"""

_REASONS: Final = """
## Reasons

An Event has the reason and the message of the condition that changed. Those that say "An Event only" stand in no
condition.

"""

_SHOWN: Final = {
    ErrorKind.TRANSIENT: "`Ready` False with the reason; `Reconciling` True with `ProgressingWithRetry`",
    ErrorKind.WAITING: "`Ready` False with the reason; `Reconciling` True with `Waiting`",
    ErrorKind.STALLED: "`Ready` False and `Stalled` True, both with the reason",
}


def reasons_page() -> str:
    """Return the page, from the conditions and reasons of this version."""
    conditions, kinds, reasons = documented(ConditionType), documented(ErrorKind), documented(Reason)
    return (
        _HEAD
        + table(("condition", "meaning"), ((code(one), conditions[one.name]) for one in ConditionType))
        + _KINDS
        + table(("kind", "meaning", "shown as"), ((code(one), kinds[one.name], how) for one, how in _SHOWN.items()))
        + _REASONS
        + table(("reason", "meaning"), ((_link(one), reasons[one.name]) for one in Reason))
    )


def _link(reason: Reason) -> str:
    return f"[{code(reason)}](../troubleshooting.md#{reason.lower()})"
