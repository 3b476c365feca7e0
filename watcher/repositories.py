"""From the watch of Repositories to signals and syncs: objects that wait for a Repository continue when it appears."""

import asyncio
import contextlib
import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NoReturn

from porchflow.api.models.conditions import ConditionStatus, ConditionType
from porchflow.api.work.needs import needs_work, stalled_on_access
from porchflow.kube.backoff import Backoff
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.errors import KubeError
from porchflow.kube.following import Follower, Key, key_of
from porchflow.kube.kinds import PACKAGEREVISIONS, REPOSITORIES
from porchflow.kube.watching import WatchState, WatchTimings, watch_objects
from porchflow.watcher.dispatcher import Dispatcher
from porchflow.watcher.indexes.places import Places
from porchflow.watcher.indexes.references import References
from porchflow.watcher.needs import secrets_of, target_of
from porchflow.watcher.scheduling import SyncScheduling
from porchflow.watcher.temporal.temporal_errors import TemporalUnavailable

logger = logging.getLogger(__name__)

Version = tuple[str, int]
"""The uid and generation of a Repository: differs when another Repository has the name, or the spec changed."""


class RepositoryWatcher(Follower):
    """Keeps each Repository's schedule of syncs, and wakes the PackageRevisions that wait for a Repository.

    It wakes those of a Repository that appeared, changed, went, or can be read again, where they still need work or
    stalled on it. The last needs no watch of Secrets: the next sync finds out whether changed credentials do.
    """

    def __init__(
        self,
        client: KubeClient,
        dispatcher: Dispatcher,
        *,
        namespace: str | None,
        timings: WatchTimings,
        state: WatchState,
        scheduling: SyncScheduling,
        places: Places,
    ) -> None:
        """Create the follower.

        Args:
            client: The API server.
            dispatcher: Signals the PackageRevisions.
            namespace: Namespace to watch; None means all.
            timings: Intervals and limits of the watch.
            state: Records the state of the watch.
            scheduling: Keeps the schedules and starts syncs.
            places: Kept up to date with the addresses of the Repositories.
        """
        super().__init__(lambda: watch_objects(client, REPOSITORIES, namespace, timings=timings, state=state))
        self._places = places
        self._client = client
        self._scheduling = scheduling
        self._dispatcher = dispatcher
        self._namespace = namespace
        self._known: dict[Key, Version] = {}
        self._unready: set[Key] = set()
        self._secrets = References[Key, Key]()
        self._all_known = asyncio.Event()
        """Set by each list, until the schedules were compared with it."""
        self._to_wake: dict[Key, None] = {}
        self._waking = asyncio.Event()
        self._backoff = Backoff(first=timings.first_delay, longest=timings.longest_delay)

    @property
    def secrets(self) -> References[Key, Key]:
        """The Repositories, by the Secrets that they name."""
        return self._secrets

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(super().run())
            group.create_task(self._wake_forever())
            group.create_task(self._tidy())

    def _known_keys(self) -> Iterable[Key]:
        return self._known

    def _all_listed(self) -> None:
        self._all_known.set()

    def _take(self, obj: Object, *, listed: bool) -> None:
        key, metadata = key_of(obj), obj["metadata"]
        self._scheduling.seen(obj, listed=listed)
        self._secrets.note(key, secrets_of(obj), key)
        self._places.note(obj)
        version = (metadata.get("uid", ""), metadata.get("generation", 0))
        ready = _is_ready(obj)
        mended = ready and key in self._unready
        if ready:
            self._unready.discard(key)
        else:
            self._unready.add(key)
        if self._known.get(key) == version and not mended:
            return
        self._known[key] = version
        # The first list of Repositories holds nothing new: the first list of PackageRevisions signals all in need.
        if self._listed:
            self.wake(key)

    def _gone(self, key: Key) -> None:
        self._secrets.forget(key)
        self._places.forget(key)
        self._unready.discard(key)
        if self._known.pop(key, None) is not None:
            self._scheduling.gone(key)
            self.wake(key)

    async def _tidy(self) -> NoReturn:
        """Keep the schedule of all, and remove those of Repositories that do not exist, after each list."""
        while True:
            await self._all_known.wait()
            self._all_known.clear()
            try:
                await self._scheduling.keep_listing()
                await self._scheduling.remove_others(self._namespace, self._known)
            except TemporalUnavailable as error:
                logger.warning("cannot look at the schedules of all Repositories, trying again: %s", error)
                self._all_known.set()
                await asyncio.sleep(self._backoff.next())

    def wake(self, key: Key) -> None:
        """Make the PackageRevisions of a Repository that wait for it, or stalled on it, look again."""
        self._to_wake[key] = None
        self._waking.set()

    async def _wake_forever(self) -> NoReturn:
        while True:
            while not self._to_wake:
                self._waking.clear()
                await self._waking.wait()
            key = next(iter(self._to_wake))
            del self._to_wake[key]
            try:
                await self._signal_packages(key)
            except KubeError as error:
                logger.warning("cannot list the PackageRevisions of Repository %s/%s, trying again: %s", *key, error)
                self._to_wake[key] = None
                await asyncio.sleep(self._backoff.next())

    async def _signal_packages(self, repository: Key) -> None:
        namespace, name = repository
        count = 0
        objects = self._client.list_all(PACKAGEREVISIONS, namespace, field_selector=f"spec.repository={name}")
        async with contextlib.aclosing(objects):
            async for obj in objects:
                now = datetime.now(UTC)
                if needs_work(obj, now):
                    self._dispatcher.offer(target_of(obj), again=True)
                elif stalled_on_access(obj, now):
                    self._dispatcher.insist(target_of(obj))
                else:
                    continue
                count += 1
        logger.info("Repository %s/%s changed; %d of its PackageRevisions look again", namespace, name, count)


def _is_ready(repository: Object) -> bool:
    conditions = (repository.get("status") or {}).get("conditions") or []
    return any(
        (each.get("type"), each.get("status")) == (ConditionType.READY, ConditionStatus.TRUE) for each in conditions
    )
