"""The watcher: Kubernetes objects in, signals to workflows out."""

import asyncio
import functools
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any, Protocol

from porchflow.kube.backoff import persist
from porchflow.kube.client import KubeClient
from porchflow.kube.following import Key
from porchflow.kube.watching import WatchState, WatchTimings
from porchflow.watcher.dispatcher import Dispatcher, Signaller
from porchflow.watcher.dispatcher_numbers import DispatcherNumbers
from porchflow.watcher.indexes.places import Places
from porchflow.watcher.packagerevisions import PackageRevisionWatcher
from porchflow.watcher.repositories import RepositoryWatcher
from porchflow.watcher.scheduling import SyncScheduling
from porchflow.watcher.secrets import SecretWatcher
from porchflow.watcher.temporal.schedules import Schedules
from porchflow.watcher.temporal.temporal_errors import TemporalUnavailable
from porchflow.watcher.watcher_settings import WatcherSettings
from porchflow.watcher.webhooks.endpoint import serve_webhooks

logger = logging.getLogger(__name__)

_Watcher = PackageRevisionWatcher | RepositoryWatcher | SecretWatcher


class Starter(Signaller, Protocol):
    """A `Signaller` that needs preparation; a `WorkflowStarter`."""

    async def prepare(self) -> None:
        """Prepare; raises `TemporalUnavailable` while that is not possible."""


class WatcherHealth:
    """State of the watcher, for people and probes."""

    def __init__(self) -> None:
        self._watches: list[WatchState] = []
        self._dispatcher: Dispatcher | None = None
        self._scheduling: SyncScheduling | None = None
        self.stuck_runs_ended: Callable[[], int] = lambda: 0
        """Returns how many runs were ended because they were stuck."""
        self._waiting_for = "the start"

    def waits_for(self, what: str) -> None:
        """Record what the start waits for; the empty text when it waits for nothing."""
        self._waiting_for = what

    def runs(self, dispatcher: Dispatcher, scheduling: SyncScheduling, watches: Sequence[WatchState]) -> None:
        """Record the parts to report on."""
        self._waiting_for = ""
        self._dispatcher = dispatcher
        self._scheduling = scheduling
        self._watches = list(watches)

    @property
    def watches(self) -> Sequence[WatchState]:
        """State of each watch."""
        return self._watches

    def numbers(self) -> DispatcherNumbers | None:
        """Return the figures of the signal queue; None before anything is watched."""
        return self._dispatcher.numbers() if self._dispatcher else None

    def readiness(self) -> tuple[bool, Mapping[str, Any]]:
        """Return whether everything was listed, is watched and can be signalled, with the figures behind that."""
        numbers = self.numbers()
        if numbers is None or self._scheduling is None:
            return False, {"waitingFor": self._waiting_for}
        schedules = self._scheduling.error
        watched = all(watch.listed and not watch.error for watch in self._watches)
        return watched and not numbers.error and not schedules, {
            "watches": [_describe(watch) for watch in self._watches],
            "signals": asdict(numbers),
            "schedules": {"error": schedules},
        }


async def run_watcher(
    kube: KubeClient,
    starter: Starter,
    schedules: Schedules,
    settings: WatcherSettings,
    *,
    namespaces: Sequence[str] = (),
    health: WatcherHealth | None = None,
    timings: WatchTimings | None = None,
) -> None:
    """Watch until cancelled.

    Kubernetes or Temporal may be away at the start and at any time: the watcher waits, reports for what, and goes on.
    The same holds while the CustomResourceDefinitions are not installed.

    Args:
        kube: The API server.
        starter: Signals and starts workflows.
        schedules: Starts the syncs of Repositories.
        settings: What is watched, and how often everything is looked at again.
        namespaces: Namespaces to watch; none means all.
        health: Records the state of the watcher.
        timings: Intervals and limits of the watches; its `relist` is that of the settings.
    """
    health = health or WatcherHealth()
    timings = replace(timings or WatchTimings(), relist=settings.relist_seconds)
    await persist("Temporal", starter.prepare, (TemporalUnavailable,), health.waits_for)
    dispatcher = Dispatcher(starter, in_flight=settings.signals_in_flight)
    scheduling = SyncScheduling(schedules, usual=timedelta(seconds=settings.sync_seconds))
    places = Places()
    watchers, states = _watchers(
        kube, dispatcher, scheduling, namespaces, timings, places=places, watch_secrets=settings.watch_secrets
    )
    health.runs(dispatcher, scheduling, states)
    logger.info("watching %s", ", ".join(state.name for state in states))
    async with serve_webhooks(settings, places, scheduling.sync), asyncio.TaskGroup() as group:
        group.create_task(dispatcher.run())
        group.create_task(scheduling.run())
        for watcher in watchers:
            group.create_task(watcher.run())


def _watchers(
    kube: KubeClient,
    dispatcher: Dispatcher,
    scheduling: SyncScheduling,
    namespaces: Sequence[str],
    timings: WatchTimings,
    *,
    places: Places,
    watch_secrets: bool,
) -> tuple[list[_Watcher], list[WatchState]]:
    watchers: list[_Watcher] = []
    states: list[WatchState] = []

    def state(what: str, namespace: str | None) -> WatchState:
        where = f"in namespace {namespace}" if namespace else "in all namespaces"
        states.append(WatchState(f"{what} {where}"))
        return states[-1]

    for scope in dict.fromkeys(namespaces) or (None,):
        packages = PackageRevisionWatcher(
            kube, dispatcher, namespace=scope, timings=timings, state=state("PackageRevisions", scope)
        )
        repositories = RepositoryWatcher(
            kube,
            dispatcher,
            namespace=scope,
            timings=timings,
            state=state("Repositories", scope),
            scheduling=scheduling,
            places=places,
        )
        watchers += [packages, repositories]
        if watch_secrets:
            changed = functools.partial(_secret_changed, dispatcher, scheduling, packages, repositories)
            watchers.append(
                SecretWatcher(kube, changed, namespace=scope, timings=timings, state=state("Secrets", scope))
            )
    return watchers, states


def _secret_changed(
    dispatcher: Dispatcher,
    scheduling: SyncScheduling,
    packages: PackageRevisionWatcher,
    repositories: RepositoryWatcher,
    secret: Key,
) -> None:
    for repository in repositories.secrets.owners(secret):
        scheduling.sync(repository, instead=True)
        repositories.wake(repository)
    for target in packages.clones.owners(secret):
        dispatcher.insist(target)


def _describe(watch: WatchState) -> dict[str, Any]:
    silent = round(time.monotonic() - watch.active_at, 1) if watch.active_at > 0 else None
    return {"name": watch.name, "listed": watch.listed, "secondsSinceLastEvent": silent, "error": watch.error}
