"""From the watch of Secrets to signals: who waits for credentials goes on as soon as they were changed.

Only metadata is read. What a Secret holds never comes here.
"""

import contextlib
import logging
from collections.abc import Callable
from typing import Final

from porchflow.kube.client import KubeClient, Object
from porchflow.kube.kinds import SECRET_METADATA
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
from porchflow.watcher.needs import Key, key_of

logger = logging.getLogger(__name__)

_NEVER_FOR_GIT: Final = (
    "helm.sh/release.v1",
    "kubernetes.io/service-account-token",
    "kubernetes.io/dockercfg",
    "kubernetes.io/dockerconfigjson",
    "bootstrap.kubernetes.io/token",
)


class SecretWatcher:
    """Says which Secret appeared or changed, once for each change."""

    def __init__(
        self,
        client: KubeClient,
        changed: Callable[[Key], None],
        *,
        namespace: str | None,
        timings: WatchTimings,
        state: WatchState,
    ) -> None:
        """Take the client, who is told, what to watch (None is all namespaces), and who hears how the watch stands."""
        self._client = client
        self._changed = changed
        self._namespace = namespace
        self._timings = timings
        self._state = state
        self._known: dict[Key, str] = {}
        self._unlisted: set[Key] = set()
        self._listed = False

    async def run(self) -> None:
        """Watch until cancelled."""
        events = watch_objects(
            self._client,
            SECRET_METADATA,
            self._namespace,
            field_selector=",".join(f"type!={kind}" for kind in _NEVER_FOR_GIT),
            project=_version_only,
            timings=self._timings,
            state=self._state,
        )
        async with contextlib.aclosing(events):
            async for event in events:
                self.handle(event)

    def handle(self, event: WatchEvent) -> None:
        """Take one event of the watch."""
        match event:
            case ListStarted():
                self._unlisted = set(self._known)
            case Listed(obj):
                self._unlisted.discard(key_of(obj))
                self._look_at(obj)
            case ListEnd():
                self._listed = True
                for key in self._unlisted:
                    del self._known[key]
                self._unlisted = set()
            case Changed(_, obj):
                self._look_at(obj)
            case Deleted(obj):
                self._known.pop(key_of(obj), None)

    def _look_at(self, secret: Object) -> None:
        key, version = key_of(secret), secret["metadata"]["resourceVersion"]
        before = self._known.get(key)
        self._known[key] = version
        # The first list tells nothing new: who stalled before the watcher started is signalled once by its own watch.
        if self._listed and before != version:
            self._changed(key)


def _version_only(secret: Object) -> Object:
    """Keep no more than is compared: annotations may hold what kubectl applied."""
    metadata = secret["metadata"]
    return {"metadata": {name: metadata[name] for name in ("namespace", "name", "resourceVersion")}}
