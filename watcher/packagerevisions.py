"""From the watch of PackageRevisions to signals."""

from collections.abc import Iterable
from datetime import UTC, datetime

from porchflow.api.work.needs import needs_work, stalled_on_access
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.following import Follower, Key, key_of
from porchflow.kube.kinds import PACKAGEREVISIONS
from porchflow.kube.watching import WatchState, WatchTimings, watch_objects
from porchflow.watcher.dispatcher import Dispatcher
from porchflow.watcher.indexes.references import References
from porchflow.watcher.indexes.waiters import Waiters
from porchflow.watcher.needs import Target, clone_secrets, sleeps, target_of


class PackageRevisionWatcher(Follower):
    """Gives every PackageRevision that needs work to the dispatcher.

    A list signals again each object that was signalled before and still needs work: its run may have been terminated by
    hand or lost with Temporal's data. Between two lists the status that a run writes makes no signals, because it
    states no new intent.
    """

    def __init__(
        self,
        client: KubeClient,
        dispatcher: Dispatcher,
        *,
        namespace: str | None,
        timings: WatchTimings,
        state: WatchState,
    ) -> None:
        """Create the follower; `namespace` None means all namespaces."""
        super().__init__(lambda: watch_objects(client, PACKAGEREVISIONS, namespace, timings=timings, state=state))
        self._dispatcher = dispatcher
        self._namespace = namespace
        self._waiters = Waiters()
        self._clones = References[Key, Target]()

    @property
    def clones(self) -> References[Key, Target]:
        """The package revisions that wait for content from a repository with a Secret, by that Secret."""
        return self._clones

    def _known_keys(self) -> Iterable[Key]:
        return self._dispatcher.keys(self._namespace)

    def _take(self, obj: Object, *, listed: bool) -> None:
        self._note_secret(obj)
        now = datetime.now(UTC)
        # A Temporal that lost its runs has also lost those that wait for the end of a suspension.
        if needs_work(obj, now) or (listed and sleeps(obj, now)):
            self._waiters.note(obj)
            self._dispatcher.offer(target_of(obj), again=listed)
        elif not self._listed and stalled_on_access(obj, now):
            # The Secret that it stalled on may have changed while no watcher ran.
            self._dispatcher.insist(target_of(obj))
        else:
            self._waiters.forget(key_of(obj))
            self._dispatcher.forget(key_of(obj))
        for waiting in self._waiters.of(obj):
            self._dispatcher.wake(waiting)

    def _note_secret(self, obj: Object) -> None:
        key, secrets = key_of(obj), clone_secrets(obj)
        if secrets:
            self._clones.note(key, [(key[0], secret) for secret in secrets], target_of(obj))
        else:
            self._clones.forget(key)

    def _gone(self, key: Key) -> None:
        self._clones.forget(key)
        self._waiters.forget(key)
        self._dispatcher.forget(key, gone=True)
