"""The activities of a PackageRevision, put together from their phases."""

from typing import Any

from temporalio import activity

from porchflow.activities.definitions import ObjectKey, PhaseInput, PhaseResult, ReconcileActivities
from porchflow.activities.phases.approval import Approvals
from porchflow.activities.phases.claims import Claims
from porchflow.activities.phases.dependents import Dependents
from porchflow.activities.phases.finalize import Finalizer, blocked
from porchflow.activities.phases.lifecycle import LifecyclePhase
from porchflow.activities.phases.proposals import Proposals
from porchflow.activities.phases.render import RenderPhase
from porchflow.activities.phases.source import SourcePhase
from porchflow.activities.phases.subpackage import SubpackagePhase
from porchflow.activities.phases.suspend import suspend
from porchflow.activities.rendering.early_rendering import EarlyRendering
from porchflow.activities.running.deaths import death
from porchflow.activities.running.handoff import JustSeen
from porchflow.activities.running.observe import Observer
from porchflow.activities.running.phase import PhaseRunner, as_it_is
from porchflow.activities.running.reports import Reports
from porchflow.activities.sources.source_content import SourceContent
from porchflow.activities.sources.subpackage_content import SubpackageContent
from porchflow.activities.sources.upstream_content import UpstreamContent
from porchflow.activities.sources.upstreams import Upstreams
from porchflow.api.work.needs import Facts, Phase
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
        temporal_ui: str = "",
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
            temporal_ui: Address of Temporal's UI, to which statuses lead; empty for none.
        """
        repositories = Repositories(kube, annotated_only=annotated_only)
        seen = JustSeen()
        self._phases = PhaseRunner(kube, repositories, Reports(kube, events, ui=temporal_ui), seen)
        upstreams = Upstreams(kube, repositories)
        approvals = Approvals(kube)
        proposals, dependents = Proposals(approvals), Dependents(kube)
        self._observer = Observer(kube, repositories, upstreams, seen)
        found = UpstreamContent(git, repositories, upstreams)
        self._source = SourcePhase(
            git,
            content=SourceContent(git, found),
            upstreams=upstreams,
            claims=Claims(kube, repositories),
            proposals=proposals,
            early=EarlyRendering(git, evaluator, default_image_prefix, shows_own_config=shows_own_config),
        )
        self._subpackage = SubpackagePhase(
            git, content=SubpackageContent(git, found), upstreams=upstreams, proposals=proposals
        )
        self._render = RenderPhase(
            git,
            evaluator,
            proposals=proposals,
            images=ImageResolver(default_image_prefix, tags),
            shows_own_config=shows_own_config,
            announced=self._phases.announced,
        )
        self._lifecycle = LifecyclePhase(git, approvals, proposals, dependents)
        self._finalizer = Finalizer(kube, git, repositories, dependents)

    @activity.defn(name="observe")
    async def observe(self, key: ObjectKey) -> Facts:
        """See `ReconcileActivities.observe`."""
        try:
            return await self._observer.facts(key)
        except Exception as error:  # noqa: BLE001 - every error is sorted and given to Temporal
            raise to_application_error(classify(error)) from None

    async def died(self, phase: Phase, request: PhaseInput, how: str) -> PhaseResult:
        """Report that the process of an isolated phase ended.

        Args:
            phase: The phase.
            request: The request that the process was given.
            how: How it ended, for people, with "it" for the phase.

        Returns:
            The result where the object is gone meanwhile.

        Raises:
            ApplicationError: Of type Lost, or Stalled after `PHASE_DEATHS`; or Superseded.
        """

        async def fail(_: dict[str, Any]) -> None:
            raise death(f"the {phase.lower()} phase", request.deaths + 1, how)

        sort = blocked if phase is Phase.FINALIZE else as_it_is
        return await self._phases.run(phase, request, alone=fail, sort=sort)

    @activity.defn(name="execute_source")
    async def execute_source(self, request: PhaseInput) -> PhaseResult:
        """See `ReconcileActivities.execute_source`."""
        return await self._phases.run(Phase.SOURCE, request, self._source.run)

    @activity.defn(name="change_subpackage")
    async def change_subpackage(self, request: PhaseInput) -> PhaseResult:
        """See `ReconcileActivities.change_subpackage`."""
        return await self._phases.run(Phase.SUBPACKAGE, request, self._subpackage.run)

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
