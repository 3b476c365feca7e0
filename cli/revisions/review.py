"""Moves the lifecycle of a PackageRevision for a person: propose, approve, reject."""

from dataclasses import dataclass
from datetime import UTC, datetime

from porchflow.api.models.conditions import ConditionType, raw_holding
from porchflow.api.models.packagerevision import Lifecycle, PackageRevision
from porchflow.api.names import APPROVED_COMMIT_ANNOTATION
from porchflow.api.work.needs import needs_work
from porchflow.cli.revisions.named_revision import read_named
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.kinds import PACKAGEREVISIONS

_SHORTEST = 7
"""Fewest characters of a commit that name it."""


class ReviewError(Exception):
    """The object is not in a state in which this can be asked; the message says what to do."""


@dataclass(frozen=True)
class Move:
    """A lifecycle to set on the object as it was read."""

    namespace: str
    name: str
    resource_version: str
    lifecycle: Lifecycle
    commit: str = ""
    """The commit that an approver reviewed; empty where none is named."""

    async def send(self, kube: KubeClient, *, dry_run: bool = False) -> Object:
        """Set the lifecycle; returns the raw object.

        Args:
            kube: The API server, with the user's own credentials.
            dry_run: Let the API server check it, with permissions and policies, and keep nothing.

        Raises:
            Conflict: The object was written since it was read.
            KubeError: The API server refuses, for example because the user is no approver.
        """
        metadata: Object = {"resourceVersion": self.resource_version}
        if self.commit:
            metadata["annotations"] = {APPROVED_COMMIT_ANNOTATION: self.commit}
        patch = {"metadata": metadata, "spec": {"lifecycle": self.lifecycle}}
        return await kube.merge_patch(PACKAGEREVISIONS, self.namespace, self.name, patch, dry_run=dry_run)


async def proposing(kube: KubeClient, namespace: str, name: str) -> Move:
    """Return the move from Draft to Proposed.

    Raises:
        ReviewError: The object is no Draft, or has trouble or work to do first.
        NoSuchRevisionError, KubeError: It cannot be read.
    """
    obj = await read_named(kube, namespace, name)
    if (lifecycle := lifecycle_of(obj)) is not Lifecycle.DRAFT:
        raise ReviewError(f"{_named(obj)} is {lifecycle}: only a Draft can be proposed")
    _check_settled(obj)
    return _move(obj, Lifecycle.PROPOSED)


async def approving(kube: KubeClient, namespace: str, name: str, commit: str = "") -> Move:
    """Return the move from Proposed to Published, with the proposed commit.

    Args:
        kube: The API server.
        namespace: Namespace of the object.
        name: Name of the object.
        commit: The commit that was reviewed, or its first characters; empty means the proposed one.

    Raises:
        ReviewError: The object is not Proposed, the proposal is not in Git yet, or it is of another commit.
        NoSuchRevisionError, KubeError: It cannot be read.
    """
    obj = await read_named(kube, namespace, name)
    if (lifecycle := lifecycle_of(obj)) is not Lifecycle.PROPOSED:
        raise ReviewError(f"{_named(obj)} is {lifecycle}: {_INSTEAD[lifecycle].format(_named(obj))}")
    _check_settled(obj)
    proposal = PackageRevision.model_validate(obj).status.proposal
    if proposal is None or not proposal.commit or proposal.withdrawn_at:
        raise ReviewError(f"{_named(obj)} names no commit that is proposed: reject it, and have it proposed again")
    if commit and (len(commit) < _SHORTEST or not proposal.commit.startswith(commit.lower())):
        raise ReviewError(
            f"{_named(obj)} proposes commit {proposal.commit}, not {commit!r}: review that one"
            f" (porchflow diff {_named(obj)})"
        )
    return _move(obj, Lifecycle.PUBLISHED, proposal.commit)


async def rejecting(kube: KubeClient, namespace: str, name: str) -> Move:
    """Return the move from Proposed back to Draft, or from DeletionProposed back to Published.

    Raises:
        ReviewError: Nothing is proposed.
        NoSuchRevisionError, KubeError: The object cannot be read.
    """
    obj = await read_named(kube, namespace, name)
    before = {Lifecycle.PROPOSED: Lifecycle.DRAFT, Lifecycle.DELETION_PROPOSED: Lifecycle.PUBLISHED}
    if (lifecycle := lifecycle_of(obj)) not in before:
        raise ReviewError(f"{_named(obj)} is {lifecycle}: nothing is proposed that could be rejected")
    return _move(obj, before[lifecycle])


_INSTEAD = {
    Lifecycle.DRAFT: "propose it first (porchflow propose {0})",
    Lifecycle.PUBLISHED: "there is nothing to approve",
    Lifecycle.DELETION_PROPOSED: (
        "agree to its deletion with `kubectl delete packagerevision {0}`, or keep it with `porchflow reject {0}`"
    ),
}


def lifecycle_of(obj: Object) -> Lifecycle:
    """Return the lifecycle that a raw PackageRevision asks for."""
    return PackageRevision.model_validate(obj).spec.lifecycle or Lifecycle.DRAFT


def _check_settled(obj: Object) -> None:
    if "deletionTimestamp" in obj["metadata"]:
        raise ReviewError(f"{_named(obj)} is being deleted")
    if stalled := raw_holding(obj, ConditionType.STALLED):
        raise ReviewError(f"{_named(obj)} is stalled: {stalled.get('reason')}: {stalled.get('message')}")
    if needs_work(obj, datetime.now(UTC)):
        raise ReviewError(f"{_named(obj)} is still being worked on: wait for it (porchflow wait {_named(obj)})")


def _move(obj: Object, lifecycle: Lifecycle, commit: str = "") -> Move:
    metadata = obj["metadata"]
    return Move(metadata["namespace"], metadata["name"], metadata["resourceVersion"], lifecycle, commit)


def _named(obj: Object) -> str:
    return str(obj["metadata"]["name"])
