"""Lifecycle phase: move the package revision in Git to the lifecycle the object asks for, and say where it is."""

from collections.abc import Awaitable, Callable
from typing import Any

from activities.approval import Approvals
from activities.definitions import PhaseInput, PhaseResult
from activities.failures import Stalled
from activities.labels import LatestLabel
from activities.locks import published_ref, reported_commit, self_lock
from activities.observe import facts_of
from activities.phase import Target, acknowledged, run_of, to_the_end
from activities.rendered import condition
from activities.reporting import Report, StatusReporter
from api.conditions import Condition, ConditionStatus, ConditionType, Reason
from api.names import ACCEPT_COMMIT_ANNOTATION, RECONCILE_NOW_ANNOTATION, RENDER_REQUEST_ANNOTATION
from api.packagerevision import NEXT_LIFECYCLES, Lifecycle, PackageRevision
from gitrepo.annotations import TaskType
from gitrepo.packages import GitStore
from gitrepo.state import PackageState

_Move = Callable[[Target, PackageState], Awaitable[PackageState]]


class LifecyclePhase:
    """Draft <-> Proposed -> Published <-> DeletionProposed, as Git has it."""

    def __init__(self, git: GitStore, reporter: StatusReporter, latest: LatestLabel, approvals: Approvals) -> None:
        """Take what the phase works with."""
        self._git = git
        self._reporter = reporter
        self._latest = latest
        self._approvals = approvals
        draft, proposed, published, deletion = Lifecycle
        self._moves: dict[tuple[Lifecycle, Lifecycle], tuple[_Move, ...]] = {
            (draft, proposed): (self._propose,),
            (proposed, draft): (self._reject,),
            (proposed, published): (self._publish,),
            (published, deletion): (self._propose_deletion,),
            (deletion, published): (self._undo_deletion,),
            # The ways of who went on before the step in between was made. The API server lets nobody skip one.
            (draft, published): (self._publish,),
            (draft, deletion): (self._publish, self._propose_deletion),
            (proposed, deletion): (self._publish, self._propose_deletion),
            # The ways to finish what an earlier attempt left half done.
            (published, published): (self._publish,),
            (proposed, proposed): (self._propose,),
            (draft, draft): (self._reject,),
        }

    async def run(self, target: Target, request: PhaseInput) -> PhaseResult:  # noqa: ARG002 - the shape of every phase
        """Compare the lifecycle that is asked for with what Git says, and move Git where they differ.

        Raises:
            Stalled: Git holds no such package revision, or there is no way from one lifecycle to the other.
        """
        revision = target.revision
        desired = revision.spec.lifecycle
        if desired is None:
            raise Stalled(
                Reason.INVALID_SPEC, "spec.lifecycle is empty; set it to Draft to start working on the package"
            )
        before = await self._state(target)
        _check_tag(target, before)
        after = await self._move(target, before, desired)
        await self._report(target, before, after, desired)
        if desired.is_published:
            await self._latest.refresh(target.obj)
        moved = before.lifecycle is not after.lifecycle
        summary = f"{before.lifecycle} -> {after.lifecycle}" if moved else f"is {after.lifecycle}"
        if after.revision > 0:
            summary += f" as v{after.revision}"
        return PhaseResult(summary=summary, current=desired, commit=after.commit, revision=after.revision)

    async def _state(self, target: Target) -> PackageState:
        repository, status = target.repository, target.revision.status
        return await self._git.state(
            repository.remote,
            repository.branch,
            target.location,
            tag_hint=published_ref(status),
            commit_hint=reported_commit(status) or None,
        )

    async def _move(self, target: Target, before: PackageState, desired: Lifecycle) -> PackageState:
        if before.lifecycle is None:
            raise Stalled(
                Reason.NOT_IN_GIT,
                f"the repository holds no package revision {target.location.path} {target.location.workspace}; set"
                " spec.source on a new object to create one, or restore its branch",
            )
        if before.lifecycle is desired and before.complete:
            return before
        moves = self._moves.get((before.lifecycle, desired))
        if moves is None:
            raise Stalled(
                Reason.ILLEGAL_TRANSITION,
                f"cannot go from {before.lifecycle} to {desired}: from {before.lifecycle} set spec.lifecycle to"
                f" {' or '.join(NEXT_LIFECYCLES[before.lifecycle])}",
            )
        state = before
        for move in moves:
            state = await to_the_end(move(target, state))
        return state

    async def _propose(self, target: Target, before: PackageState) -> PackageState:
        await self._check_reported(target, before)
        _check_rendered(target.revision)
        _check_readiness(target.revision)
        repository = target.repository
        return await self._git.propose(
            repository.remote, repository.branch, target.location, expected_commit=before.commit
        )

    async def _check_reported(self, target: Target, state: PackageState) -> None:
        """Refuse content that was pushed behind porchflow's back: nobody rendered it, and nobody approved it."""
        reported = reported_commit(target.revision.status)
        if not reported or state.commit == reported:
            return
        draft = state.lifecycle is Lifecycle.DRAFT
        if (
            draft
            and await self._git.task_of(target.repository.remote, state.commit, target.location) == TaskType.RENDER
        ):
            # Our own rendering, pushed by an attempt that could tell but half of it.
            return
        mend = (
            f"set the annotation {RENDER_REQUEST_ANNOTATION} to a new value to have it rendered"
            if draft
            else f"put the branch back to {reported}, and set the annotation {RECONCILE_NOW_ANNOTATION} to a new value"
        )
        raise Stalled(
            Reason.CONTENT_CHANGED,
            f"not moved to {target.revision.spec.lifecycle}: {state.ref} is at {state.commit[:12]}, which is not what"
            f" porchflow knows of ({reported[:12]}); {mend}",
        )

    async def _reject(self, target: Target, _: PackageState) -> PackageState:
        repository = target.repository
        return await self._git.reject(repository.remote, repository.branch, target.location)

    async def _publish(self, target: Target, before: PackageState) -> PackageState:
        if before.lifecycle in {Lifecycle.DRAFT, Lifecycle.PROPOSED}:
            await self._check_reported(target, before)
            _check_rendered(target.revision)
            _check_readiness(target.revision)
        repository = target.repository
        return await self._git.publish(
            repository.remote,
            repository.branch,
            target.location,
            author=repository.author,
            expected_commit=before.commit if before.lifecycle in {Lifecycle.DRAFT, Lifecycle.PROPOSED} else None,
            tag_hint=published_ref(target.revision.status),
            create_branch=repository.create_branch,
        )

    async def _propose_deletion(self, target: Target, before: PackageState) -> PackageState:
        repository = target.repository
        return await self._git.propose_deletion(
            repository.remote, repository.branch, target.location, revision=before.revision
        )

    async def _undo_deletion(self, target: Target, before: PackageState) -> PackageState:
        repository = target.repository
        return await self._git.undo_deletion(
            repository.remote, repository.branch, target.location, revision=before.revision
        )

    async def _report(self, target: Target, before: PackageState, after: PackageState, desired: Lifecycle) -> None:
        obj = target.obj
        target.fields = {"selfLock": self_lock(target, after), **_published_fields(after)}
        if after.lifecycle is not None and after.lifecycle.is_published:
            target.fields |= await self._approvals.fields(target.annotations)
        if desired is Lifecycle.DRAFT and facts_of(obj, "").render_pending:
            report = Report(fields={**target.fields, "lastRun": run_of("Running")}, conditions=_render_follows(obj))
        elif desired is Lifecycle.DRAFT:
            _check_rendered(target.revision)
            report = self._done(target, before, after)
        else:
            report = self._done(target, before, after)
        target.obj = await self._reporter.report(obj, report)

    def _done(self, target: Target, before: PackageState, after: PackageState) -> Report:
        told = _told(target.revision, before, after)
        ready = condition(target.obj, ConditionType.READY, ConditionStatus.TRUE, Reason.READY, told)
        fields = {**acknowledged(target.obj), **target.fields, "lastRun": run_of("Succeeded")}
        return Report(fields=fields, conditions=(ready,))


def _render_follows(obj: dict[str, Any]) -> tuple[Condition, ...]:
    return (
        condition(obj, ConditionType.READY, ConditionStatus.FALSE, Reason.PENDING, "a Draft; its rendering follows"),
        condition(obj, ConditionType.RECONCILING, ConditionStatus.TRUE, Reason.PROGRESSING, "rendering the Draft"),
    )


def _told(revision: PackageRevision, before: PackageState, after: PackageState) -> str:
    if before.lifecycle is not after.lifecycle:
        return f"moved from {before.lifecycle} to {after.lifecycle}"
    # What was said of the last move stays: saying less, because it was done before, would be news.
    ready = (each for each in revision.status.conditions if each.type == ConditionType.READY)
    return next((each.message for each in ready if each.status is ConditionStatus.TRUE), "")


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


def _check_rendered(revision: PackageRevision) -> None:
    for each in revision.status.conditions:
        if each.type == ConditionType.RENDERED and each.status is ConditionStatus.FALSE:
            moved = "a Draft" if revision.spec.lifecycle is Lifecycle.DRAFT else f"not {revision.spec.lifecycle}"
            raise Stalled(
                Reason.RENDER_FAILED,
                f"{moved}: the last render failed ({each.message}); mend the package and push it again",
            )


def _check_readiness(revision: PackageRevision) -> None:
    status = {each.type: each.status for each in revision.status.package_conditions}
    unmet = [gate.condition_type for gate in revision.spec.readiness_gates if status.get(gate.condition_type) != "True"]
    if unmet:
        raise Stalled(
            Reason.NOT_READY,
            f"not moved to {revision.spec.lifecycle}: readiness gate {', '.join(map(repr, unmet))} is not met; the"
            " Kptfile's status.conditions must hold it with status True",
        )
