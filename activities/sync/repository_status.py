"""Status of a Repository: the fields of the sync's field manager, and reports of progress and failures."""

from collections.abc import Mapping
from typing import Any

from porchflow.activities.reporting import acknowledged
from porchflow.activities.running.outcome import failed
from porchflow.api.models.conditions import Condition, ConditionStatus, ConditionType, Reason, condition
from porchflow.api.names import REPOSITORY_FIELD_MANAGER
from porchflow.api.work.run_once import run_once_due
from porchflow.kube.kinds import REPOSITORIES
from porchflow.kube.status import Report, StatusOwner
from porchflow.repositories.failures import PhaseError

REPOSITORY_STATUS = StatusOwner(
    REPOSITORIES,
    REPOSITORY_FIELD_MANAGER,
    (
        "observedGeneration",
        "lastFullSyncTime",
        "nextFullSyncTime",
        "observedRunOnceAt",
        "packageCount",
        "gitCommitHash",
        "observedReconcileNow",
        "observedRefs",
    ),
)


def handled(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return the status fields that record a Repository's generation, token and one-time sync as handled."""
    due = run_once_due(raw)
    return {**acknowledged(raw), **({"observedRunOnceAt": due} if due else {})}


def failure_report(raw: Mapping[str, Any], failure: PhaseError, attempt: int) -> Report:
    """Return the report of a failed sync.

    Args:
        raw: The raw Repository as the sync read it.
        failure: The error.
        attempt: Number of the attempt, from 1.
    """
    standing = failed(failure, attempt)
    return Report(handled(raw) if standing.handled else {}, standing.conditions)


def progress_report(raw: Mapping[str, Any], progress: str) -> Report:
    """Return the report of a sync under way: an earlier `Ready` stays, and a first one is False."""
    before = [Condition.model_validate(each) for each in (raw.get("status") or {}).get("conditions") or []]
    kept = [each for each in before if each.type != ConditionType.RECONCILING]
    if not kept:
        # Porch has the same message.
        message = "Repository reconciliation in progress"
        kept = [condition(ConditionType.READY, ConditionStatus.FALSE, Reason.PROGRESSING, message)]
    reconciling = condition(ConditionType.RECONCILING, ConditionStatus.TRUE, Reason.PROGRESSING, progress)
    return Report({}, (*kept, reconciling))
