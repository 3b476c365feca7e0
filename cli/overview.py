"""What the PackageRevisions of a cluster say about themselves, for one screen."""

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, Field

from api.conditions import ConditionType, Reason
from api.packagerevision import Lifecycle
from kube.client import KubeClient
from kube.resources import PACKAGEREVISIONS
from watcher.needs import needs_reconcile


class Standing(StrEnum):
    """How an object stands."""

    STALLED = "stalled"
    """A person must act."""
    RETRYING = "retrying"
    """The last attempt failed; it is tried until it works."""
    WAITING = "waiting"
    """Something else must come first."""
    IN_PROGRESS = "in progress"
    SUSPENDED = "suspended"
    """Left alone, because somebody said so."""
    APPROVAL = "waiting for approval"
    CONVERGED = "converged"


class Item(BaseModel):
    """One object that is not converged."""

    namespace: str
    name: str
    standing: Standing
    lifecycle: str
    reason: str = ""
    message: str = ""


class Overview(BaseModel):
    """All objects of a cluster."""

    counts: dict[Standing, int] = Field(default_factory=dict)
    lifecycles: dict[str, int] = Field(default_factory=dict)
    items: list[Item] = Field(default_factory=list)
    """Those that are not converged, in the order in which people should look at them."""


async def read_overview(client: KubeClient) -> Overview:
    """Read all PackageRevisions.

    Raises:
        KubeError: The API server does not answer, or does not serve them.
    """
    standings: Counter[Standing] = Counter()
    lifecycles: Counter[str] = Counter()
    items: list[Item] = []
    async for obj in client.list_all(PACKAGEREVISIONS):
        item = describe(obj)
        standings[item.standing] += 1
        lifecycles[item.lifecycle] += 1
        if item.standing is not Standing.CONVERGED:
            items.append(item)
    order = list(Standing)
    items.sort(key=lambda item: (order.index(item.standing), item.namespace, item.name))
    return Overview(counts=dict(standings), lifecycles=dict(lifecycles), items=items)


def describe(obj: Mapping[str, Any]) -> Item:
    """Say how a raw PackageRevision stands."""
    metadata, spec, status = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}
    conditions = {condition["type"]: condition for condition in status.get("conditions") or []}
    standing, condition = _standing(obj, conditions)
    return Item(
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        standing=standing,
        lifecycle="Deleting" if "deletionTimestamp" in metadata else spec.get("lifecycle") or Lifecycle.DRAFT,
        reason=condition.get("reason", ""),
        message=condition.get("message", ""),
    )


def _standing(
    obj: Mapping[str, Any], conditions: Mapping[str, Mapping[str, str]]
) -> tuple[Standing, Mapping[str, str]]:
    """Return how an object stands and the condition that says so, which may be empty."""
    if stalled := _when_true(conditions, ConditionType.STALLED):
        return Standing.STALLED, stalled
    if reconciling := _when_true(conditions, ConditionType.RECONCILING):
        return _RECONCILING.get(reconciling.get("reason", ""), Standing.IN_PROGRESS), reconciling
    if suspended := _when_true(conditions, ConditionType.SUSPENDED):
        return Standing.SUSPENDED, suspended
    if needs_reconcile(obj):
        return Standing.IN_PROGRESS, {}
    lifecycle = (obj.get("spec") or {}).get("lifecycle")
    if lifecycle in {Lifecycle.PROPOSED, Lifecycle.DELETION_PROPOSED}:
        return Standing.APPROVAL, {"message": _APPROVALS[lifecycle]}
    return Standing.CONVERGED, {}


def _when_true(conditions: Mapping[str, Mapping[str, str]], kind: ConditionType) -> Mapping[str, str]:
    condition = conditions.get(kind, {})
    return condition if condition.get("status") == "True" else {}


_RECONCILING: dict[str, Standing] = {Reason.PROGRESSING_WITH_RETRY: Standing.RETRYING, Reason.WAITING: Standing.WAITING}
_APPROVALS = {
    Lifecycle.PROPOSED: "to publish: set spec.lifecycle to Published; to reject: to Draft",
    Lifecycle.DELETION_PROPOSED: "to delete: delete the object; to keep: set spec.lifecycle to Published",
}
