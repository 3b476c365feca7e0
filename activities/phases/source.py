"""Source phase: the first content of a package revision, once."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from porchflow.activities.definitions import PhaseInput, PhaseResult
from porchflow.activities.phases.claims import Claims
from porchflow.activities.phases.proposals import Proposals
from porchflow.activities.phases.self_lock import draft_lock, self_lock
from porchflow.activities.rendering.early_rendering import EarlyRendered, EarlyRendering, read
from porchflow.activities.rendering.kptfile_mirror import check_size, wish_of
from porchflow.activities.rendering.render_files import read_resources
from porchflow.activities.running.outcome import Outcome, rendered, rendering_awaited
from porchflow.activities.sources.conflicts import some_conflicts
from porchflow.activities.sources.source_content import CREATION_SOURCES, SourceContent, task_of, with_changes
from porchflow.activities.sources.source_result import Made
from porchflow.activities.sources.upstreams import Upstreams
from porchflow.activities.target import Target
from porchflow.api.models.conditions import Reason
from porchflow.api.models.packagerevision import Lifecycle
from porchflow.functions.slots import on_behalf_of
from porchflow.gitrepo.errors import GitConflict, GitError
from porchflow.gitrepo.git_store import Draft, GitStore
from porchflow.gitrepo.refs import short_ref
from porchflow.gitrepo.store.commit_messages import TaskType
from porchflow.gitrepo.store.snapshots import Edit, Snapshot, Stored, size_of
from porchflow.gitrepo.store.trees import File, Files
from porchflow.kpt.format.files import KPTFILE
from porchflow.kpt.format.metadata import MetadataWish, read_metadata, with_metadata
from porchflow.kpt.format.upstream import upstream_lock
from porchflow.kpt.package_errors import CONTENT_ERRORS, InvalidPackage
from porchflow.repositories.failures import PhaseError, Stalled


class SourcePhase:
    """Makes the package tree that `spec.source` describes and commits it on the draft branch."""

    def __init__(
        self,
        git: GitStore,
        *,
        content: SourceContent,
        upstreams: Upstreams,
        claims: Claims,
        proposals: Proposals,
        early: EarlyRendering,
    ) -> None:
        """Create the phase.

        Args:
            git: Commits drafts.
            content: Makes the content.
            upstreams: Marks package revisions that others are made from.
            claims: Refuses a draft branch of another object.
            proposals: Refuses publications without a proposal.
            early: Renders small content before it is pushed.
        """
        self._early = early
        self._git = git
        self._content = content
        self._upstreams = upstreams
        self._claims = claims
        self._proposals = proposals

    async def run(self, target: Target, request: PhaseInput) -> Outcome:  # noqa: ARG002 - the shape of every phase
        """Execute the source unless an earlier run did.

        A repeated run finds the draft that an interrupted one pushed, and only reports it.

        Raises:
            Waiting: The source names a PackageRevision or Secret that does not exist or is not published yet.
            Stalled: The source cannot be executed as it is, another object owns the branch, or the object was created
                as Published and Git has no such revision.
            GitError: Git cannot be read or refuses the push.
            PackageError: The source is no package, or cannot be merged.
            KubeError: The API server cannot be reached or refuses.
        """
        revision = target.revision
        source = revision.spec.source
        if revision.status.creation_source or source is None:
            return Outcome(PhaseResult(summary="the source was executed before", current=Lifecycle.DRAFT))
        await self._proposals.check_new(target, lambda: self._found(target))
        task = task_of(source)
        try:
            made = await self._content.make(target, source)
        except (PhaseError, GitError, *CONTENT_ERRORS):
            # The draft of an interrupted attempt counts, even if its upstream is gone now.
            draft = await self._git.draft_made_by(
                target.repository.remote, target.repository.branch, target.location, task
            )
            if draft is None:
                raise
            return await self._done(target, task, draft, Made({}), EarlyRendered({}))
        wish = wish_of(target.obj)
        made = replace(made, content=await self._with_wish(made.content, wish))
        # The run's details list conflicts, and Temporal shows details only of runs of several tasks.
        with on_behalf_of(target.namespace):
            early = await self._early.render(made.content, runs_functions=not made.conflicts)
        try:
            draft = await self._create(target, task, early.content, rendered=early.by_functions)
        except GitConflict as conflict:
            return await self._taken(target, task, conflict)
        return await self._done(target, task, draft, made, early, wish=wish)

    async def _with_wish(self, content: Files | Edit, wish: MetadataWish) -> Files | Edit:
        """Return the content with the labels and annotations that the spec asks for in its Kptfile."""
        file = _files(content).get(KPTFILE)
        if file is None or wish == MetadataWish():
            return content
        text = (await read(self._git, content, [KPTFILE]))[KPTFILE]
        try:
            before = read_metadata(text)
            wanted = with_metadata(text, wish.merged(before, before))
        except InvalidPackage:
            # The rendering says what is wrong with it.
            return content
        check_size(wanted)
        return with_changes(content, {KPTFILE: File(wanted, file.mode)}) if wanted != text else content

    async def _found(self, target: Target) -> Lifecycle | None:
        repository = target.repository
        return (await self._git.state(repository.remote, repository.branch, target.location)).lifecycle

    async def _create(self, target: Target, task: TaskType, content: Files | Edit, *, rendered: bool) -> Draft:
        repository = target.repository
        return await self._git.create_draft(
            repository.remote,
            repository.branch,
            target.location,
            content,
            task=task,
            author=repository.author,
            create_branch=repository.create_branch,
            rendered=rendered,
        )

    async def _done(
        self,
        target: Target,
        task: TaskType,
        draft: Draft,
        made: Made,
        early: EarlyRendered,
        *,
        wish: MetadataWish | None = None,
    ) -> Outcome:
        content, files = early.content, early.files
        if draft.existing:
            # It may hold more than the content of this source.
            await self._claims.check(target)
            snapshot = await self._git.snapshot(target.repository.remote, draft.commit, target.location.path)
            made, content = replace(made, content=Edit(snapshot)), Edit(snapshot)
            files, wish = await self._rendered_before(target, draft, snapshot), None
        fields = await self._made_from(made) | {"resourcesSizeBytes": size_of(_files(content))}
        if made.upstream is not None:
            # Before the report, because the source is not executed again after it.
            metadata = target.obj["metadata"]
            await self._upstreams.mark(made.upstream, metadata["namespace"], metadata["name"])
        fields |= {"creationSource": CREATION_SOURCES[task], "selfLock": draft_lock(target, draft.commit)}
        lines = some_conflicts(made.conflicts)
        count = len(made.conflicts)
        met = f", {count} conflict{'s' if count > 1 else ''}" if count else ""
        result = PhaseResult(
            summary=f"{CREATION_SOURCES[task]}: draft at {draft.commit[:12]}{met}",
            notes=[*(message for _, message in made.warnings), *(f"conflict: {line}" for line in lines)],
            current=Lifecycle.DRAFT,
            # Empty for a proposal: the render phase must not take its commit for that of a draft.
            commit=draft.commit if draft.ref == short_ref(target.location.draft_ref) else "",
            rendered=files is not None,
        )
        return Outcome(
            result,
            rendered(target.revision.spec.lifecycle) if files is not None else rendering_awaited(),
            fields,
            files=files,
            wish=wish,
            warnings=(*made.warnings, *((Reason.MERGE_CONFLICT, line) for line in lines)),
        )

    async def _rendered_before(self, target: Target, draft: Draft, snapshot: Snapshot) -> dict[str, bytes] | None:
        """Return the resource files of a draft that an interrupted attempt rendered; None for any other draft.

        Running functions again on their own output may change it.
        """
        if not draft.rendered or draft.ref != short_ref(target.location.draft_ref):
            return None
        return await read_resources(self._git, snapshot)

    async def _made_from(self, made: Made) -> dict[str, Any]:
        """Return the field `upstreamLock` of the status, from the Kptfile of the draft; empty where that has none."""
        if KPTFILE not in _files(made.content):
            return {}
        lock = upstream_lock((await read(self._git, made.content, [KPTFILE]))[KPTFILE])
        return {"upstreamLock": {"type": "git", "git": lock.model_dump()}} if lock is not None else {}

    async def _taken(self, target: Target, task: TaskType, conflict: GitConflict) -> Outcome:
        """Adopt a published revision whose object was lost and applied again; refuse content of other objects.

        Raises:
            Stalled: Git holds another package revision under the name.
            GitConflict: Git holds nothing under the name any more: the next attempt decides.
        """
        repository = target.repository
        state = await self._git.state(repository.remote, repository.branch, target.location)
        if state.lifecycle is None:
            raise conflict
        desired = target.revision.spec.lifecycle
        if desired is None or not (desired.is_published and state.lifecycle.is_published):
            raise Stalled(Reason.GIT_CONFLICT, str(conflict)) from conflict
        await self._claims.check(target)
        fields = {"creationSource": CREATION_SOURCES[task], "selfLock": self_lock(target, state)}
        result = PhaseResult(summary=f"{state.ref} is in Git already", current=state.lifecycle, rendered=True)
        return Outcome(result, rendering_awaited(), fields)


def _files(content: Files | Edit) -> Mapping[str, File | Stored]:
    return content.files if isinstance(content, Edit) else content
