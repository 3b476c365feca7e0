"""Lifecycle phase: move the package revision in Git to the lifecycle the object asks for, and say where it is."""

from collections.abc import Awaitable, Callable
from typing import Any

from activities.definitions import PhaseInput, PhaseResult
from activities.failures import Stalled
from activities.labels import LatestLabel
from activities.locks import published_ref, reported_commit, self_lock
from activities.phase import Target, acknowledged, run_of
from activities.reporting import Report, StatusReporter
from api.conditions import Condition, ConditionStatus, ConditionType, Reason
from api.names import RENDER_REQUEST_ANNOTATION
from api.packagerevision import Lifecycle, PackageRevision
from gitrepo.packages import GitStore
from gitrepo.state import PackageState

_Move = Callable[[Target, PackageState], Awaitable[PackageState]]


class LifecyclePhase:
    """Draft <-> Proposed -> Published <-> DeletionProposed, as Git has it."""

    def __init__(self, git: GitStore, reporter: StatusReporter, latest: LatestLabel) -> None:
        """Take what the phase works with."""
        self._git = git
        self._reporter = reporter
        self._latest = latest
        self._moves: dict[tuple[Lifecycle, Lifecycle], _Move] = {
            (Lifecycle.DRAFT, Lifecycle.PROPOSED): self._propose,
            (Lifecycle.PROPOSED, Lifecycle.DRAFT): self._reject,
            (Lifecycle.PROPOSED, Lifecycle.PUBLISHED): self._publish,
            # The ways to finish what an earlier attempt left half done.
            (Lifecycle.PUBLISHED, Lifecycle.PUBLISHED): self._publish,
            (Lifecycle.PROPOSED, Lifecycle.PROPOSED): self._propose,
            (Lifecycle.DRAFT, Lifecycle.DRAFT): self._reject,
            (Lifecycle.PUBLISHED, Lifecycle.DELETION_PROPOSED): self._propose_deletion,
            (Lifecycle.DELETION_PROPOSED, Lifecycle.PUBLISHED): self._undo_deletion,
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
        after = await self._move(target, before, desired)
        await self._report(target, before, after)
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
        move = self._moves.get((before.lifecycle, desired))
        if move is None:
            allowed = sorted(to for start, to in self._moves if start is before.lifecycle and to is not start)
            raise Stalled(
                Reason.ILLEGAL_TRANSITION,
                f"cannot go from {before.lifecycle} to {desired}: from {before.lifecycle} set spec.lifecycle to"
                f" {' or '.join(allowed)}",
            )
        return await move(target, before)

    async def _propose(self, target: Target, before: PackageState) -> PackageState:
        _check_reported(target, before, f"set the annotation {RENDER_REQUEST_ANNOTATION} to have it rendered")
        _check_rendered(target.revision)
        _check_readiness(target.revision)
        repository = target.repository
        return await self._git.propose(repository.remote, repository.branch, target.location)

    async def _reject(self, target: Target, _: PackageState) -> PackageState:
        repository = target.repository
        return await self._git.reject(repository.remote, repository.branch, target.location)

    async def _publish(self, target: Target, before: PackageState) -> PackageState:
        if before.lifecycle is Lifecycle.PROPOSED:
            _check_reported(target, before, "set spec.lifecycle to Draft to look at it again")
            _check_rendered(target.revision)
            _check_readiness(target.revision)
        repository = target.repository
        return await self._git.publish(
            repository.remote,
            repository.branch,
            target.location,
            author=repository.author,
            expected_commit=reported_commit(target.revision.status) or None,
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

    async def _report(self, target: Target, before: PackageState, after: PackageState) -> None:
        obj = target.obj
        ready = Condition(
            type=ConditionType.READY,
            status=ConditionStatus.TRUE,
            reason=Reason.READY,
            message=_told(before, after),
            observed_generation=obj["metadata"]["generation"],
        )
        fields = {
            **acknowledged(obj),
            "selfLock": self_lock(target, after),
            "lastRun": run_of("Succeeded"),
            **_published_fields(after),
        }
        target.obj = await self._reporter.report(obj, Report(fields=fields, conditions=(ready,)))


def _told(before: PackageState, after: PackageState) -> str:
    return "" if before.lifecycle is after.lifecycle else f"moved from {before.lifecycle} to {after.lifecycle}"


def _published_fields(state: PackageState) -> dict[str, Any]:
    if state.lifecycle is None or not state.lifecycle.is_published:
        return {}
    published = state.published_at.strftime("%Y-%m-%dT%H:%M:%SZ") if state.published_at else None
    return {"revision": state.revision, "publishedAt": published}


def _check_reported(target: Target, state: PackageState, mend: str) -> None:
    """Refuse content that was pushed behind porchflow's back: nobody rendered it, and nobody approved it."""
    reported = reported_commit(target.revision.status)
    if reported and state.commit != reported:
        raise Stalled(
            Reason.CONTENT_CHANGED,
            f"not moved to {target.revision.spec.lifecycle}: {state.ref} is at {state.commit[:12]}, which is not what"
            f" porchflow knows of ({reported[:12]}); {mend}",
        )


def _check_rendered(revision: PackageRevision) -> None:
    for condition in revision.status.conditions:
        if condition.type == ConditionType.RENDERED and condition.status is ConditionStatus.FALSE:
            raise Stalled(
                Reason.RENDER_FAILED,
                f"not moved to {revision.spec.lifecycle}: the last render failed ({condition.message}); mend the"
                " package and push it again",
            )


def _check_readiness(revision: PackageRevision) -> None:
    status = {condition.type: condition.status for condition in revision.status.package_conditions}
    unmet = [gate.condition_type for gate in revision.spec.readiness_gates if status.get(gate.condition_type) != "True"]
    if unmet:
        raise Stalled(
            Reason.NOT_READY,
            f"not moved to {revision.spec.lifecycle}: readiness gate {', '.join(map(repr, unmet))} is not met; the"
            " Kptfile's status.conditions must hold it with status True",
        )
