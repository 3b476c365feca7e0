"""From the watch of PackageRevisions to signals."""

import contextlib
from datetime import UTC, datetime

from porchflow.api.needs import needs_work, stalled_on_access
from porchflow.kube.client import KubeClient
from porchflow.kube.kinds import PACKAGEREVISIONS
from porchflow.kube.watching import (
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
from porchflow.watcher.dispatcher import Dispatcher
from porchflow.watcher.needs import Key, Target, clone_secret, key_of, sleeps, target_of
from porchflow.watcher.references import References
from porchflow.watcher.waiters import Waiters


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
        self._listed = False
        self._clones = References[Target]()

    @property
    def clones(self) -> "References[Target]":
        """The package revisions that wait for content which they fetch with a Secret, by that Secret."""
        return self._clones

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

        A list signals again what was signalled before and still needs work, whoever ended its run: by hand, or with
        Temporal's data. Between two lists the status that a run writes makes no signals, because it asks for nothing
        new. What a list does not have any more is forgotten.
        """
        match event:
            case ListStarted():
                self._unlisted = set(self._dispatcher.keys(self._namespace))
            case Listed(obj):
                self._unlisted.discard(key_of(obj))
                self._look_at(obj, listed=True)
            case ListEnd():
                for key in self._unlisted:
                    self._gone(key)
                self._unlisted = set()
                self._listed = True
            case Changed(_, obj):
                self._look_at(obj, listed=False)
            case Deleted(obj):
                self._gone(key_of(obj))

    def _look_at(self, obj: dict[str, object], *, listed: bool) -> None:
        self._note_secret(obj)
        now = datetime.now(UTC)
        # A Temporal that lost its runs has lost who waits for the end of a suspension, too.
        if needs_work(obj, now) or (listed and sleeps(obj, now)):
            self._waiters.note(obj)
            self._dispatcher.offer(target_of(obj), again=listed)
        elif not self._listed and stalled_on_access(obj, now):
            # What it stalled on may have changed while nobody watched.
            self._dispatcher.insist(target_of(obj))
        else:
            self._waiters.forget(key_of(obj))
            self._dispatcher.forget(key_of(obj))
        for waiting in self._waiters.of(obj):
            self._dispatcher.wake(waiting)

    def _note_secret(self, obj: dict[str, object]) -> None:
        key, secret = key_of(obj), clone_secret(obj)
        if secret:
            self._clones.note(key, [(key[0], secret)], target_of(obj))
        else:
            self._clones.forget(key)

    def _gone(self, key: Key) -> None:
        self._clones.forget(key)
        self._waiters.forget(key)
        self._dispatcher.forget(key, gone=True)
