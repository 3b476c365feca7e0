"""Refusal of publications without a proposal, as far as the object itself shows it.

The policies of `deploy/admission` refuse such edits before. Without them nothing records earlier intent. But each edit
of the spec raises the generation by one, and some lifecycles take more edits than the object has had.
"""

from collections.abc import Awaitable, Callable

from porchflow.activities.phases.approval import Approvals
from porchflow.activities.target import Target
from porchflow.api.models.conditions import ConditionType, Reason, holding
from porchflow.api.models.packagerevision import Lifecycle, PackageRevision
from porchflow.api.names import ORPHAN_ANNOTATION
from porchflow.api.work.needs import lifecycle_in_git
from porchflow.repositories.failures import Stalled

Find = Callable[[], Awaitable[Lifecycle | None]]
"""Returns the lifecycle of a revision in Git; None where Git has none."""

_STEPS = (Lifecycle.DRAFT, Lifecycle.PROPOSED, Lifecycle.PUBLISHED, Lifecycle.DELETION_PROPOSED)
"""In order: each edit can move an object by one."""

_ANEW = (
    "delete this object and create it again with spec.lifecycle Draft; set Proposed when it is Ready, and Published"
    " when that is"
)
_BACK = "set spec.lifecycle to Proposed, wait until that is Ready, and set Published then"


class Proposals:
    """Refuses to publish an object that cannot have been proposed.

    Edits between two reconciles count as a proposal and an approval if there were enough of them for both.
    """

    def __init__(self, approvals: Approvals) -> None:
        """Create the check.

        Args:
            approvals: A recorded approver proves that the admission policies have allowed the publication.
        """
        self._approvals = approvals

    async def check(self, target: Target) -> None:
        """Refuse a draft that became Published in one edit.

        It must be called before the phase reports anything, because it reads the last report.

        Raises:
            Stalled: The object did so, or was refused before and asks for the same.
            KubeError: The API server cannot be reached.
        """
        revision = target.revision
        status = revision.status
        found = lifecycle_in_git(target.obj.get("status") or {})
        if not _asks_to_be_published(revision) or found is not Lifecycle.DRAFT:
            return
        since = _generation(target) - (status.observed_generation or 0)
        was_draft = status.observed_generation and _has(revision, ConditionType.READY, Reason.READY)
        skipped = was_draft and since < _edits(Lifecycle.DRAFT, revision)
        if skipped or _was_refused(revision):
            await self._refuse(target, _BACK)

    async def check_new(self, target: Target, find: Find) -> None:
        """Refuse an object that was created as Published and is not published in Git.

        Args:
            target: The object.
            find: Called only where the object itself does not decide.

        Raises:
            Stalled: The object was created so, or came there in fewer edits than it takes.
            KubeError: The API server cannot be reached.
        """
        revision = target.revision
        believed = not _was_refused(revision)
        if not _asks_to_be_published(revision) or revision.status.creation_source:
            return
        if believed and _comes_by(target, Lifecycle.DRAFT):
            return
        found = await find()
        if found is None or not (found.is_published or (believed and _comes_by(target, found))):
            keep = "" if found is None else f"set the annotation {ORPHAN_ANNOTATION}=true to keep what Git holds, "
            await self._refuse(target, keep + _ANEW)

    async def _refuse(self, target: Target, mend: str) -> None:
        if await self._approvals.approver(target.annotations):
            return
        raise Stalled(
            Reason.NOT_PROPOSED,
            f"not made {target.revision.spec.lifecycle}: it was never Proposed, so nobody can have approved it; {mend}",
        )


def _asks_to_be_published(revision: PackageRevision) -> bool:
    desired = revision.spec.lifecycle
    return desired is not None and desired.is_published and not revision.status.revision


def _was_refused(revision: PackageRevision) -> bool:
    return _has(revision, ConditionType.STALLED, Reason.NOT_PROPOSED)


def _comes_by(target: Target, created_as: Lifecycle) -> bool:
    """Whether the object had enough edits to move from a lifecycle at its creation to the one that it asks for."""
    return _generation(target) - 1 >= _edits(created_as, target.revision)


def _edits(since: Lifecycle, revision: PackageRevision) -> int:
    assert revision.spec.lifecycle is not None  # noqa: S101 - it asks to be published
    return _STEPS.index(revision.spec.lifecycle) - _STEPS.index(since)


def _generation(target: Target) -> int:
    return int(target.obj["metadata"]["generation"])


def _has(revision: PackageRevision, kind: ConditionType, reason: Reason) -> bool:
    found = holding(revision.status.conditions, kind)
    return found is not None and found.reason == reason
