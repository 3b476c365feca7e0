"""The activities of a PackageRevision, put together from their phases."""

from temporalio import activity

from activities.approval import Approvals
from activities.claims import Claims
from activities.definitions import Facts, ObjectKey, Phase, PhaseInput, PhaseResult, ReconcileActivities
from activities.early_rendering import EarlyRendering
from activities.failures import classify, to_application_error
from activities.finalize import Finalizer, blocked
from activities.labels import LatestLabel
from activities.lifecycle import LifecyclePhase
from activities.observe import Observer
from activities.phase import PhaseRunner
from activities.proposals import Proposals
from activities.render import RenderPhase
from activities.rendered import RenderedReport
from activities.reporting import StatusReporter
from activities.repositories import Repositories
from activities.seen import JustSeen
from activities.source import SourcePhase
from activities.source_content import SourceContent
from activities.suspend import SuspendPhase
from activities.upstreams import Upstreams
from gitrepo.packages import GitStore
from kpt.evaluation import Evaluator, TagSource
from kpt.images import ImageResolver
from kube.client import KubeClient
from kube.events import EventRecorder


class PhaseActivities(ReconcileActivities):
    """What a worker registers. Holds clients and short-lived caches only: any worker can run any phase."""

    def __init__(
        self,
        *,
        kube: KubeClient,
        git: GitStore,
        evaluator: Evaluator,
        events: EventRecorder,
        default_image_prefix: str,
        tags: TagSource | None = None,
        annotated_only: bool = False,
    ) -> None:
        """Take the clients; closing them is the caller's.

        Without `tags` no constraint on a function's version can be resolved. With `annotated_only`, Repositories
        without the annotation of v1alpha2 are left to the Porch that runs besides.
        """
        repositories = Repositories(kube, annotated_only=annotated_only)
        reporter = StatusReporter(kube, events)
        latest = LatestLabel(kube)
        seen = JustSeen()
        self._phases = PhaseRunner(kube, repositories, reporter, seen)
        rendered = RenderedReport(kube, reporter)
        upstreams = Upstreams(kube, repositories)
        approvals = Approvals(kube)
        proposals = Proposals(approvals)
        self._observer = Observer(kube, repositories, upstreams, seen)
        content = SourceContent(git, repositories, upstreams)
        self._source = SourcePhase(
            git,
            content=content,
            upstreams=upstreams,
            claims=Claims(kube, repositories),
            reporter=reporter,
            rendered=rendered,
            proposals=proposals,
            early=EarlyRendering(git, evaluator, default_image_prefix),
        )
        self._render = RenderPhase(
            git,
            evaluator,
            reporter=reporter,
            report=rendered,
            proposals=proposals,
            images=ImageResolver(default_image_prefix, tags),
        )
        self._lifecycle = LifecyclePhase(git, reporter, latest, approvals, proposals)
        self._suspend = SuspendPhase(kube, reporter)
        self._finalizer = Finalizer(kube, git, repositories, latest, events)

    @activity.defn(name="observe")
    async def observe(self, key: ObjectKey) -> Facts:
        """See `ReconcileActivities.observe`."""
        try:
            return await self._observer.facts(key)
        except Exception as error:  # noqa: BLE001 - every error is sorted and given to Temporal
            raise to_application_error(classify(error)) from None

    @activity.defn(name="execute_source")
    async def execute_source(self, request: PhaseInput) -> PhaseResult:
        """See `ReconcileActivities.execute_source`."""
        return await self._phases.run(Phase.SOURCE, request, self._source.run)

    @activity.defn(name="render")
    async def render(self, request: PhaseInput) -> PhaseResult:
        """See `ReconcileActivities.render`."""
        return await self._phases.run(Phase.RENDER, request, self._render.run)

    @activity.defn(name="move_lifecycle")
    async def move_lifecycle(self, request: PhaseInput) -> PhaseResult:
        """See `ReconcileActivities.move_lifecycle`."""
        return await self._phases.run(Phase.LIFECYCLE, request, self._lifecycle.run)

    @activity.defn(name="finalize")
    async def finalize(self, request: PhaseInput) -> PhaseResult:
        """See `ReconcileActivities.finalize`."""
        return await self._phases.run(
            Phase.FINALIZE, request, self._finalizer.run, instead=self._finalizer.leave_git, sort=blocked
        )

    @activity.defn(name="suspend")
    async def suspend(self, request: PhaseInput) -> PhaseResult:
        """See `ReconcileActivities.suspend`."""
        try:
            return await self._suspend.run(request)
        except Exception as error:  # noqa: BLE001 - every error is sorted and given to Temporal
            raise to_application_error(classify(error)) from None
