"""Overview of the PackageRevisions and Repositories of a cluster, from their conditions."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, Field

from porchflow.api.models.conditions import ConditionType, Reason, raw_condition, raw_holding
from porchflow.api.models.packagerevision import Lifecycle
from porchflow.api.work.needs import needs_work
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import KubeError
from porchflow.kube.kinds import PACKAGEREVISIONS, REPOSITORIES
from porchflow.kube.webhooks import dead_webhooks
from porchflow.watcher.syncs import asks_for_sync


class Standing(StrEnum):
    """The state of an object."""

    STALLED = "stalled"
    """A person must act."""
    RETRYING = "retrying"
    """The last attempt failed; Temporal retries until one succeeds."""
    WAITING = "waiting"
    """Another object or event must come first."""
    IN_PROGRESS = "in progress"
    SUSPENDED = "suspended"
    """An annotation suspends it."""
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

    @property
    def is_ready(self) -> bool:
        """Whether it is as it was asked for; an approval that it waits for is another person's next step."""
        return self.standing in {Standing.CONVERGED, Standing.APPROVAL}

    @property
    def told(self) -> str:
        """How it stands and why, in one line."""
        return ": ".join(part for part in (self.standing, self.reason, self.message) if part)


class RepositoryItem(BaseModel):
    """One Repository and its syncs."""

    namespace: str
    name: str
    standing: Standing
    revisions: int = 0
    """PackageRevisions that name it."""
    last_sync: str = ""
    """Time of the last full sync; empty for none."""
    next_sync: str = ""
    """Time of the next full sync, which happens even if no ref moves; empty for none."""
    reason: str = ""
    message: str = ""


class Overview(BaseModel):
    """All objects of a cluster."""

    counts: dict[Standing, int] = Field(default_factory=dict)
    lifecycles: dict[str, int] = Field(default_factory=dict)
    items: list[Item] = Field(default_factory=list)
    """PackageRevisions that are not converged, most urgent first."""
    repositories: list[RepositoryItem] = Field(default_factory=list)
    """All Repositories, in the same order."""
    refusing: list[str] = Field(default_factory=list)
    """Admission webhooks without a Service, for want of which the API server refuses writes; each with its mend."""


async def read_overview(client: KubeClient) -> Overview:
    """Read all PackageRevisions and Repositories.

    Raises:
        KubeError: The API server does not answer, or does not serve them.
    """
    standings: Counter[Standing] = Counter()
    lifecycles: Counter[str] = Counter()
    revisions: Counter[tuple[str, str]] = Counter()
    items: list[Item] = []
    async for obj in client.list_all(PACKAGEREVISIONS):
        item = describe(obj)
        standings[item.standing] += 1
        lifecycles[item.lifecycle] += 1
        revisions[item.namespace, (obj.get("spec") or {}).get("repository", "")] += 1
        if item.standing is not Standing.CONVERGED:
            items.append(item)
    repositories = [describe_repository(obj) async for obj in client.list_all(REPOSITORIES)]
    for repository in repositories:
        repository.revisions = revisions[repository.namespace, repository.name]
    return Overview(
        refusing=await _refusing(client),
        counts=dict(standings),
        lifecycles=dict(lifecycles),
        items=sorted(items, key=_order),
        repositories=sorted(repositories, key=_order),
    )


async def _refusing(client: KubeClient) -> list[str]:
    try:
        dead = await dead_webhooks(client)
    except KubeError:
        # Not everybody who may read the objects may read the webhooks of a cluster.
        return []
    return [f"{each.kind} {each.name} {each.message}; {each.mend}" for each in dead if each.refuses]


def _order(item: Item | RepositoryItem) -> tuple[int, str, str]:
    return list(Standing).index(item.standing), item.namespace, item.name


def describe_repository(obj: Mapping[str, Any]) -> RepositoryItem:
    """Return the state of a raw Repository and its syncs."""
    metadata, status = obj["metadata"], obj.get("status") or {}
    standing, condition = _troubled(obj)
    if standing is None:
        standing = Standing.IN_PROGRESS if asks_for_sync(obj) else Standing.CONVERGED
        ready = raw_condition(obj, ConditionType.READY)
        # A `Ready` condition that is True names the package revisions that a sync left out.
        condition = {} if ready.get("reason") == Reason.READY else ready
    return RepositoryItem(
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        standing=standing,
        last_sync=status.get("lastFullSyncTime", ""),
        next_sync=status.get("nextFullSyncTime", ""),
        reason=condition.get("reason", ""),
        message=condition.get("message", ""),
    )


def describe(obj: Mapping[str, Any]) -> Item:
    """Return the state of a raw PackageRevision."""
    metadata, spec = obj["metadata"], obj.get("spec") or {}
    standing, condition = _standing(obj)
    return Item(
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        standing=standing,
        lifecycle="Deleting" if "deletionTimestamp" in metadata else spec.get("lifecycle") or Lifecycle.DRAFT,
        reason=condition.get("reason", ""),
        message=condition.get("message", ""),
    )


def _standing(obj: Mapping[str, Any]) -> tuple[Standing, Mapping[str, str]]:
    """Return the state of an object and the condition that says so; the condition may be empty."""
    standing, condition = _troubled(obj)
    if standing is not None:
        return standing, condition
    if needs_work(obj, datetime.now(UTC)):
        return Standing.IN_PROGRESS, {}
    lifecycle = (obj.get("spec") or {}).get("lifecycle")
    if lifecycle in {Lifecycle.PROPOSED, Lifecycle.DELETION_PROPOSED}:
        return Standing.APPROVAL, {"message": _APPROVALS[lifecycle]}
    return Standing.CONVERGED, {}


def _troubled(obj: Mapping[str, Any]) -> tuple[Standing | None, Mapping[str, str]]:
    """Return the state that `Stalled`, `Reconciling` or `Suspended` gives, and that condition; None without them."""
    if stalled := raw_holding(obj, ConditionType.STALLED):
        return Standing.STALLED, stalled
    if reconciling := raw_holding(obj, ConditionType.RECONCILING):
        return _RECONCILING.get(reconciling.get("reason", ""), Standing.IN_PROGRESS), reconciling
    if suspended := raw_holding(obj, ConditionType.SUSPENDED):
        return Standing.SUSPENDED, suspended
    return None, {}


_RECONCILING: dict[str, Standing] = {Reason.PROGRESSING_WITH_RETRY: Standing.RETRYING, Reason.WAITING: Standing.WAITING}
_APPROVALS = {
    Lifecycle.PROPOSED: "to publish: set spec.lifecycle to Published; to reject: to Draft",
    Lifecycle.DELETION_PROPOSED: "to delete: delete the object; to keep: set spec.lifecycle to Published",
}
