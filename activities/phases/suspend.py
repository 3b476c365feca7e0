"""Suspend phase: report that the object is suspended, by whom, why and until when. It changes nothing else."""

from datetime import UTC, datetime
from typing import Any

from porchflow.activities.definitions import PhaseResult
from porchflow.activities.running.outcome import Outcome, suspended
from porchflow.api.work.suspension import suspension_of
from porchflow.repositories.failures import Superseded


async def suspend(obj: dict[str, Any]) -> Outcome:
    """Report the suspension of an object, without its Repository, and without adding a finalizer or an owner.

    Args:
        obj: The raw object.

    Raises:
        Superseded: The object is not suspended any more.
    """
    suspension = suspension_of(obj["metadata"].get("annotations") or {})
    if suspension is None or not suspension.is_active(datetime.now(UTC)):
        raise Superseded
    return Outcome(PhaseResult(summary=suspension.message), suspended(suspension))
