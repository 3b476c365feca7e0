"""Render phase: run the pipeline on the draft's newest content, and commit the result on top of it."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from porchflow.activities.definitions import PhaseInput, PhaseResult
from porchflow.activities.phases.draft_tip import draft_tip
from porchflow.activities.phases.proposals import Proposals
from porchflow.activities.phases.self_lock import draft_lock
from porchflow.activities.rendering.kptfile_mirror import check_size, is_rendered, recorded_of, wish_of
from porchflow.activities.rendering.render_event import failure_event
from porchflow.activities.rendering.render_files import read_kptfile, read_resources, rewritten
from porchflow.activities.running.outcome import Outcome, rendered
from porchflow.activities.target import Target
from porchflow.api.models.conditions import ConditionType, Reason, holding
from porchflow.api.models.packagerevision import Lifecycle
from porchflow.api.names import PUSH_ON_RENDER_FAILURE_ANNOTATION
from porchflow.functions.slots import on_behalf_of
from porchflow.gitrepo.git_store import GitStore
from porchflow.gitrepo.store.commit_messages import TaskType
from porchflow.gitrepo.store.snapshots import Edit, Snapshot
from porchflow.kpt.format.files import KPTFILE
from porchflow.kpt.format.metadata import KptfileMetadata, MetadataWish, read_metadata, with_metadata
from porchflow.kpt.package_errors import InvalidPackage
from porchflow.kpt.render.evaluation import Evaluator
from porchflow.kpt.render.hydrate import RenderOutcome, render
from porchflow.kpt.render.image_names import ImageResolver
from porchflow.repositories.failures import Stalled, with_mend
from porchflow.repositories.reported_lock import reported_commit


@dataclass(frozen=True)
class _Rendered:
    commit: str
    outcome: RenderOutcome
    size: int
    """Bytes of the package at the commit."""
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
        # Before the rendering is announced: the object that comes back from that may ask for more.
        wish = wish_of(target.obj)
        tip, found = await draft_tip(self._git, target, request)
        if found is not Lifecycle.DRAFT:
            return Outcome(PhaseResult(summary="there is no draft to render", current=found))
        before = await self._rendered_before(target, tip)
        if before is not None:
            snapshot, files = before
            return _done(target, _Rendered(tip, RenderOutcome(files, ok=True), snapshot.size), "rendered before")
        async with self._announced(target):
            done = await self._render(target, tip, wish)
        outcome = done.outcome
        if not outcome.ok:
            message = with_mend(outcome.message)
            raise Stalled(
                Reason.RENDER_FAILED,
                message,
                event=failure_event(message, outcome.steps),
                fields=_fields(target, done) if done.saved else None,
                files=outcome.files if done.saved else None,
            )
        steps = len(outcome.steps)
        return _done(target, done, f"{steps} function{'s' if steps != 1 else ''} run", wish)

    async def _rendered_before(self, target: Target, tip: str) -> tuple[Snapshot, dict[str, bytes]] | None:
        """Return the package and resource files that an earlier attempt rendered and pushed; None for any other tip.

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
        snapshot, files = await self._read(target, tip)
        return (snapshot, files) if is_rendered(files) else None

    async def _read(self, target: Target, commit: str) -> tuple[Snapshot, dict[str, bytes]]:
        snapshot = await self._git.snapshot(target.repository.remote, commit, target.location.path)
        return snapshot, await read_resources(self._git, snapshot)

    async def _render(self, target: Target, tip: str, wish: MetadataWish) -> _Rendered:
        remote, location = target.repository.remote, target.location
        snapshot, files = await self._read(target, tip)
        wished = await self._with_wish(target, tip, files, wish)
        with on_behalf_of(target.namespace):
            outcome = await render(
                wished, self._evaluator, images=self._images, shows_own_config=self._shows_own_config
            )
        saves = outcome.ok or target.annotations.get(PUSH_ON_RENDER_FAILURE_ANNOTATION) == "true"
        if not saves:
            return _Rendered(tip, outcome, snapshot.size, saved=False)
        edit = Edit(snapshot, rewritten(snapshot.files, files, outcome.files))
        commit = await self._git.commit_on_draft(
            remote,
            location,
            edit,
            expected_parent=tip,
            task=TaskType.RENDER,
            author=target.repository.author,
        )
        return _Rendered(commit, outcome, edit.size)

    async def _with_wish(
        self, target: Target, tip: str, files: dict[str, bytes], wish: MetadataWish
    ) -> dict[str, bytes]:
        """Return the files with the labels and annotations that the spec asks for in the Kptfile.

        Raises:
            Stalled: The Kptfile would become too large.
        """
        if KPTFILE not in files:
            return files
        try:
            theirs = read_metadata(files[KPTFILE])
            base = recorded_of(target.obj) or await self._reported_metadata(target, tip) or theirs
            text = with_metadata(files[KPTFILE], wish.merged(base, theirs))
        except InvalidPackage:
            # The rendering says what is wrong with it.
            return files
        check_size(text)
        return {**files, KPTFILE: text}

    async def _reported_metadata(self, target: Target, tip: str) -> KptfileMetadata | None:
        """Return what the Kptfile said at the last report, for a status without a record of it, as Porch's is."""
        commit = reported_commit(target.revision.status)
        if not commit or commit == tip:
            return None
        text = await read_kptfile(self._git, target, commit)
        return read_metadata(text) if text is not None else None


def _done(target: Target, done: _Rendered, what: str, wish: MetadataWish | None = None) -> Outcome:
    commit = done.commit
    result = PhaseResult(summary=f"{what}; draft at {commit[:12]}", current=Lifecycle.DRAFT, commit=commit)
    standing = rendered(target.revision.spec.lifecycle)
    return Outcome(result, standing, _fields(target, done), files=done.outcome.files, wish=wish)


def _fields(target: Target, done: _Rendered) -> dict[str, Any]:
    return {"selfLock": draft_lock(target, done.commit), "resourcesSizeBytes": done.size}
