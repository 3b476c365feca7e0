"""Assembles the watcher process."""

import contextlib

from porchflow.cli.processes.connect import connect_kubernetes, connect_temporal
from porchflow.cli.processes.health import serve_health
from porchflow.cli.processes.installation import find_installation
from porchflow.cli.processes.metrics import KubernetesCollector, WatcherCollector
from porchflow.cli.processes.peers import Peers, kubernetes_probe, temporal_probe
from porchflow.cli.processes.process_metrics import new_registry
from porchflow.cli.processes.temporal.temporal_connection import keep_api_key
from porchflow.cli.settings import Settings, SettingsError
from porchflow.kube.background import in_background
from porchflow.watcher.app import WatcherHealth, run_watcher
from porchflow.watcher.temporal.schedules import RepositorySchedules
from porchflow.watcher.temporal.starter import WorkflowStarter
from porchflow.watcher.watcher_settings import WatcherSettings

_SHORTEST_SECRET = 16


async def run(settings: Settings) -> None:
    """Watch until cancelled; wait for Kubernetes and Temporal while they are unavailable.

    Raises:
        SettingsError: The secret of the webhooks is missing or too short, or credentials cannot be used.
    """
    check_webhooks(settings.watcher)
    health, peers, registry = WatcherHealth(), Peers(), new_registry("watcher")
    registry.register(WatcherCollector(health))
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(
            serve_health(settings.health_address, peers.readiness(health.readiness), registry)
        )
        kube = await connect_kubernetes(settings, health.waits_for, namespaces=settings.scope.namespaces)
        await stack.enter_async_context(kube)
        registry.register(KubernetesCollector(lambda: kube.requests))
        # The dispatcher retries itself while Temporal is unavailable: it keeps the order and logs the obstacle once.
        client = await connect_temporal(settings, health.waits_for, retries=1)
        await stack.enter_async_context(in_background(keep_api_key(client, settings.temporal)))
        installation = await find_installation(settings.installation, kube, health.waits_for)
        kubernetes, temporal = kubernetes_probe(kube, settings.scope.namespaces), temporal_probe(client)
        await stack.enter_async_context(peers.probing(Kubernetes=kubernetes, Temporal=temporal))
        starter = WorkflowStarter(client, installation)
        health.stuck_runs_ended = lambda: starter.stuck_runs_ended
        await run_watcher(
            kube,
            starter,
            RepositorySchedules(client, installation),
            settings.watcher,
            namespaces=settings.scope.namespaces,
            health=health,
        )


def check_webhooks(settings: WatcherSettings) -> None:
    """Check that the webhook endpoint has secrets of sufficient length.

    Raises:
        SettingsError: There is an address, and no secret or a short one.
    """
    if settings.webhook_address and min(map(len, settings.webhook_secrets), default=0) < _SHORTEST_SECRET:
        raise SettingsError(
            f"PORCHFLOW_WEBHOOK_SECRET: webhooks need a secret of at least {_SHORTEST_SECRET} characters, such as what"
            " openssl rand -hex 32 prints; several are separated by commas"
        )
