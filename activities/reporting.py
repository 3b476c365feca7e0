"""Status of a PackageRevision: each field manager applies its full owned set, with one Event per change."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from porchflow.activities.objects import change_object
from porchflow.api.conditions import Condition, ConditionStatus, ConditionType, merge_conditions
from porchflow.api.names import (
    FIELD_MANAGER,
    PACKAGE_REVISION_API_VERSION,
    PACKAGE_REVISION_KIND,
    RENDER_FIELD_MANAGER,
)
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import NotFound
from porchflow.kube.events import EventRecorder
from porchflow.kube.kinds import PACKAGEREVISIONS

_MAIN_FIELDS = (
    "observedGeneration",
    "creationSource",
    "selfLock",
    "upstreamLock",
    "revision",
    "publishedBy",
    "publishedAt",
    "proposal",
    "observedReconcileNow",
    "lastRun",
)
_RENDER_FIELDS = ("renderingPrrResourceVersion", "observedPrrResourceVersion")


@dataclass(frozen=True)
class Report:
    """A change of status: fields to set (None removes one) and the conditions that now hold.

    Conditions of a manager that are owned and not listed disappear, so `Reconciling` and `Stalled` exist only while
    True. A field manager whose part is left empty keeps what it has.
    """

    fields: Mapping[str, Any] = field(default_factory=dict)
    conditions: tuple[Condition, ...] = ()
    """Of the main field manager."""
    render_fields: Mapping[str, Any] = field(default_factory=dict)
    rendered: Condition | None = None
    """Of the render field manager. Until that one has to say which request was rendered, the main one says this too:
    one write less for every new draft."""
    event: str = ""
    """What the Event of this change says, instead of the message of the condition that it tells of."""


class StatusReporter:
    """Writes status and Events of PackageRevisions; nobody else does."""

    def __init__(self, kube: KubeClient, events: EventRecorder) -> None:
        """Take the API client and the recorder of Events."""
        self._kube = kube
        self._events = events

    async def report(self, obj: dict[str, Any], report: Report) -> dict[str, Any]:
        """Apply a change of status and tell it in one Event.

        The apply carries the resource version that was read. Where somebody wrote in between, the object is read again,
        and the report is dropped when it has come to ask for something else.

        Args:
            obj: The object as the phase read it.
            report: What changed.

        Returns:
            The object as it is now; unchanged when it was deleted meanwhile.

        Raises:
            Superseded: The live object asks for something newer.
            KubeError: The API server cannot be reached or refuses.
        """
        try:
            after = await change_object(self._kube, obj, lambda current: self._apply(current, report))
        except NotFound:
            return obj
        # Against what the phase read: the half of an apply that was done before a conflict is news too.
        self._tell(obj, after, report.event)
        return after

    def warn(self, obj: dict[str, Any], reason: str, message: str) -> None:
        """Tell something that no condition says, in an Event."""
        self._events.record(obj, "Warning", reason, message)

    async def _apply(self, obj: dict[str, Any], report: Report) -> dict[str, Any]:
        if report.rendered is not None and _main_speaks_of_rendering(obj, report):
            report = replace(report, conditions=(*report.conditions, report.rendered), rendered=None)
        # Between the two writes the object may be Rendered and not Ready yet, but not Ready and not Rendered any more.
        parts = [(_render_status, RENDER_FIELD_MANAGER), (_main_status, FIELD_MANAGER)]
        if report.rendered is not None and report.rendered.status is not ConditionStatus.TRUE:
            parts.reverse()
        for status_of, manager in parts:
            status = status_of(obj, report)
            if status is not None:
                obj = await self._apply_status(obj, status, manager)
        return obj

    async def _apply_status(self, obj: dict[str, Any], status: dict[str, Any], manager: str) -> dict[str, Any]:
        metadata = obj["metadata"]
        body = {
            "apiVersion": PACKAGE_REVISION_API_VERSION,
            "kind": PACKAGE_REVISION_KIND,
            "metadata": {key: metadata[key] for key in ("namespace", "name", "uid", "resourceVersion")},
            "status": status,
        }
        return await self._kube.apply(PACKAGEREVISIONS, body, field_manager=manager, subresource="status")

    def _tell(self, before: dict[str, Any], after: dict[str, Any], event: str) -> None:
        changed = _news(before, after)
        if changed is not None:
            warning = changed.type == ConditionType.STALLED or changed.status is ConditionStatus.FALSE
            benign = changed.reason in _EXPECTED_REASONS
            self._events.record(
                after,
                "Warning" if warning and not benign else "Normal",
                changed.reason,
                event or changed.message or changed.reason,
            )


def _owned(status: Mapping[str, Any], names: Iterable[str], changes: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: status[name] for name in names if name in status}
    kept.update(changes)
    return {name: value for name, value in kept.items() if value is not None}


def _main_speaks_of_rendering(obj: Mapping[str, Any], report: Report) -> bool:
    """Whether `Rendered` is the main field manager's: nothing but an awaited render was reported so far."""
    if not report.conditions or report.render_fields:
        return False
    managers = obj["metadata"].get("managedFields") or []
    return all(entry.get("manager") != RENDER_FIELD_MANAGER for entry in managers)


def _kept_rendering(obj: Mapping[str, Any], report: Report) -> list[dict[str, Any]]:
    """Return the `Rendered` condition that the main field manager keeps: an apply without it could remove it.

    Of a Ready object it is said of the same generation, or who waits for it would wait for ever after a step of the
    lifecycle.
    """
    if any(condition.type == ConditionType.RENDERED for condition in report.conditions):
        return []
    ready = any(c.type == ConditionType.READY and c.status is ConditionStatus.TRUE for c in report.conditions)
    found = [c for c in (obj.get("status") or {}).get("conditions", []) if c["type"] == ConditionType.RENDERED]
    return [{**c, "observedGeneration": obj["metadata"]["generation"]} if ready else c for c in found]


def _conditions(obj: Mapping[str, Any], wanted: Iterable[Condition]) -> list[dict[str, Any]]:
    """Return the conditions to apply, said of the very generation that they are applied to."""
    generation = obj["metadata"]["generation"]
    existing = [Condition.model_validate(condition) for condition in (obj.get("status") or {}).get("conditions", [])]
    current = [condition.model_copy(update={"observed_generation": generation}) for condition in wanted]
    merged = merge_conditions(existing, current, [condition.type for condition in current], datetime.now(UTC))
    return [condition.model_dump(mode="json", by_alias=True, exclude_none=True) for condition in merged]


def _main_status(obj: dict[str, Any], report: Report) -> dict[str, Any] | None:
    if not report.conditions and not report.fields:
        return None
    status = obj.get("status") or {}
    wanted = _owned(status, _MAIN_FIELDS, report.fields)
    if "observedGeneration" in report.fields:
        # An object that was read again asks for the same: its generation is handled as much as the one before.
        wanted["observedGeneration"] = obj["metadata"]["generation"]
    wanted["conditions"] = _conditions(obj, report.conditions) + _kept_rendering(obj, report)
    return wanted


def _render_status(obj: dict[str, Any], report: Report) -> dict[str, Any] | None:
    if report.rendered is None and not report.render_fields:
        return None
    status = obj.get("status") or {}
    wanted = _owned(status, _RENDER_FIELDS, report.render_fields)
    rendered = [report.rendered] if report.rendered else []
    wanted["conditions"] = _conditions(obj, rendered)
    return wanted


_EXPECTED_REASONS = frozenset({"Pending", "Progressing", "Waiting", "Suspended", "SourceNotPublished"})


def _news(before: Mapping[str, Any], after: Mapping[str, Any]) -> Condition | None:
    """Return the condition that tells best what a report changed; None when nothing a person would care for did."""
    old = {c["type"]: c for c in (before.get("status") or {}).get("conditions", [])}
    new = {c["type"]: c for c in (after.get("status") or {}).get("conditions", [])}
    for kind in (ConditionType.STALLED, ConditionType.RENDERED, ConditionType.READY):
        condition = new.get(kind)
        if condition is not None and _told(condition) != _told(old.get(kind)):
            return Condition.model_validate(condition)
    return None


def _told(condition: Mapping[str, Any] | None) -> tuple[Any, ...] | None:
    return None if condition is None else tuple(condition.get(key, "") for key in ("status", "reason", "message"))
