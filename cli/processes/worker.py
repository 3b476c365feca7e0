"""Assembles a worker: clients, activities, and one Temporal worker per task queue."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporalio.client import Client
from temporalio.worker import Interceptor, PollerBehaviorSimpleMaximum, Worker

from porchflow.activities.reconcile import PhaseActivities
from porchflow.activities.sync.sync import RepositorySync
from porchflow.cli.processes.connect import connect_kubernetes, connect_temporal
from porchflow.cli.processes.health import ProcessHealth, serve_health
from porchflow.cli.processes.installation import find_installation
from porchflow.cli.processes.metrics import ActivityMetrics, GitCollector, KubernetesCollector, new_registry
from porchflow.cli.processes.peers import Peers, kubernetes_probe, temporal_probe
from porchflow.cli.processes.registries import open_tags
from porchflow.cli.processes.runner_client import open_runner_client
from porchflow.cli.processes.temporal_connection import keep_api_key
from porchflow.cli.processes.tracing import exporting_spans, interceptors, traced
from porchflow.cli.settings import Settings
from porchflow.cli.worker_settings import WorkerSettings
from porchflow.functions.local import LocalEvaluator
from porchflow.gitrepo.git_store import GitStore
from porchflow.kpt.render.evaluation import Evaluator
from porchflow.kube.background import in_background
from porchflow.kube.client import KubeClient
from porchflow.kube.events import EventRecorder
from porchflow.workflows.ids import Installation
from porchflow.workflows.packagerevision import PackageRevisionWorkflow
from porchflow.workflows.policies import RECONCILE_QUEUE, RENDER_QUEUE, SYNC_QUEUE
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
    health, peers, registry = ProcessHealth(), Peers(), new_registry()
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(
            serve_health(settings.health_address, peers.readiness(health.readiness), registry)
        )
        exporting = await stack.enter_async_context(exporting_spans("worker"))
        kube = await connect_kubernetes(settings, health.waits_for, namespaces=settings.scope.namespaces)
        await stack.enter_async_context(kube)
        registry.register(KubernetesCollector(kube))
        activities = await stack.enter_async_context(open_activities(settings, kube))
        registry.register(GitCollector(activities.git))
        client = await connect_temporal(settings, health.waits_for)
        await stack.enter_async_context(in_background(keep_api_key(client, settings.temporal)))
        installation = await find_installation(settings.installation, kube, health.waits_for)
        for worker in build_workers(
            settings.worker,
            client,
            installation,
            activities,
            ActivityMetrics(registry),
            *interceptors(exporting=exporting),
        ):
            await stack.enter_async_context(worker)
        kubernetes, temporal = kubernetes_probe(kube, settings.scope.namespaces), temporal_probe(client)
        await stack.enter_async_context(peers.probing(Kubernetes=kubernetes, Temporal=temporal))
        health.serves(queues=list(settings.worker.queues))
        logger.info("serving %s", ", ".join(settings.worker.queues))
        await asyncio.Event().wait()


@dataclass(frozen=True)
class Activities:
    """The activities of a worker."""

    phases: PhaseActivities
    sync: RepositorySync
    git: GitStore
    """The store of Git repositories that they share."""


@contextlib.asynccontextmanager
async def open_activities(settings: Settings, kube: KubeClient) -> AsyncIterator[Activities]:
    """Create the activities with their clients; the end of the context closes the clients.

    Raises:
        SettingsError: A certificate cannot be used.
    """
    async with contextlib.AsyncExitStack() as stack:
        git = await stack.enter_async_context(GitStore.of(settings.git))
        events = EventRecorder(kube)
        stack.push_async_callback(events.aclose)
        evaluator = await _open_evaluator(settings, stack)
        tags = await stack.enter_async_context(open_tags(settings))
        phases = PhaseActivities(
            kube=kube,
            git=git,
            evaluator=traced(evaluator),
            events=events,
            default_image_prefix=settings.calls.default_image_prefix,
            tags=tags,
            annotated_only=settings.scope.annotated_repositories_only,
            shows_own_config=settings.calls.own_config_among_items,
        )
        sync = RepositorySync(kube=kube, git=git, events=events, scope=settings.scope, settings=settings.sync)
        yield Activities(phases, sync, git)


async def _open_evaluator(settings: Settings, stack: contextlib.AsyncExitStack) -> Evaluator:
    if not settings.runner_client.address:
        local = LocalEvaluator(settings.calls.default_image_prefix, time_limit=settings.calls.builtin_seconds)
        stack.push_async_callback(local.aclose)
        return local
    return await stack.enter_async_context(open_runner_client(settings.runner_client, settings.calls))


def build_workers(
    settings: WorkerSettings,
    client: Client,
    installation: Installation,
    activities: Activities,
    *interceptors: Interceptor,
) -> list[Worker]:
    """Return one Temporal worker per configured queue."""

    def make(*, queue: str, **options: Any) -> Worker:  # noqa: ANN401 - those of `Worker`
        return Worker(
            client,
            task_queue=installation.queue(queue),
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
        render = activities.phases.render
        workers.append(make(queue=RENDER_QUEUE, activities=[render], max_concurrent_activities=settings.render_slots))
    if "sync" in settings.queues:
        workers.append(_sync_worker(make, settings, activities.sync))
    return workers


def _reconcile_worker(make: Callable[..., Worker], settings: WorkerSettings, activities: PhaseActivities) -> Worker:
    return make(
        queue=RECONCILE_QUEUE,
        workflows=[PackageRevisionWorkflow],
        workflow_runner=workflow_runner(),
        activities=[
            activities.observe,
            activities.execute_source,
            activities.move_lifecycle,
            activities.finalize,
            activities.suspend,
        ],
        max_concurrent_activities=settings.reconcile_slots,
        # A local activity holds the slot of its workflow task.
        max_concurrent_local_activities=settings.reconcile_slots,
        **_of_workflows(settings),
    )


def _sync_worker(make: Callable[..., Worker], settings: WorkerSettings, activities: RepositorySync) -> Worker:
    return make(
        queue=SYNC_QUEUE,
        workflows=[RepositorySyncWorkflow],
        activities=[activities.sync_repository],
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
