"""Render phase: run the pipeline on the draft's newest content, and commit the result on top of it."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from temporalio import activity

from porchflow.activities.definitions import PhaseInput, PhaseResult
from porchflow.activities.phases.outcome import Outcome, rendered
from porchflow.activities.phases.proposals import Proposals
from porchflow.activities.phases.self_lock import draft_lock
from porchflow.activities.rendering.kptfile_mirror import is_rendered
from porchflow.activities.rendering.render_event import failure_event
from porchflow.activities.rendering.render_files import read_resources, rewritten
from porchflow.activities.target import Target
from porchflow.api.conditions import ConditionType, Reason, holding
from porchflow.api.names import PUSH_ON_RENDER_FAILURE_ANNOTATION
from porchflow.api.packagerevision import Lifecycle
from porchflow.functions.slots import on_behalf_of
from porchflow.gitrepo.git_store import GitStore
from porchflow.gitrepo.store.commit_messages import TaskType
from porchflow.gitrepo.store.snapshots import Edit, Snapshot
from porchflow.kpt.render.evaluation import Evaluator
from porchflow.kpt.render.hydrate import RenderOutcome, render
from porchflow.kpt.render.image_names import ImageResolver
from porchflow.repositories.failures import Stalled, with_mend
from porchflow.repositories.reported_lock import reported_commit


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
        proposals: Proposals,
        images: ImageResolver,
        shows_own_config: bool = False,
        announced: Callable[[Target], AbstractAsyncContextManager[None]],
    ) -> None:
        """Create the phase.

        Args:
            git: Reads and commits drafts.
            evaluator: Runs functions.
            proposals: Refuses publications without a proposal.
            images: Resolves the images of functions.
            shows_own_config: Whether a function gets the resource of its `configPath` among its items too.
            announced: Context that announces the rendering in the status if its body takes long.
        """
        self._git = git
        self._evaluator = evaluator
        self._announced = announced
        self._proposals = proposals
        self._images = images
        self._shows_own_config = shows_own_config

    async def run(self, target: Target, request: PhaseInput) -> Outcome:
        """Render the newest content of the draft.

        Raises:
            Stalled: A function failed or the package is malformed; the draft stays as it is. Or the object asks to be
                published and was never proposed.
            GitConflict: Newer content was pushed meanwhile: the next attempt renders that.
            GitError: Git cannot be read or refuses the push.
        """
        await self._proposals.check(target)
        tip, found = await self._draft(target, request)
        if found is not Lifecycle.DRAFT:
            return Outcome(PhaseResult(summary="there is no draft to render", current=found))
        files = await self._rendered_before(target, tip)
        if files is not None:
            return _done(target, tip, files, "rendered before")
        async with self._announced(target):
            done = await self._render(target, tip)
        outcome = done.outcome
        if not outcome.ok:
            message = with_mend(outcome.message)
            raise Stalled(
                Reason.RENDER_FAILED,
                message,
                event=failure_event(message, outcome.steps),
                fields={"selfLock": draft_lock(target, done.commit)} if done.saved else None,
                files=outcome.files if done.saved else None,
            )
        steps = len(outcome.steps)
        return _done(target, done.commit, outcome.files, f"{steps} function{'s' if steps != 1 else ''} run")

    async def _draft(self, target: Target, request: PhaseInput) -> tuple[str, Lifecycle | None]:
        """Return the tip and lifecycle of the draft; after a failed attempt the tip may have moved."""
        if request.commit and activity.info().attempt == 1:
            return request.commit, Lifecycle.DRAFT
        repository = target.repository
        state = await self._git.state(repository.remote, repository.branch, target.location)
        return state.commit, state.lifecycle

    async def _rendered_before(self, target: Target, tip: str) -> dict[str, bytes] | None:
        """Return the resource files of a rendering that an earlier attempt pushed; None where the tip must be rendered.

        Another rendering would add a commit, because functions report other results on rendered content. The earlier
        attempt may even have written its report, and ended before the answer arrived.
        """
        status = target.revision.status
        if tip == reported_commit(status):
            again = holding(status.conditions, ConditionType.STALLED)
            done = not again and not target.facts.render_pending
        else:
            done = await self._git.task_of(target.repository.remote, tip, target.location) == TaskType.RENDER
        if not done:
            return None
        _, files = await self._read(target, tip)
        return files if is_rendered(files) else None

    async def _read(self, target: Target, commit: str) -> tuple[Snapshot, dict[str, bytes]]:
        snapshot = await self._git.snapshot(target.repository.remote, commit, target.location.path)
        return snapshot, await read_resources(self._git, snapshot)

    async def _render(self, target: Target, tip: str) -> _Rendered:
        remote, location = target.repository.remote, target.location
        snapshot, files = await self._read(target, tip)
        with on_behalf_of(target.namespace):
            outcome = await render(files, self._evaluator, images=self._images, shows_own_config=self._shows_own_config)
        saves = outcome.ok or target.annotations.get(PUSH_ON_RENDER_FAILURE_ANNOTATION) == "true"
        if not saves:
            return _Rendered(tip, outcome, saved=False)
        commit = await self._git.commit_on_draft(
            remote,
            location,
            Edit(snapshot, rewritten(snapshot.files, files, outcome.files)),
            expected_parent=tip,
            task=TaskType.RENDER,
            author=target.repository.author,
        )
        return _Rendered(commit, outcome)


def _done(target: Target, commit: str, files: dict[str, bytes], what: str) -> Outcome:
    result = PhaseResult(summary=f"{what}; draft at {commit[:12]}", current=Lifecycle.DRAFT, commit=commit)
    fields = {"selfLock": draft_lock(target, commit)}
    return Outcome(result, rendered(target.revision.spec.lifecycle), fields, files=files)
