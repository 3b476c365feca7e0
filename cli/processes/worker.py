"""Assembles a worker: clients, activities, and one Temporal worker per task queue."""

import asyncio
import contextlib
import functools
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from temporalio import activity
from temporalio.client import Client
from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import Interceptor, PollerBehaviorSimpleMaximum, Worker, WorkerDeploymentConfig

from porchflow.activities.definitions import PhaseInput, PhaseResult, SyncRequest, SyncResult
from porchflow.activities.isolation import Isolation
from porchflow.activities.reconcile import PhaseActivities
from porchflow.activities.sync.ref_listing import RefListing
from porchflow.activities.sync.sync import RepositorySync
from porchflow.api.work.needs import Phase
from porchflow.cli.processes.connect import connect_kubernetes, connect_temporal
from porchflow.cli.processes.health import ProcessHealth, serve_health
from porchflow.cli.processes.installation import find_installation
from porchflow.cli.processes.metrics import ActivityMetrics, GitCollector, KubernetesCollector
from porchflow.cli.processes.peers import Peers, kubernetes_probe, temporal_probe
from porchflow.cli.processes.phase_process import ChildPhases
from porchflow.cli.processes.process_metrics import new_registry
from porchflow.cli.processes.temporal.temporal_connection import keep_api_key
from porchflow.cli.processes.tracing import exporting_spans, interceptors
from porchflow.cli.processes.worker_activities import Activities, open_activities
from porchflow.cli.settings import Settings
from porchflow.cli.worker_settings import WorkerSettings
from porchflow.kube.background import in_background
from porchflow.watcher.temporal.schedules import RepositorySchedules
from porchflow.workflows.ids import Installation
from porchflow.workflows.packagerevision import PackageRevisionWorkflow
from porchflow.workflows.policies import ISOLATED_QUEUE, PHASES, RECONCILE_QUEUE, RENDER_QUEUE, SYNC_QUEUE
from porchflow.workflows.reflisting import RefListingWorkflow
from porchflow.workflows.repositorysync import RepositorySyncWorkflow
from porchflow.workflows.runner import FAILS_A_RUN, workflow_runner

logger = logging.getLogger(__name__)

_CANCELLATION_WITHIN = timedelta(seconds=1)
"""Longest time between heartbeats that are sent. A superseded activity is cancelled with the next one."""

_GRACE = timedelta(seconds=20)
"""Time that running activities have to finish when the worker stops."""


async def run_worker(settings: Settings) -> None:
    """Serve the configured task queues until cancelled; wait for Kubernetes and Temporal while they are unavailable.

    Raises:
        SettingsError: Credentials or certificates cannot be used.
    """
    health, peers, registry = ProcessHealth(), Peers(), new_registry("worker")
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(
            serve_health(settings.health_address, peers.readiness(health.readiness), registry)
        )
        exporting = await stack.enter_async_context(exporting_spans("worker"))
        kube = await connect_kubernetes(settings, health.waits_for, namespaces=settings.scope.namespaces)
        await stack.enter_async_context(kube)
        registry.register(KubernetesCollector(lambda: kube.requests))
        activities = await stack.enter_async_context(open_activities(settings, kube))
        registry.register(GitCollector(lambda: activities.git.stats))
        children = ChildPhases(settings)
        stack.push_async_callback(children.aclose)
        client = await connect_temporal(settings, health.waits_for)
        await stack.enter_async_context(in_background(keep_api_key(client, settings.temporal)))
        installation = await find_installation(settings.installation, kube, health.waits_for)
        for worker in build_workers(
            settings.worker,
            client,
            installation,
            activities,
            Isolation(activities.phases, activities.sync, children),
            ActivityMetrics(registry),
            *interceptors(exporting=exporting),
        ):
            await stack.enter_async_context(worker)
        kubernetes, temporal = kubernetes_probe(kube, settings.scope.namespaces), temporal_probe(client)
        await stack.enter_async_context(peers.probing(Kubernetes=kubernetes, Temporal=temporal))
        health.serves(queues=list(settings.worker.queues))
        logger.info("serving %s", ", ".join(settings.worker.queues))
        await asyncio.Event().wait()


def build_workers(
    settings: WorkerSettings,
    client: Client,
    installation: Installation,
    activities: Activities,
    isolation: Isolation,
    *interceptors: Interceptor,
) -> list[Worker]:
    """Return one Temporal worker per configured queue."""

    def make(*, queue: str, **options: Any) -> Worker:  # noqa: ANN401 - those of `Worker`
        return Worker(
            client,
            task_queue=installation.queue(queue),
            deployment_config=_version(settings, installation),
            workflow_failure_exception_types=FAILS_A_RUN,
            **options,
            **_pace(settings),
            max_heartbeat_throttle_interval=_CANCELLATION_WITHIN,
            default_heartbeat_throttle_interval=_CANCELLATION_WITHIN,
            graceful_shutdown_timeout=_GRACE,
            interceptors=interceptors,
        )

    workers = []
    if "reconcile" in settings.queues:
        workers.append(_reconcile_worker(make, settings, activities.phases))
    if "render" in settings.queues:
        render = _phases_on(RENDER_QUEUE, activities.phases)
        workers.append(make(queue=RENDER_QUEUE, activities=render, max_concurrent_activities=settings.render_slots))
    if "sync" in settings.queues:
        trigger = RepositorySchedules(client, installation).trigger
        listing = activities.listing(functools.partial(trigger, instead=False))
        workers.append(_sync_worker(make, settings, activities.sync, listing))
    return [*workers, _isolated_worker(make, isolation)]


def _version(settings: WorkerSettings, installation: Installation) -> WorkerDeploymentConfig | None:
    """Return how a worker takes part in Temporal's worker versioning; None where it does not.

    Runs go to the current version with their next task. They hold no state, so to pin one to the version that it began
    with gains nothing, and it would wait for that version's workers after they are gone.
    """
    if not settings.build_id:
        return None
    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(installation.deployment, settings.build_id),
        use_worker_versioning=True,
        default_versioning_behavior=VersioningBehavior.AUTO_UPGRADE,
    )


def _phases_on(queue: str, activities: PhaseActivities) -> list[Callable[..., Any]]:
    """Return the activities of all phases that run on a queue."""
    return [getattr(activities, policy.activity.__name__) for policy in PHASES.values() if policy.queue == queue]


def _reconcile_worker(make: Callable[..., Worker], settings: WorkerSettings, activities: PhaseActivities) -> Worker:
    return make(
        queue=RECONCILE_QUEUE,
        workflows=[PackageRevisionWorkflow],
        workflow_runner=workflow_runner(),
        activities=[activities.observe, *_phases_on(RECONCILE_QUEUE, activities)],
        max_concurrent_activities=settings.reconcile_slots,
        # A local activity holds the slot of its workflow task.
        max_concurrent_local_activities=settings.reconcile_slots,
        **_of_workflows(settings),
    )


def _isolated_worker(make: Callable[..., Worker], isolation: Isolation) -> Worker:
    """Return a worker for phases and syncs of all other queues, one at a time: its memory is beside that of theirs."""
    return make(
        queue=ISOLATED_QUEUE,
        activities=[
            *(_isolated_phase(isolation, phase, policy.activity.__name__) for phase, policy in PHASES.items()),
            _isolated_sync(isolation, RepositorySync.sync_repository.__name__),
        ],
        max_concurrent_activities=1,
    )


def _isolated_phase(isolation: Isolation, phase: Phase, name: str) -> Callable[[PhaseInput], Awaitable[PhaseResult]]:
    @activity.defn(name=name)
    async def run(request: PhaseInput) -> PhaseResult:
        return await isolation.run_phase(phase, name, request)

    return run


def _isolated_sync(isolation: Isolation, name: str) -> Callable[[SyncRequest], Awaitable[SyncResult]]:
    @activity.defn(name=name)
    async def run(request: SyncRequest) -> SyncResult:
        return await isolation.run_sync(name, request)

    return run


def _sync_worker(
    make: Callable[..., Worker], settings: WorkerSettings, sync: RepositorySync, listing: RefListing
) -> Worker:
    return make(
        queue=SYNC_QUEUE,
        workflows=[RepositorySyncWorkflow, RefListingWorkflow],
        activities=[sync.sync_repository, listing.list_refs],
        max_concurrent_activities=settings.sync_slots,
        **_of_workflows(settings),
    )


def _of_workflows(settings: WorkerSettings) -> dict[str, Any]:
    """Return the options of a Temporal worker that runs workflows."""
    return {
        "max_cached_workflows": settings.cached_workflows,
        "max_concurrent_workflow_tasks": settings.workflow_task_slots,
        "workflow_task_poller_behavior": PollerBehaviorSimpleMaximum(settings.workflow_pollers),
    }


def _pace(settings: WorkerSettings) -> dict[str, Any]:
    """Return the options of a Temporal worker that say how fast it takes activities."""
    return {
        "activity_task_poller_behavior": PollerBehaviorSimpleMaximum(settings.activity_pollers),
        "max_activities_per_second": settings.activity_rate or None,
        "max_task_queue_activities_per_second": settings.queue_activity_rate or None,
    }
