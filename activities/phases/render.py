"""Render phase: run the function pipeline on the draft's newest content, commit the result on top of it."""

import asyncio
from dataclasses import dataclass

from temporalio import activity

from porchflow.activities.definitions import PhaseInput, PhaseResult
from porchflow.activities.phases.phase import Target
from porchflow.activities.phases.proposals import Proposals
from porchflow.activities.phases.self_lock import draft_lock, reported_commit
from porchflow.activities.rendering.kptfile_mirror import is_rendered
from porchflow.activities.rendering.render_event import failure_event
from porchflow.activities.rendering.render_files import edited, read_resources
from porchflow.activities.rendering.rendered import RenderedReport, condition
from porchflow.activities.reporting import Report, StatusReporter
from porchflow.api.conditions import ConditionStatus, ConditionType, Reason
from porchflow.api.names import PUSH_ON_RENDER_FAILURE_ANNOTATION, RENDER_REQUEST_ANNOTATION
from porchflow.api.packagerevision import Lifecycle
from porchflow.functions.slots import on_behalf_of
from porchflow.gitrepo.git_store import GitStore
from porchflow.gitrepo.store.commit_messages import TaskType
from porchflow.gitrepo.store.snapshots import Snapshot
from porchflow.kpt.render.evaluation import Evaluator
from porchflow.kpt.render.hydrate import RenderOutcome, render
from porchflow.kpt.render.image_names import ImageResolver
from porchflow.kube.errors import KubeError
from porchflow.repositories.failures import PhaseError, Stalled, with_mend

_SHOW_AFTER_SECONDS = 1.0
"""A rendering that is done sooner is not announced: the two extra writes would cost more than they tell."""


@dataclass(frozen=True)
class _Rendered:
    commit: str
    outcome: RenderOutcome
    saved: bool = True
    """Whether the commit holds the outcome."""


class RenderPhase:
    """Renders drafts."""

    def __init__(
        self,
        git: GitStore,
        evaluator: Evaluator,
        *,
        reporter: StatusReporter,
        report: RenderedReport,
        proposals: Proposals,
        images: ImageResolver,
    ) -> None:
        """Take what the phase works with."""
        self._git = git
        self._evaluator = evaluator
        self._reporter = reporter
        self._report = report
        self._proposals = proposals
        self._images = images

    async def run(self, target: Target, request: PhaseInput) -> PhaseResult:
        """Render the newest content of the draft.

        Raises:
            Stalled: A function failed or the package is malformed; what was pushed stays as it is. Or the object asks
                to be published and was never proposed.
            GitConflict: Newer content was pushed meanwhile: the next attempt renders that.
        """
        await self._proposals.check(target)
        tip, found = await self._draft(target, request)
        if found is not Lifecycle.DRAFT:
            return PhaseResult(summary="there is no draft to render", current=found)
        reported = tip == reported_commit(target.revision.status) and not _is_stalled(target)
        if reported and not target.facts.render_pending:
            # Reported by an attempt whose end Temporal did not hear of; the first half of a failure's report is not.
            return PhaseResult(summary=f"rendered before; draft at {tip[:12]}", current=Lifecycle.DRAFT, commit=tip)
        done = await self._unreported(target, tip)
        if done is not None:
            await self._report.write(target, done.outcome.files, done.commit)
            return PhaseResult(summary=f"rendered before; draft at {tip[:12]}", current=Lifecycle.DRAFT, commit=tip)
        announcing = asyncio.create_task(self._announce_when_long(target))
        try:
            rendered = await self._render(target, tip)
        finally:
            announcing.cancel()
            await asyncio.gather(announcing, return_exceptions=True)
        if not rendered.outcome.ok:
            if rendered.saved:
                target.obj = await self._report.mirror(target.obj, rendered.outcome.files)
                target.fields["selfLock"] = draft_lock(target, rendered.commit)
            message = with_mend(rendered.outcome.message)
            raise Stalled(Reason.RENDER_FAILED, message, event=failure_event(message, rendered.outcome.steps))
        await self._report.write(target, rendered.outcome.files, rendered.commit)
        steps = len(rendered.outcome.steps)
        return PhaseResult(
            summary=f"{steps} function{'s' if steps != 1 else ''} run; draft at {rendered.commit[:12]}",
            current=Lifecycle.DRAFT,
            commit=rendered.commit,
        )

    async def _draft(self, target: Target, request: PhaseInput) -> tuple[str, Lifecycle | None]:
        """Find the newest content: after a failed attempt it may be another than the source phase made."""
        if request.commit and activity.info().attempt == 1:
            return request.commit, Lifecycle.DRAFT
        repository = target.repository
        state = await self._git.state(repository.remote, repository.branch, target.location)
        return state.commit, state.lifecycle

    async def _unreported(self, target: Target, tip: str) -> _Rendered | None:
        """Find the rendering that an interrupted attempt pushed and could not report.

        Rendering it once more would be another commit: functions report other results on what is rendered already.
        """
        remote = target.repository.remote
        if (
            tip == reported_commit(target.revision.status)
            or await self._git.task_of(remote, tip, target.location) != TaskType.RENDER
        ):
            return None
        _, files = await self._read(target, tip)
        ok = is_rendered(files)
        return _Rendered(tip, RenderOutcome(files, ok=True)) if ok else None

    async def _read(self, target: Target, commit: str) -> tuple[Snapshot, dict[str, bytes]]:
        snapshot = await self._git.snapshot(target.repository.remote, commit, target.location.path)
        return snapshot, await read_resources(self._git, snapshot)

    async def _render(self, target: Target, tip: str) -> _Rendered:
        remote, location = target.repository.remote, target.location
        snapshot, files = await self._read(target, tip)
        with on_behalf_of(target.namespace):
            outcome = await render(files, self._evaluator, images=self._images)
        saves = outcome.ok or target.annotations.get(PUSH_ON_RENDER_FAILURE_ANNOTATION) == "true"
        if not saves:
            return _Rendered(tip, outcome, saved=False)
        commit = await self._git.commit_on_draft(
            remote,
            location,
            edited(snapshot, files, outcome.files),
            expected_parent=tip,
            task=TaskType.RENDER,
            author=target.repository.author,
        )
        return _Rendered(commit, outcome)

    async def _announce_when_long(self, target: Target) -> None:
        await asyncio.sleep(_SHOW_AFTER_SECONDS)
        request = target.annotations.get(RENDER_REQUEST_ANNOTATION)
        rendering = condition(target.obj, ConditionType.RENDERED, ConditionStatus.UNKNOWN, Reason.PENDING, "rendering")
        announcement = Report(rendered=rendering, render_fields={"renderingPrrResourceVersion": request})
        try:
            target.obj = await self._reporter.report(target.obj, announcement)
        except (PhaseError, KubeError) as error:
            # It is a courtesy: what matters is reported at the end, or fails there.
            activity.logger.info("cannot say that the rendering is under way: %s", error)


def _is_stalled(target: Target) -> bool:
    conditions = target.revision.status.conditions
    return any(each.type == ConditionType.STALLED and each.status is ConditionStatus.TRUE for each in conditions)
