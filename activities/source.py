"""Source phase: the first content of a package revision, once."""

from typing import Any

from activities.definitions import PhaseInput, PhaseResult
from activities.failures import Stalled
from activities.locks import draft_lock, self_lock
from activities.phase import Target, run_of, to_the_end
from activities.rendered import RenderedReport
from activities.reporting import Report, StatusReporter
from api.conditions import Condition, ConditionStatus, ConditionType, Reason
from api.packagerevision import Lifecycle, PackageSource
from gitrepo.annotations import TaskType
from gitrepo.errors import GitConflict
from gitrepo.packages import GitStore
from gitrepo.refs import short_ref
from gitrepo.trees import File
from kpt.evaluation import Evaluation
from kpt.hydrate import render
from kpt.init import init_package


class SourcePhase:
    """Makes the package tree that `spec.source` describes and commits it on the draft branch."""

    def __init__(self, git: GitStore, reporter: StatusReporter, rendered: RenderedReport) -> None:
        """Take what the phase works with."""
        self._git = git
        self._reporter = reporter
        self._rendered = rendered

    async def run(self, target: Target, request: PhaseInput) -> PhaseResult:  # noqa: ARG002 - the shape of every phase
        """Execute the source unless an earlier run did.

        A repeated run finds the draft that an interrupted one pushed, and only reports it.
        """
        revision = target.revision
        if revision.status.creation_source or revision.spec.source is None:
            return PhaseResult(summary="the source was executed before", current=Lifecycle.DRAFT)
        task, made = _content(revision.spec.package_name, revision.spec.source)
        files, rendered = await _rendered_without_functions(made)
        repository = target.repository
        try:
            draft = await to_the_end(
                self._git.create_draft(
                    repository.remote,
                    repository.branch,
                    target.location,
                    {path: File(data=data) for path, data in files.items()},
                    task=task,
                    author=repository.author,
                    create_branch=repository.create_branch,
                )
            )
        except GitConflict as conflict:
            return await self._taken(target, task, conflict)
        # A draft that was there already may hold more than this source made.
        rendered = rendered and not draft.existing
        if rendered:
            await self._rendered.write(target, files, draft.commit, creationSource=task.value)
        else:
            target.obj = await self._reporter.report(
                target.obj, self._pending(target, task, draft_lock(target, draft.commit))
            )
        return PhaseResult(
            summary=f"{task}: draft at {draft.commit[:12]}",
            current=Lifecycle.DRAFT,
            # Of a proposal the next phase has to find out by itself: it is no draft that could be rendered.
            commit=draft.commit if draft.ref == short_ref(target.location.draft_ref) else "",
            rendered=rendered,
        )

    async def _taken(self, target: Target, task: TaskType, conflict: GitConflict) -> PhaseResult:
        """Take up a published revision whose object was lost and applied again; refuse what is somebody else's.

        Raises:
            Stalled: Git holds something else under the name.
            GitConflict: It came and went: the next attempt sees more.
        """
        repository = target.repository
        state = await self._git.state(repository.remote, repository.branch, target.location)
        if state.lifecycle is None:
            raise conflict
        desired = target.revision.spec.lifecycle
        if desired is None or not (desired.is_published and state.lifecycle.is_published):
            raise Stalled(Reason.GIT_CONFLICT, str(conflict)) from conflict
        target.obj = await self._reporter.report(target.obj, self._pending(target, task, self_lock(target, state)))
        return PhaseResult(summary=f"{state.ref} is in Git already", current=state.lifecycle, rendered=True)

    def _pending(self, target: Target, task: TaskType, lock: dict[str, Any]) -> Report:
        generation = target.obj["metadata"]["generation"]

        def pending(kind: ConditionType, status: ConditionStatus, reason: str = Reason.PENDING) -> Condition:
            return Condition(
                type=kind, status=status, reason=reason, message="awaiting render", observed_generation=generation
            )

        return Report(
            fields={
                "creationSource": task.value,
                "selfLock": lock,
                "lastRun": run_of("Running"),
            },
            conditions=(
                pending(ConditionType.READY, ConditionStatus.FALSE),
                pending(ConditionType.RECONCILING, ConditionStatus.TRUE, Reason.PROGRESSING),
            ),
            rendered=pending(ConditionType.RENDERED, ConditionStatus.UNKNOWN),
        )


def _content(package: str, source: PackageSource) -> tuple[TaskType, dict[str, bytes]]:
    if source.init is None:
        raise Stalled(Reason.INVALID_SPEC, "spec.source: this version of porchflow can execute init only")
    init = source.init
    files = init_package(
        package,
        subpackage=init.subpackage or "",
        description=init.description or "",
        keywords=init.keywords or [],
        site=init.site or "",
    )
    return TaskType.INIT, files


class _NeedsFunctionsError(Exception):
    """The package has a pipeline: rendering it is the next phase's work."""


async def _no_functions(image: str, resource_list: bytes) -> Evaluation:  # noqa: ARG001 - an Evaluator
    raise _NeedsFunctionsError


async def _rendered_without_functions(files: dict[str, bytes]) -> tuple[dict[str, bytes], bool]:
    """Render a package whose pipelines are empty, which takes no function runner and no place in the render queue.

    Returns:
        The rendered files and True; the files as they are and False where functions have to run.
    """
    try:
        outcome = await render(files, _no_functions, default_image_prefix="")
    except _NeedsFunctionsError:
        return files, False
    return (outcome.files, True) if outcome.ok else (files, False)
