"""Lifecycle phase: move the package revision in Git to the lifecycle the object asks for, and say where it is."""

from collections.abc import Mapping
from typing import Any

from porchflow.activities.definitions import PhaseInput, PhaseResult
from porchflow.activities.phases.approval import Approvals
from porchflow.activities.phases.outcome import Outcome, Standing, ready, under_way
from porchflow.activities.phases.proposal_record import check_approved, other_proposal, proposal_fields
from porchflow.activities.phases.proposals import Proposals
from porchflow.activities.phases.self_lock import self_lock
from porchflow.activities.target import Target
from porchflow.api.conditions import ConditionStatus, ConditionType, Reason, holding, of_type
from porchflow.api.names import ACCEPT_COMMIT_ANNOTATION, RECONCILE_NOW_ANNOTATION, RENDER_REQUEST_ANNOTATION
from porchflow.api.needs import lifecycle_in_git
from porchflow.api.packagerevision import NEXT_LIFECYCLES, Lifecycle, PackageRevision
from porchflow.gitrepo.git_store import GitStore
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
    # The ways of who went on before the step in between was made. The API server lets nobody skip one.
    (Lifecycle.DRAFT, Lifecycle.PUBLISHED): Step.PUBLISH,
    (Lifecycle.DRAFT, Lifecycle.DELETION_PROPOSED): Step.PUBLISH,
    (Lifecycle.PROPOSED, Lifecycle.DELETION_PROPOSED): Step.PUBLISH,
    # The ways to finish what an earlier attempt left half done.
    (Lifecycle.PUBLISHED, Lifecycle.PUBLISHED): Step.PUBLISH,
    (Lifecycle.PROPOSED, Lifecycle.PROPOSED): Step.PROPOSE,
    (Lifecycle.DRAFT, Lifecycle.DRAFT): Step.REJECT,
}
"""The next step from where Git is to where it shall be; what is in between takes several."""


class LifecyclePhase:
    """Draft <-> Proposed -> Published <-> DeletionProposed, as Git has it."""

    def __init__(
        self,
        git: GitStore,
        approvals: Approvals,
        proposals: Proposals,
    ) -> None:
        """Move in the repositories of a store what `approvals` and `proposals` do not refuse."""
        self._git = git
        self._approvals = approvals
        self._proposals = proposals

    async def run(self, target: Target, request: PhaseInput) -> Outcome:  # noqa: ARG002 - the shape of every phase
        """Compare the lifecycle that is asked for with what Git says, and move Git where they differ.

        Raises:
            Stalled: Git holds no such package revision, there is no way from one lifecycle to the other, or what is to
                be published was never proposed.
        """
        revision = target.revision
        desired = revision.spec.lifecycle
        if desired is None:
            raise Stalled(
                Reason.INVALID_SPEC, "spec.lifecycle is empty; set it to Draft to start working on the package"
            )
        await self._proposals.check(target)
        before, after = await self._move(target, desired)
        fields = await self._fields(target, after)
        moved = before.lifecycle is not after.lifecycle
        summary = f"{before.lifecycle} -> {after.lifecycle}" if moved else f"is {after.lifecycle}"
        if after.revision > 0:
            summary += f" as v{after.revision}"
        result = PhaseResult(summary=summary, current=desired, commit=after.commit, revision=after.revision)
        return Outcome(
            result,
            _standing(target, before, after, fields),
            fields,
            warnings=other_proposal(target, fields),
            relabels=desired.is_published,
        )

    async def _move(self, target: Target, desired: Lifecycle) -> tuple[PackageState, PackageState]:
        """Move Git to a lifecycle.

        Returns:
            Where it was and where it is.
        """
        if target.facts.current in {None, desired}:
            # Most likely nothing is to be moved, and to look needs no right to push.
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
        """Return the status fields that say where Git has the revision."""
        fields = {"selfLock": self_lock(target, state), **_published_fields(state)}
        if state.lifecycle is not None and state.lifecycle.is_published:
            approver = await self._approvals.approver(target.annotations)
            # Where nobody knows, what the status says already is kept.
            fields |= {"publishedBy": approver} if approver else {}
        return fields | await proposal_fields(self._approvals, target, state)


def _choose(target: Target, state: PackageState, task_of: TaskOf) -> Step | None:
    """Say which step leads from where Git is to what is asked for; None where it is there.

    Raises:
        Stalled: There is no way, or something forbids it.
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
    """Refuse content that was pushed behind porchflow's back: nobody rendered it, and nobody approved it."""
    reported = reported_commit(revision.status)
    if not reported or state.commit == reported:
        return
    draft = state.lifecycle is Lifecycle.DRAFT
    if draft and task_of(state.commit) == TaskType.RENDER:
        # Our own rendering, pushed by an attempt that could not report it.
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
    # An attempt that was cut off has moved it, and could not say so.
    moved = before.lifecycle is not after.lifecycle
    came_from = before.lifecycle if moved else lifecycle_in_git(target.obj.get("status") or {})
    if came_from not in {None, after.lifecycle}:
        return f"moved from {came_from} to {after.lifecycle}"
    # What was said of the last move stays: saying less, because it was done before, would be news.
    said = holding(status.conditions, ConditionType.READY)
    return said.message if said is not None and said.observed_generation == generation else ""


def _check_tag(target: Target, state: PackageState) -> None:
    """Refuse to take other content for a published revision, unless a person did."""
    status = target.revision.status
    reported, lock = reported_commit(status), published_ref(status)
    if not lock or not reported or state.lifecycle is None or not state.lifecycle.is_published:
        return
    if state.commit not in {reported, target.annotations.get(ACCEPT_COMMIT_ANNOTATION)}:
        raise Stalled(Reason.TAG_MOVED, tag_moved(lock, reported, state.commit))


def tag_moved(ref: str, reported: str, found: str) -> str:
    """Return what to tell a person of a Published revision whose tag is somewhere else now."""
    return (
        f"the tag {ref} was at {reported} when the revision was published, and is at {found} now: put it back with"
        f" git push --force origin {reported}:refs/tags/{ref}, or accept the other content with the annotation"
        f" {ACCEPT_COMMIT_ANNOTATION}: {found}"
    )


def _published_fields(state: PackageState) -> dict[str, Any]:
    if state.lifecycle is None or not state.lifecycle.is_published:
        return {}
    published = state.published_at.strftime("%Y-%m-%dT%H:%M:%SZ") if state.published_at else None
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
