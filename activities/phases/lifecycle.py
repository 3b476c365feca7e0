"""Lifecycle phase: move the package revision in Git to the lifecycle that the object asks for, and report its place."""

from collections.abc import Mapping
from typing import Any

from porchflow.activities.definitions import PhaseInput, PhaseResult
from porchflow.activities.phases.approval import Approvals
from porchflow.activities.phases.dependents import Dependents
from porchflow.activities.phases.proposal_record import check_approved, other_proposal, proposal_fields
from porchflow.activities.phases.proposals import Proposals
from porchflow.activities.phases.self_lock import self_lock
from porchflow.activities.rendering.kptfile_mirror import is_readable, record_of, recorded_of
from porchflow.activities.rendering.render_files import read_kptfile
from porchflow.activities.running.outcome import Outcome, Standing, ready, under_way
from porchflow.activities.target import Target
from porchflow.api.models.conditions import ConditionStatus, ConditionType, Reason, holding, of_type
from porchflow.api.models.packagerevision import NEXT_LIFECYCLES, Lifecycle, PackageRevision
from porchflow.api.names import ACCEPT_COMMIT_ANNOTATION, RECONCILE_NOW_ANNOTATION, RENDER_REQUEST_ANNOTATION
from porchflow.api.timestamps import timestamp
from porchflow.api.work.needs import lifecycle_in_git
from porchflow.api.work.package_metadata import asks_for_metadata
from porchflow.gitrepo.errors import GitNotFound, GitQuotaExceeded
from porchflow.gitrepo.git_store import GitStore
from porchflow.gitrepo.refs import InvalidName
from porchflow.gitrepo.store.commit_messages import TaskType
from porchflow.gitrepo.store.package_state import PackageState
from porchflow.gitrepo.store.transition import Step, TaskOf, Transitioned
from porchflow.repositories.failures import Stalled, with_mend
from porchflow.repositories.reported_lock import how_to_put_back, published_ref, reported_commit

_NEXT: dict[tuple[Lifecycle, Lifecycle], Step] = {
    (Lifecycle.DRAFT, Lifecycle.PROPOSED): Step.PROPOSE,
    (Lifecycle.PROPOSED, Lifecycle.DRAFT): Step.REJECT,
    (Lifecycle.PROPOSED, Lifecycle.PUBLISHED): Step.PUBLISH,
    (Lifecycle.PUBLISHED, Lifecycle.DELETION_PROPOSED): Step.PROPOSE_DELETION,
    (Lifecycle.DELETION_PROPOSED, Lifecycle.PUBLISHED): Step.UNDO_DELETION,
    # The object moved twice before the first move was made in Git. The admission policies let no user skip a lifecycle.
    (Lifecycle.DRAFT, Lifecycle.PUBLISHED): Step.PUBLISH,
    (Lifecycle.DRAFT, Lifecycle.DELETION_PROPOSED): Step.PUBLISH,
    (Lifecycle.PROPOSED, Lifecycle.DELETION_PROPOSED): Step.PUBLISH,
    # An earlier attempt was cut off between its pushes: the same step again completes it.
    (Lifecycle.PUBLISHED, Lifecycle.PUBLISHED): Step.PUBLISH,
    (Lifecycle.PROPOSED, Lifecycle.PROPOSED): Step.PROPOSE,
    (Lifecycle.DRAFT, Lifecycle.DRAFT): Step.REJECT,
}
"""The next step by lifecycle in Git and desired lifecycle. Some moves take several steps."""


class LifecyclePhase:
    """Moves package revisions in Git: Draft <-> Proposed -> Published <-> DeletionProposed."""

    def __init__(
        self,
        git: GitStore,
        approvals: Approvals,
        proposals: Proposals,
        dependents: Dependents,
    ) -> None:
        """Create the phase.

        Args:
            git: Reads and moves package revisions.
            approvals: Reads approvers and proposers.
            proposals: Refuses publications without a proposal.
            dependents: Finds what depends on a revision whose deletion is proposed.
        """
        self._dependents = dependents
        self._git = git
        self._approvals = approvals
        self._proposals = proposals

    async def run(self, target: Target, request: PhaseInput) -> Outcome:  # noqa: ARG002 - the shape of every phase
        """Compare the desired lifecycle with the one in Git, and move Git where they differ.

        Raises:
            Stalled: Git holds no such package revision, no step leads from one lifecycle to the other, or the content
                may not be proposed or published: never proposed, not approved, not rendered, or changed in Git; or the
                deletion is proposed of what others depend on, in a Namespace that protects it.
            GitError: Git cannot be read or refuses the push.
            KubeError: The API server cannot be reached or refuses.
        """
        revision = target.revision
        desired = revision.spec.lifecycle
        if desired is None:
            raise Stalled(
                Reason.INVALID_SPEC, "spec.lifecycle is empty; set it to Draft to start working on the package"
            )
        await self._proposals.check(target)
        used = await self._used(target) if desired is Lifecycle.DELETION_PROPOSED else ()
        before, after = await self._move(target, desired)
        fields = await self._fields(target, after) | await self._size(target, after)
        kptfile = await self._kptfile(target, after)
        moved = before.lifecycle is not after.lifecycle
        summary = f"{before.lifecycle} -> {after.lifecycle}" if moved else f"is {after.lifecycle}"
        if after.revision > 0:
            summary += f" as v{after.revision}"
        result = PhaseResult(summary=summary, current=desired, commit=after.commit, revision=after.revision)
        return Outcome(
            result,
            _standing(target, before, after, fields),
            fields | record_of(kptfile),
            kptfile=kptfile if after.lifecycle is not Lifecycle.DRAFT and is_readable(kptfile) else None,
            warnings=(*other_proposal(target, fields), *used),
            relabels=desired.is_published,
            is_first=desired is Lifecycle.PUBLISHED and before.lifecycle is Lifecycle.PROPOSED and after.revision == 1,
        )

    async def _used(self, target: Target) -> tuple[tuple[Reason, str], ...]:
        """Return the warning about what depends on a revision, before the deletion is proposed in Git; none after."""
        proposed = await self._found(target) is Lifecycle.DELETION_PROPOSED
        return () if proposed else await self._dependents.check_proposal(target)

    async def _move(self, target: Target, desired: Lifecycle) -> tuple[PackageState, PackageState]:
        """Move Git to a lifecycle.

        Returns:
            The state in Git before and after.
        """
        if target.facts.current in {None, desired}:
            # Most likely Git is there already, and reading it needs no right to push.
            state = await self._state(target)
            _check_tag(target, state)
            if state.lifecycle is desired and state.complete:
                return state, state
        await self._proposals.check_new(target, lambda: self._found(target))
        done = await self._step(target)
        before, after = done.before, done.after
        while after.lifecycle is not desired:
            after = (await self._step(target)).after
        return before, after

    async def _found(self, target: Target) -> Lifecycle | None:
        return (await self._state(target)).lifecycle

    async def _state(self, target: Target) -> PackageState:
        repository, status = target.repository, target.revision.status
        return await self._git.state(
            repository.remote,
            repository.branch,
            target.location,
            tag_hint=published_ref(status),
            commit_hint=reported_commit(status) or None,
        )

    async def _step(self, target: Target) -> Transitioned:
        repository, revision = target.repository, target.revision
        publishes = revision.spec.lifecycle is not None and revision.spec.lifecycle.is_published
        return await self._git.transition(
            repository.remote,
            repository.branch,
            target.location,
            lambda state, task_of: _choose(target, state, task_of),
            author=repository.author,
            tag_hint=published_ref(revision.status),
            commit_hint=reported_commit(revision.status) or None,
            create_branch=repository.create_branch,
            moves_branch=publishes,
            approver=await self._approvals.approver(target.annotations) if publishes else "",
        )

    async def _fields(self, target: Target, state: PackageState) -> dict[str, Any]:
        """Return the status fields for the state in Git: lock, revision, publication and proposal."""
        fields = {"selfLock": self_lock(target, state), **_published_fields(state)}
        if state.lifecycle is not None and state.lifecycle.is_published:
            approver = await self._approvals.approver(target.annotations)
            # Without a record the status keeps its value.
            fields |= {"publishedBy": approver} if approver else {}
        return fields | await proposal_fields(self._approvals, target, state)

    async def _kptfile(self, target: Target, state: PackageState) -> bytes | None:
        """Return the Kptfile where the object has to agree with it again, or has no record of it.

        What the spec of a draft asks for is left to its rendering.
        """
        recorded = recorded_of(target.obj) is not None
        if recorded and (state.lifecycle is Lifecycle.DRAFT or not asks_for_metadata(target.obj)):
            return None
        return await read_kptfile(self._git, target, state.commit)

    async def _size(self, target: Target, state: PackageState) -> dict[str, Any]:
        """Return the size of the content where the status lacks it, as that of Porch and of older releases does."""
        if target.revision.status.resources_size_bytes is not None:
            return {}
        try:
            snapshot = await self._git.snapshot(target.repository.remote, state.commit, target.location.path)
        except (GitNotFound, GitQuotaExceeded, InvalidName):
            # Such content may have been pushed and tagged by hand. It does not hinder the lifecycle.
            return {}
        return {"resourcesSizeBytes": snapshot.size}


def _choose(target: Target, state: PackageState, task_of: TaskOf) -> Step | None:
    """Return the next step from the state in Git to the desired lifecycle; None where Git is there.

    Raises:
        Stalled: No step leads there, or a check of the content forbids it.
    """
    revision, location = target.revision, target.location
    desired = revision.spec.lifecycle
    assert desired is not None  # noqa: S101 - the phase has asked
    if state.lifecycle is None:
        known = how_to_put_back(revision.status)
        again = f"; then set the annotation {RECONCILE_NOW_ANNOTATION} to a new value"
        raise Stalled(
            Reason.NOT_IN_GIT,
            known + again
            if known
            else f"the repository holds no package revision {location.path} {location.workspace}; set"
            " spec.source on a new object to create one, or restore its branch",
        )
    _check_tag(target, state)
    if state.lifecycle is desired and state.complete:
        return None
    step = _NEXT.get((state.lifecycle, desired))
    if step is None:
        raise Stalled(
            Reason.ILLEGAL_TRANSITION,
            f"cannot go from {state.lifecycle} to {desired}: from {state.lifecycle} set spec.lifecycle to"
            f" {' or '.join(NEXT_LIFECYCLES[state.lifecycle])}",
        )
    if step is Step.PUBLISH and not state.lifecycle.is_published:
        check_approved(target, state)
    if step is Step.PROPOSE or (step is Step.PUBLISH and not state.lifecycle.is_published):
        _check_rendered(revision)
        _check_reported(revision, state, task_of)
        _check_readiness(revision)
    return step


def _check_reported(revision: PackageRevision, state: PackageState, task_of: TaskOf) -> None:
    """Refuse content that was pushed past porchflow: it is neither rendered nor approved.

    Raises:
        Stalled: The commit in Git is neither the reported one nor a rendering of ours.
    """
    reported = reported_commit(revision.status)
    if not reported or state.commit == reported:
        return
    draft = state.lifecycle is Lifecycle.DRAFT
    if draft and task_of(state.commit) == TaskType.RENDER:
        # A rendering of ours, pushed by an attempt that could not report it.
        return
    mend = (
        f"set the annotation {RENDER_REQUEST_ANNOTATION} to a new value to have it rendered"
        if draft
        else f"put the branch back to {reported}, and set the annotation {RECONCILE_NOW_ANNOTATION} to a new value"
    )
    raise Stalled(
        Reason.CONTENT_CHANGED,
        f"not moved to {revision.spec.lifecycle}: {state.ref} is at {state.commit[:12]}, which is not what"
        f" porchflow knows of ({reported[:12]}); {mend}",
    )


def _standing(target: Target, before: PackageState, after: PackageState, fields: Mapping[str, Any]) -> Standing:
    if target.revision.spec.lifecycle is Lifecycle.DRAFT:
        if target.facts.render_pending:
            return under_way("a Draft; its rendering follows", "rendering the Draft")
        _check_rendered(target.revision, fields)
    return ready(_told(target, before, after))


def _told(target: Target, before: PackageState, after: PackageState) -> str:
    status, generation = target.revision.status, target.obj["metadata"]["generation"]
    # An attempt that was cut off may have moved it without a report: then the status still has the old lifecycle.
    moved = before.lifecycle is not after.lifecycle
    came_from = before.lifecycle if moved else lifecycle_in_git(target.obj.get("status") or {})
    if came_from not in {None, after.lifecycle}:
        return f"moved from {came_from} to {after.lifecycle}"
    # The message about the last move stays: an empty one would be a change of the status without a cause.
    said = holding(status.conditions, ConditionType.READY)
    return said.message if said is not None and said.observed_generation == generation else ""


def _check_tag(target: Target, state: PackageState) -> None:
    """Refuse a moved tag of a published revision, unless a user has accepted the new commit in an annotation.

    Raises:
        Stalled: The tag is at neither the reported nor the accepted commit.
    """
    status = target.revision.status
    reported, lock = reported_commit(status), published_ref(status)
    if not lock or not reported or state.lifecycle is None or not state.lifecycle.is_published:
        return
    if state.commit not in {reported, target.annotations.get(ACCEPT_COMMIT_ANNOTATION)}:
        raise Stalled(Reason.TAG_MOVED, tag_moved(lock, reported, state.commit))


def tag_moved(ref: str, reported: str, found: str) -> str:
    """Return the message about a published revision whose tag has moved from one commit to another."""
    return (
        f"the tag {ref} was at {reported} when the revision was published, and is at {found} now: put it back with"
        f" git push --force origin {reported}:refs/tags/{ref}, or accept the other content with the annotation"
        f" {ACCEPT_COMMIT_ANNOTATION}: {found}"
    )


def _published_fields(state: PackageState) -> dict[str, Any]:
    if state.lifecycle is None or not state.lifecycle.is_published:
        return {}
    published = timestamp(state.published_at) if state.published_at else None
    return {"revision": state.revision, "publishedAt": published}


def _check_rendered(revision: PackageRevision, fields: Mapping[str, Any] | None = None) -> None:
    rendered = of_type(revision.status.conditions, ConditionType.RENDERED)
    if rendered is not None and rendered.status is ConditionStatus.FALSE:
        moved = "a Draft" if revision.spec.lifecycle is Lifecycle.DRAFT else f"not {revision.spec.lifecycle}"
        message = with_mend(f"{moved}: the last render failed: {rendered.message}")
        raise Stalled(Reason.RENDER_FAILED, message, fields=fields)


def _check_readiness(revision: PackageRevision) -> None:
    status = {each.type: each.status for each in revision.status.package_conditions}
    unmet = [gate.condition_type for gate in revision.spec.readiness_gates if status.get(gate.condition_type) != "True"]
    if unmet:
        raise Stalled(
            Reason.NOT_READY,
            f"not moved to {revision.spec.lifecycle}: readiness gate {', '.join(map(repr, unmet))} is not met; the"
            " Kptfile's status.conditions must hold it with status True",
        )
