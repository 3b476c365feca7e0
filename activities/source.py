"""Source phase: the first content of a package revision, once."""

from activities.definitions import PhaseInput, PhaseResult
from activities.failures import Stalled
from activities.locks import draft_lock
from activities.phase import Target, run_of
from activities.reporting import Report, StatusReporter
from api.conditions import Condition, ConditionStatus, ConditionType, Reason
from api.packagerevision import Lifecycle, PackageSource
from gitrepo.annotations import TaskType
from gitrepo.packages import GitStore
from gitrepo.trees import File
from kpt.init import init_package


class SourcePhase:
    """Makes the package tree that `spec.source` describes and commits it on the draft branch."""

    def __init__(self, git: GitStore, reporter: StatusReporter) -> None:
        """Take what the phase works with."""
        self._git = git
        self._reporter = reporter

    async def run(self, target: Target, request: PhaseInput) -> PhaseResult:  # noqa: ARG002 - the shape of every phase
        """Execute the source unless an earlier run did.

        A repeated run finds the draft that an interrupted one pushed, and only reports it.
        """
        revision = target.revision
        if revision.status.creation_source or revision.spec.source is None:
            return PhaseResult(summary="the source was executed before", current=Lifecycle.DRAFT)
        task, files = _content(revision.spec.package_name, revision.spec.source)
        repository = target.repository
        draft = await self._git.create_draft(
            repository.remote,
            repository.branch,
            target.location,
            files,
            task=task,
            author=repository.author,
            create_branch=repository.create_branch,
        )
        target.obj = await self._reporter.report(target.obj, self._report(target, draft.commit, task))
        return PhaseResult(
            summary=f"{task}: draft at {draft.commit[:12]}", current=Lifecycle.DRAFT, commit=draft.commit
        )

    def _report(self, target: Target, commit: str, task: TaskType) -> Report:
        generation = target.obj["metadata"]["generation"]

        def pending(kind: ConditionType, status: ConditionStatus, reason: str = Reason.PENDING) -> Condition:
            return Condition(
                type=kind, status=status, reason=reason, message="awaiting render", observed_generation=generation
            )

        return Report(
            fields={
                "creationSource": task.value,
                "selfLock": draft_lock(target, commit),
                "lastRun": run_of("Running"),
            },
            conditions=(
                pending(ConditionType.READY, ConditionStatus.FALSE),
                pending(ConditionType.RECONCILING, ConditionStatus.TRUE, Reason.PROGRESSING),
                pending(ConditionType.RENDERED, ConditionStatus.UNKNOWN),
            ),
        )


def _content(package: str, source: PackageSource) -> tuple[TaskType, dict[str, File]]:
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
    return TaskType.INIT, {path: File(data=data) for path, data in files.items()}
