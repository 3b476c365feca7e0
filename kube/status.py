"""The one writer of status: a field manager applies its full set, and one Event reports the change."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from porchflow.api.models.conditions import (
    Condition,
    ConditionStatus,
    ConditionType,
    Reason,
    merge_conditions,
    raw_condition,
)
from porchflow.kube.changes import apply_part, change
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.errors import NotFound
from porchflow.kube.events import EventRecorder
from porchflow.kube.kinds import Resource

_TOLD = (ConditionType.STALLED, ConditionType.RENDERED, ConditionType.READY, ConditionType.SUSPENDED)
"""Conditions in the order in which they best summarise a report's changes."""
_LOUD = frozenset({Reason.REGISTERED_IN_PART, Reason.BRANCH_REWRITTEN})
_QUIET = frozenset({Reason.PENDING, Reason.PROGRESSING, Reason.WAITING, Reason.SUSPENDED, Reason.SOURCE_NOT_PUBLISHED})


@dataclass(frozen=True)
class Report:
    """A change of status: fields to set (None removes one), and the conditions that now hold.

    Conditions that are not listed disappear, so `Reconciling` and `Stalled` exist only while True.
    """

    fields: Mapping[str, Any] = field(default_factory=dict)
    conditions: tuple[Condition, ...] = ()
    event: str = ""
    """Message of the Event of this change, in place of the message of the condition that changed."""


@dataclass(frozen=True)
class StatusOwner:
    """The part of a kind's status that a field manager owns."""

    resource: Resource
    manager: str
    fields: tuple[str, ...]
    """Besides conditions."""
    shared: tuple[ConditionType, ...] = ()
    """Conditions that stay until a report lists them, whichever manager set them."""
    check: Callable[[Object, Object], None] | None = None
    """Compares the object as it was given and as it was read again; may raise to give the report up."""


class StatusWriter:
    """Writes status and Events of one kind of object."""

    def __init__(self, kube: KubeClient, events: EventRecorder, owner: StatusOwner) -> None:
        """Create the writer.

        Args:
            kube: The API server.
            events: Records the Events.
            owner: The field manager, and the part of the status that it owns.
        """
        self._kube = kube
        self._events = events
        self._owner = owner

    async def report(self, obj: Object, report: Report) -> Object:
        """Apply a change in one write and report it in one Event; write nothing where the status agrees already.

        Args:
            obj: The object as last read. If it changed since, it is read again.
            report: The change.

        Returns:
            The object as it is now; as it was given where it is gone.

        Raises:
            KubeError: The API server cannot be reached or refuses.
        """
        resource, check = self._owner.resource, self._owner.check

        def still_asked(current: Object) -> None:
            if check is not None:
                check(obj, current)

        try:
            after = await change(
                self._kube, resource, obj, lambda current: self._apply(current, report), check=still_asked
            )
        except NotFound:
            return obj
        self._tell(obj, after, report.event)
        return after

    async def show(self, obj: Object, report: Report) -> Object:
        """Apply a change to the very version of an object that was read, without an Event.

        Args:
            obj: The object as last read.
            report: The change.

        Returns:
            The object as it is now.

        Raises:
            Conflict: The object has changed.
            NotFound: The object is gone.
            KubeError: The API server cannot be reached or refuses.
        """
        return await self._apply(obj, report)

    def record(self, obj: Mapping[str, Any], reason: str, message: str) -> None:
        """Record an Event of type Warning about a fact that no condition states."""
        self._events.record(obj, "Warning", reason, message)

    async def _apply(self, obj: Object, report: Report) -> Object:
        owner, before = self._owner, obj.get("status") or {}
        kept = {name: before[name] for name in owner.fields if name in before}
        wanted = {name: value for name, value in {**kept, **report.fields}.items() if value is not None}
        if owner.check is not None and "observedGeneration" in report.fields:
            # An object that was read again has the same intent: its generation counts as handled like the one before.
            wanted["observedGeneration"] = obj["metadata"]["generation"]
        wanted["conditions"] = [*conditions_of(obj, report.conditions), *_shared(obj, report, owner.shared)]
        if wanted == {**kept, "conditions": before.get("conditions")}:
            return obj
        return await self._apply_status(obj, wanted)

    async def _apply_status(self, obj: Object, status: Mapping[str, Any]) -> Object:
        owner = self._owner
        return await apply_part(self._kube, owner.resource, obj, {"status": status}, field_manager=owner.manager)

    def _tell(self, before: Object, after: Object, event: str = "") -> None:
        found = ((raw_condition(before, kind), raw_condition(after, kind)) for kind in _TOLD)
        changed = next((new for old, new in found if new and _words(new) != _words(old)), None)
        if changed is None:
            return
        reason = changed["reason"]
        bad = changed["type"] == ConditionType.STALLED or changed["status"] == ConditionStatus.FALSE
        warning = (bad or reason in _LOUD) and reason not in _QUIET
        self._events.record(
            after, "Warning" if warning else "Normal", reason, event or changed.get("message") or reason
        )


def conditions_of(obj: Mapping[str, Any], wanted: tuple[Condition, ...]) -> list[dict[str, Any]]:
    """Return the conditions to apply, with the generation of the very object that they are applied to."""
    generation = obj["metadata"]["generation"]
    existing = [Condition.model_validate(each) for each in (obj.get("status") or {}).get("conditions") or []]
    current = [each.model_copy(update={"observed_generation": generation}) for each in wanted]
    merged = merge_conditions(existing, current, [each.type for each in current], datetime.now(UTC))
    return [each.model_dump(mode="json", by_alias=True, exclude_none=True) for each in merged]


def _shared(obj: Mapping[str, Any], report: Report, shared: tuple[ConditionType, ...]) -> list[dict[str, Any]]:
    """Return the conditions that stay though a report does not list them: an apply without one could remove it.

    On a Ready object they carry its present generation, or a wait for that would not end after a step of the lifecycle.
    """
    ready = any(each.type == ConditionType.READY and each.status is ConditionStatus.TRUE for each in report.conditions)
    listed = {each.type for each in report.conditions}
    found = [raw_condition(obj, kind) for kind in shared if kind not in listed]
    return [{**each, "observedGeneration": obj["metadata"]["generation"]} if ready else each for each in found if each]


def _words(condition: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(condition.get(key, "") for key in ("status", "reason", "message"))
