"""Assembles the watcher process."""

import contextlib

from cli.connect import connect_kubernetes, connect_temporal
from cli.health import serve_health
from cli.settings import Settings
from watcher.app import WatcherHealth, run_watcher
from watcher.schedules import RepositorySchedules
from watcher.starter import WorkflowStarter


async def run(settings: Settings) -> None:
    """Watch until cancelled; waits for Kubernetes and Temporal when they are away."""
    health = WatcherHealth()
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(serve_health(settings.health_address, health.readiness))
        kube = await connect_kubernetes(settings, health.waits_for, namespaces=settings.namespaces)
        await stack.enter_async_context(kube)
        # The dispatcher has a way of its own to go on while Temporal is away: it keeps order and says so once.
        client = await connect_temporal(settings, health.waits_for, retries=1)
        starter = WorkflowStarter(client)
        await run_watcher(
            kube,
            starter,
            RepositorySchedules(client),
            namespaces=settings.namespaces,
            watch_secrets=settings.watch_secrets,
            in_flight=settings.signals_in_flight,
            sync_seconds=settings.sync_seconds,
            relist_seconds=settings.relist_seconds,
            health=health,
        )
