"""Status of a Repository: one field manager applies its full set, and writes nothing where nothing changed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from porchflow.api.conditions import Condition, ConditionStatus, ConditionType, Reason, merge_conditions
from porchflow.api.error_kinds import ErrorKind
from porchflow.api.names import (
    CONFIG_API_VERSION,
    RECONCILE_NOW_ANNOTATION,
    REPOSITORY_FIELD_MANAGER,
    REPOSITORY_KIND,
)
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import Conflict, NotFound
from porchflow.kube.events import EventRecorder
from porchflow.kube.kinds import REPOSITORIES
from porchflow.repositories.failures import PhaseError

_FIELDS = (
    "observedGeneration",
    "lastFullSyncTime",
    "nextFullSyncTime",
    "observedRunOnceAt",
    "packageCount",
    "gitCommitHash",
    "observedReconcileNow",
    "observedRefs",
)
_ATTEMPTS = 5
_LOUD = frozenset({Reason.REGISTERED_IN_PART, Reason.BRANCH_REWRITTEN})
_QUIET = frozenset({Reason.PROGRESSING, Reason.SUSPENDED, Reason.WAITING})


@dataclass(frozen=True)
class RepositoryReport:
    """A change of status: fields to set (None removes one), and the conditions that now hold."""

    fields: Mapping[str, Any] = field(default_factory=dict)
    conditions: tuple[Condition, ...] = ()


class RepositoryReporter:
    """Writes status and Events of Repositories."""

    def __init__(self, kube: KubeClient, events: EventRecorder) -> None:
        """Take the API client and the recorder of Events."""
        self._kube = kube
        self._events = events

    async def report(self, raw: dict[str, Any], report: RepositoryReport) -> dict[str, Any]:
        """Apply a change and tell it in one Event; nothing is written where the status says so already.

        Returns:
            The Repository as it is now; as it was given where it is gone.

        Raises:
            KubeError: The API server cannot be reached or refuses.
        """
        metadata, current = raw["metadata"], raw
        for attempt in range(_ATTEMPTS):
            wanted = _status(current, report)
            if wanted == _owned(current.get("status") or {}):
                return current
            try:
                after = await self._apply(current, wanted)
            except NotFound:
                return raw
            except Conflict:
                if attempt == _ATTEMPTS - 1:
                    raise
                current = await self._kube.get(REPOSITORIES, metadata["namespace"], metadata["name"])
            else:
                self._tell(raw, after)
                return after
        raise AssertionError("the last attempt returns or raises")

    def warn(self, raw: Mapping[str, Any], reason: str, message: str) -> None:
        """Tell something in an Event of type Warning."""
        self._events.record(raw, "Warning", reason, message)

    def note(self, raw: Mapping[str, Any], reason: str, message: str) -> None:
        """Tell something in an Event."""
        self._events.record(raw, "Normal", reason, message)

    async def _apply(self, raw: dict[str, Any], status: dict[str, Any]) -> dict[str, Any]:
        metadata = raw["metadata"]
        body = {
            "apiVersion": CONFIG_API_VERSION,
            "kind": REPOSITORY_KIND,
            "metadata": {key: metadata[key] for key in ("namespace", "name", "uid", "resourceVersion")},
            "status": status,
        }
        return await self._kube.apply(REPOSITORIES, body, field_manager=REPOSITORY_FIELD_MANAGER, subresource="status")

    def _tell(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        old, new = _by_type(before), _by_type(after)
        for kind in (ConditionType.STALLED, ConditionType.READY, ConditionType.SUSPENDED):
            condition = new.get(kind)
            if condition is None or _told(condition) == _told(old.get(kind)):
                continue
            bad = kind == ConditionType.STALLED or condition.get("status") == "False"
            warning = (bad or condition["reason"] in _LOUD) and condition["reason"] not in _QUIET
            message = condition.get("message") or condition["reason"]
            self._events.record(after, "Warning" if warning else "Normal", condition["reason"], message)
            return


def acknowledged(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return the status fields that say: this generation, this token and this one-time sync were handled."""
    annotations = raw["metadata"].get("annotations") or {}
    once = ((raw.get("spec") or {}).get("sync") or {}).get("runOnceAt")
    handled: dict[str, Any] = {
        "observedGeneration": raw["metadata"]["generation"],
        "observedReconcileNow": annotations.get(RECONCILE_NOW_ANNOTATION),
    }
    if once and datetime.fromisoformat(once) <= datetime.now(UTC):
        handled["observedRunOnceAt"] = once
    return handled


def failure_report(raw: Mapping[str, Any], failure: PhaseError, attempt: int) -> RepositoryReport:
    """Return how a failed sync shows: by the kind of error, with the same words everywhere."""
    ready = condition(ConditionType.READY, ConditionStatus.FALSE, failure.reason, failure.message)
    if failure.kind is ErrorKind.STALLED:
        stalled = condition(ConditionType.STALLED, ConditionStatus.TRUE, failure.reason, failure.message)
        return RepositoryReport(acknowledged(raw), (ready, stalled))
    waiting = failure.kind is ErrorKind.WAITING
    reconciling = condition(
        ConditionType.RECONCILING,
        ConditionStatus.TRUE,
        Reason.WAITING if waiting else Reason.PROGRESSING_WITH_RETRY,
        failure.message if waiting else f"attempt {attempt} failed, trying again: {failure.message}",
    )
    return RepositoryReport({}, (ready, reconciling))


def progress_report(raw: Mapping[str, Any], progress: str) -> RepositoryReport:
    """Return how a sync under way shows: a Repository that was Ready stays so, a new one is not yet."""
    before = [Condition.model_validate(each) for each in (raw.get("status") or {}).get("conditions") or []]
    kept = [each for each in before if each.type != ConditionType.RECONCILING]
    if not kept:
        # In Porch's words.
        message = "Repository reconciliation in progress"
        kept = [condition(ConditionType.READY, ConditionStatus.FALSE, Reason.PROGRESSING, message)]
    reconciling = condition(ConditionType.RECONCILING, ConditionStatus.TRUE, Reason.PROGRESSING, progress)
    return RepositoryReport({}, (*kept, reconciling))


def condition(kind: ConditionType, status: ConditionStatus, reason: str, message: str) -> Condition:
    """Make a condition; the generation is filled in when it is applied."""
    return Condition(type=kind, status=status, reason=reason, message=message)


def _status(raw: Mapping[str, Any], report: RepositoryReport) -> dict[str, Any]:
    before = raw.get("status") or {}
    status = {name: before[name] for name in _FIELDS if name in before} | dict(report.fields)
    status = {name: value for name, value in status.items() if value is not None}
    generation = raw["metadata"]["generation"]
    existing = [Condition.model_validate(each) for each in before.get("conditions") or []]
    wanted = [each.model_copy(update={"observed_generation": generation}) for each in report.conditions]
    merged = merge_conditions(existing, wanted, [each.type for each in wanted], datetime.now(UTC))
    status["conditions"] = [each.model_dump(mode="json", by_alias=True, exclude_none=True) for each in merged]
    return status


def _owned(status: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in status.items() if name in _FIELDS or name == "conditions"}


def _by_type(raw: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {each["type"]: each for each in (raw.get("status") or {}).get("conditions") or []}


def _told(found: Mapping[str, Any] | None) -> tuple[Any, ...] | None:
    return None if found is None else tuple(found.get(key, "") for key in ("status", "reason", "message"))
