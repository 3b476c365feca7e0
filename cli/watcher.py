"""Assembles the watcher process."""

from cli.connect import connect_kubernetes, connect_temporal
from cli.health import serve_health
from cli.settings import Settings
from watcher.app import WatcherHealth, run_watcher
from watcher.starter import WorkflowStarter


async def run(settings: Settings) -> None:
    """Watch until cancelled; waits for Kubernetes and Temporal when they are away."""
    health = WatcherHealth()
    async with serve_health(settings.health_address, health.readiness), await connect_kubernetes(settings) as kube:
        starter = WorkflowStarter(await connect_temporal(settings))
        await run_watcher(
            kube,
            starter,
            namespaces=settings.namespaces,
            in_flight=settings.signals_in_flight,
            relist_seconds=settings.relist_seconds,
            health=health,
        )
