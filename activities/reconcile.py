"""The activities of a PackageRevision, put together from their phases."""

from temporalio import activity

from porchflow.activities.definitions import ObjectKey, PhaseInput, PhaseResult, ReconcileActivities
from porchflow.activities.phases.approval import Approvals
from porchflow.activities.phases.claims import Claims
from porchflow.activities.phases.finalize import Finalizer, blocked
from porchflow.activities.phases.handoff import JustSeen
from porchflow.activities.phases.lifecycle import LifecyclePhase
from porchflow.activities.phases.observe import Observer
from porchflow.activities.phases.phase import PhaseRunner
from porchflow.activities.phases.proposals import Proposals
from porchflow.activities.phases.render import RenderPhase
from porchflow.activities.phases.reports import Reports
from porchflow.activities.phases.source import SourcePhase
from porchflow.activities.phases.suspend import suspend
from porchflow.activities.rendering.early_rendering import EarlyRendering
from porchflow.activities.sources.source_content import SourceContent
from porchflow.activities.sources.upstreams import Upstreams
from porchflow.api.needs import Facts, Phase
from porchflow.gitrepo.git_store import GitStore
from porchflow.kpt.render.evaluation import Evaluator, TagSource
from porchflow.kpt.render.image_names import ImageResolver
from porchflow.kube.client import KubeClient
from porchflow.kube.events import EventRecorder
from porchflow.repositories.access import Repositories
from porchflow.repositories.failures import classify, to_application_error


class PhaseActivities(ReconcileActivities):
    """The implementation that a worker registers. Any worker can run any phase: it holds only clients and caches.

    The caller closes the clients.
    """

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
        shows_own_config: bool = False,
    ) -> None:
        """Create the activities.

        Args:
            kube: Client of the API server.
            git: The store of Git repositories.
            evaluator: Runs functions.
            events: Records Events.
            default_image_prefix: Put before image names without a `/`.
            tags: Lists the tags of images; None resolves no constraint on a function's version.
            annotated_only: Leave Repositories without the annotation of v1alpha2 to the Porch that runs beside.
            shows_own_config: Whether a function gets the resource of its `configPath` among its items too.
        """
        repositories = Repositories(kube, annotated_only=annotated_only)
        seen = JustSeen()
        self._phases = PhaseRunner(kube, repositories, Reports(kube, events), seen)
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
            proposals=proposals,
            early=EarlyRendering(git, evaluator, default_image_prefix, shows_own_config=shows_own_config),
        )
        self._render = RenderPhase(
            git,
            evaluator,
            proposals=proposals,
            images=ImageResolver(default_image_prefix, tags),
            shows_own_config=shows_own_config,
            announced=self._phases.announced,
        )
        self._lifecycle = LifecyclePhase(git, approvals, proposals)
        self._finalizer = Finalizer(kube, git, repositories)

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
            Phase.FINALIZE, request, self._finalizer.run, alone=self._finalizer.leave_git, sort=blocked
        )

    @activity.defn(name="suspend")
    async def suspend(self, request: PhaseInput) -> PhaseResult:
        """See `ReconcileActivities.suspend`."""
        return await self._phases.run(Phase.SUSPEND, request, alone=suspend)
