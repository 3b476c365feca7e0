"""The record of a proposal in `status.proposal`: commit, time and user. An approver compares it with what Git holds."""

from collections.abc import Mapping
from typing import Any

from porchflow.activities.phases.approval import Approvals
from porchflow.activities.target import Target
from porchflow.api.models.conditions import Reason
from porchflow.api.models.packagerevision import Lifecycle
from porchflow.api.names import APPROVED_COMMIT_ANNOTATION, RECONCILE_NOW_ANNOTATION
from porchflow.api.timestamps import timestamp
from porchflow.gitrepo.store.package_state import PackageState
from porchflow.repositories.failures import Stalled


async def proposal_fields(approvals: Approvals, target: Target, state: PackageState) -> dict[str, Any]:
    """Return `status.proposal` after a move; empty where it stays the same.

    Args:
        approvals: Names the user who proposed.
        target: The object as it was before the report.
        state: The state in Git.

    Raises:
        KubeError: The API server cannot be reached.
    """
    known: dict[str, Any] = (target.obj.get("status") or {}).get("proposal") or {}
    stands = bool(known) and "withdrawnAt" not in known
    if state.lifecycle is Lifecycle.DRAFT and stands:
        return {"proposal": {**known, "withdrawnAt": timestamp()}}
    if state.lifecycle is not Lifecycle.PROPOSED or (stands and known["commit"] == state.commit):
        return {}
    proposal = {"commit": state.commit, "at": timestamp(), "by": await approvals.proposer(target.annotations)}
    other = known.get("commit") not in {None, state.commit}
    proposal["previousCommit"] = known["commit"] if other else known.get("previousCommit", "")
    return {"proposal": {key: value for key, value in proposal.items() if value}}


def other_proposal(target: Target, fields: Mapping[str, Any]) -> tuple[tuple[Reason, str], ...]:
    """Return the warning that another commit is proposed than before; empty where it is the same.

    Args:
        target: The object as it was before the report.
        fields: Status fields of the report.

    Returns:
        Reason and message of an Event.
    """
    before = ((target.obj.get("status") or {}).get("proposal") or {}).get("commit")
    now = fields.get("proposal") or {}
    if not before or "withdrawnAt" in now or now.get("commit", before) == before:
        return ()
    message = f"commit {now['commit']} is proposed; {before} was before: review what differs"
    return ((Reason.PROPOSAL_CHANGED, message),)


def check_approved(target: Target, state: PackageState) -> None:
    """Refuse to publish another commit than the one that the approver named in an annotation.

    Raises:
        Stalled: The proposal is at another commit.
    """
    approved = target.annotations.get(APPROVED_COMMIT_ANNOTATION)
    if approved and approved != state.commit:
        raise Stalled(
            Reason.COMMIT_NOT_APPROVED,
            f"not made {target.revision.spec.lifecycle}: the annotation {APPROVED_COMMIT_ANNOTATION} says that commit"
            f" {approved[:64]} was reviewed, and {state.ref} is at {state.commit}: review that and name it in the"
            f" annotation, or put the branch back; then set the annotation {RECONCILE_NOW_ANNOTATION} to a new value",
        )
