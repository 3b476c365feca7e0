"""Status of a PackageRevision: each field manager applies its full owned set, with one Event per change."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from activities.failures import Superseded
from api.conditions import Condition, ConditionStatus, ConditionType, merge_conditions
from api.intent import intent_key
from api.names import (
    FIELD_MANAGER,
    PACKAGE_REVISION_API_VERSION,
    PACKAGE_REVISION_KIND,
    RENDER_FIELD_MANAGER,
)
from kube.client import KubeClient
from kube.errors import Conflict, NotFound
from kube.events import EventRecorder
from kube.resources import PACKAGEREVISIONS

_MAIN_FIELDS = (
    "observedGeneration",
    "creationSource",
    "selfLock",
    "upstreamLock",
    "revision",
    "publishedBy",
    "publishedAt",
    "observedReconcileNow",
    "lastRun",
)
_RENDER_FIELDS = ("renderingPrrResourceVersion", "observedPrrResourceVersion")
_MAIN_CONDITIONS = frozenset({ConditionType.READY, ConditionType.RECONCILING, ConditionType.STALLED})
_RENDER_CONDITIONS = frozenset({ConditionType.RENDERED})
_CONFLICT_RETRIES = 5


@dataclass(frozen=True)
class Report:
    """A change of status: fields to set (None removes one) and the conditions that now hold.

    Conditions of a manager that are owned and not listed disappear, so `Reconciling` and `Stalled` exist only while
    True. A field manager whose part is left empty keeps what it has.
    """

    fields: Mapping[str, Any] = field(default_factory=dict)
    conditions: tuple[Condition, ...] = ()
    """Of the main field manager. It may name `Rendered` while no rendering was done yet: one write less, and the render
    field manager takes the condition over with its first report."""
    render_fields: Mapping[str, Any] = field(default_factory=dict)
    rendered: Condition | None = None


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
        current = obj
        for attempt in range(_CONFLICT_RETRIES):
            try:
                after = await self._apply(current, report)
            except Conflict:
                if attempt == _CONFLICT_RETRIES - 1:
                    raise
                current = await self._read_again(obj)
            except NotFound:
                return current
            else:
                self._tell(current, after)
                return after
        return current

    async def _read_again(self, obj: dict[str, Any]) -> dict[str, Any]:
        metadata = obj["metadata"]
        latest = await self._kube.get(PACKAGEREVISIONS, metadata["namespace"], metadata["name"])
        if intent_key(latest) != intent_key(obj):
            raise Superseded
        return latest

    async def _apply(self, obj: dict[str, Any], report: Report) -> dict[str, Any]:
        render = _render_status(obj, report)
        if render is not None:
            obj = await self._apply_status(obj, render, RENDER_FIELD_MANAGER)
        main = _main_status(obj, report)
        if main is not None:
            obj = await self._apply_status(obj, main, FIELD_MANAGER)
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

    def _tell(self, before: dict[str, Any], after: dict[str, Any]) -> None:
        changed = _news(before, after)
        if changed is not None:
            warning = changed.type == ConditionType.STALLED or changed.status is ConditionStatus.FALSE
            benign = changed.reason in _EXPECTED_REASONS
            self._events.record(
                after,
                "Warning" if warning and not benign else "Normal",
                changed.reason,
                changed.message or changed.reason,
            )


def _owned(status: Mapping[str, Any], names: Iterable[str], changes: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: status[name] for name in names if name in status}
    kept.update(changes)
    return {name: value for name, value in kept.items() if value is not None}


def _conditions(
    status: Mapping[str, Any], wanted: Iterable[Condition], owned: frozenset[ConditionType]
) -> list[dict[str, Any]]:
    existing = [Condition.model_validate(condition) for condition in status.get("conditions", [])]
    mine = [condition for condition in existing if condition.type in owned]
    merged = merge_conditions(mine, list(wanted), set(owned), datetime.now(UTC))
    return [condition.model_dump(mode="json", by_alias=True, exclude_none=True) for condition in merged]


def _main_status(obj: dict[str, Any], report: Report) -> dict[str, Any] | None:
    if not report.conditions and not report.fields:
        return None
    status = obj.get("status") or {}
    wanted = _owned(status, _MAIN_FIELDS, report.fields)
    wanted["conditions"] = _conditions(status, report.conditions, _MAIN_CONDITIONS)
    return wanted


def _render_status(obj: dict[str, Any], report: Report) -> dict[str, Any] | None:
    if report.rendered is None and not report.render_fields:
        return None
    status = obj.get("status") or {}
    wanted = _owned(status, _RENDER_FIELDS, report.render_fields)
    rendered = [report.rendered] if report.rendered else []
    wanted["conditions"] = _conditions(status, rendered, _RENDER_CONDITIONS)
    return wanted


_EXPECTED_REASONS = frozenset({"Pending", "Progressing", "Waiting"})


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
