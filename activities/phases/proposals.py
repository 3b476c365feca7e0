"""Nothing is published that was not proposed: what an object itself tells of that.

Where `deploy/admission` is installed nobody gets here. Without it nothing keeps what an object asked for before; but
each edit of a spec is a generation of its own, and there are lifecycles that take more edits than an object has had.
"""

from collections.abc import Awaitable, Callable

from porchflow.activities.phases.approval import Approvals
from porchflow.activities.target import Target
from porchflow.api.conditions import ConditionType, Reason, holding
from porchflow.api.names import ORPHAN_ANNOTATION
from porchflow.api.needs import lifecycle_in_git
from porchflow.api.packagerevision import Lifecycle, PackageRevision
from porchflow.repositories.failures import Stalled

Find = Callable[[], Awaitable[Lifecycle | None]]
"""Tells where Git has a revision."""

_STEPS = (Lifecycle.DRAFT, Lifecycle.PROPOSED, Lifecycle.PUBLISHED, Lifecycle.DELETION_PROPOSED)
"""Where each edit can lead next."""

_ANEW = (
    "delete this object and create it again with spec.lifecycle Draft; set Proposed when it is Ready, and Published"
    " when that is"
)
_BACK = "set spec.lifecycle to Proposed, wait until that is Ready, and set Published then"


class Proposals:
    """Refuses to publish what cannot have been proposed.

    Who proposes and approves before porchflow has looked is believed, if there were enough edits for both.
    """

    def __init__(self, approvals: Approvals) -> None:
        """Take who knows what the API server wrote down: an approver's name says that all went the right way."""
        self._approvals = approvals

    async def check(self, target: Target) -> None:
        """Refuse a draft that became Published in one edit.

        To be asked before anything else is reported: it goes by the last report.

        Raises:
            Stalled: It did; or was refused before, and asks for the same.
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
        """Refuse what was created as Published and is not published in Git.

        Args:
            target: The object.
            find: Asked only where there is doubt.

        Raises:
            Stalled: It was; or it came there in fewer edits than it takes.
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
    """Whether the object had edits enough to come from one lifecycle to the one that it asks for."""
    return _generation(target) - 1 >= _edits(created_as, target.revision)


def _edits(since: Lifecycle, revision: PackageRevision) -> int:
    assert revision.spec.lifecycle is not None  # noqa: S101 - it asks to be published
    return _STEPS.index(revision.spec.lifecycle) - _STEPS.index(since)


def _generation(target: Target) -> int:
    return int(target.obj["metadata"]["generation"])


def _has(revision: PackageRevision, kind: ConditionType, reason: Reason) -> bool:
    found = holding(revision.status.conditions, kind)
    return found is not None and found.reason == reason
