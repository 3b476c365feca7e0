"""From the watch of PackageRevisions to signals."""

import contextlib

from kube.client import KubeClient
from kube.resources import PACKAGEREVISIONS
from kube.watching import (
    Changed,
    Deleted,
    Listed,
    ListEnd,
    ListStarted,
    WatchEvent,
    WatchState,
    WatchTimings,
    watch_objects,
)
from watcher.dispatcher import Dispatcher
from watcher.needs import Key, key_of, needs_reconcile, sleeps, target_of
from watcher.waiters import Waiters


class PackageRevisionWatcher:
    """Gives every PackageRevision that needs work to the dispatcher."""

    def __init__(
        self,
        client: KubeClient,
        dispatcher: Dispatcher,
        *,
        namespace: str | None,
        timings: WatchTimings,
        state: WatchState,
    ) -> None:
        """Take the clients, what to watch (None is all namespaces), and who is told how the watch stands."""
        self._client = client
        self._dispatcher = dispatcher
        self._namespace = namespace
        self._timings = timings
        self._state = state
        self._waiters = Waiters()
        self._unlisted: set[Key] = set()

    async def run(self) -> None:
        """Watch until cancelled."""
        events = watch_objects(
            self._client, PACKAGEREVISIONS, self._namespace, timings=self._timings, state=self._state
        )
        async with contextlib.aclosing(events):
            async for event in events:
                self.handle(event)

    def handle(self, event: WatchEvent) -> None:
        """Take one event of the watch.

        A list signals again what was signalled before and is not converged: a run that somebody terminated by hand is
        replaced. What a list does not have any more is forgotten.
        """
        match event:
            case ListStarted():
                self._unlisted = set(self._dispatcher.keys(self._namespace))
            case Listed(obj):
                self._unlisted.discard(key_of(obj))
                self._look_at(obj, listed=True)
            case ListEnd():
                for key in self._unlisted:
                    self._forget(key)
                self._unlisted = set()
            case Changed(_, obj):
                self._look_at(obj, listed=False)
            case Deleted(obj):
                self._forget(key_of(obj))

    def _look_at(self, obj: dict[str, object], *, listed: bool) -> None:
        # A Temporal that lost its runs has lost who waits for the end of a suspension, too.
        if needs_reconcile(obj) or (listed and sleeps(obj)):
            self._waiters.note(obj)
            self._dispatcher.offer(target_of(obj), again=listed)
        else:
            self._forget(key_of(obj))
        for waiting in self._waiters.of(obj):
            self._dispatcher.wake(waiting)

    def _forget(self, key: Key) -> None:
        self._waiters.forget(key)
        self._dispatcher.forget(key)
