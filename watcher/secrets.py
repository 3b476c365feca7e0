"""From the watch of Secrets to signals: objects that wait for credentials continue as soon as these change.

Only metadata is read. The contents of a Secret never reach the watcher.
"""

import logging
from collections.abc import Callable, Iterable
from typing import Final

from porchflow.kube.client import KubeClient, Object
from porchflow.kube.following import Follower, Key, key_of
from porchflow.kube.kinds import SECRET_METADATA
from porchflow.kube.watching import WatchState, WatchTimings, watch_objects

logger = logging.getLogger(__name__)

_NEVER_FOR_GIT: Final = (
    "helm.sh/release.v1",
    "kubernetes.io/service-account-token",
    "kubernetes.io/dockercfg",
    "kubernetes.io/dockerconfigjson",
    "bootstrap.kubernetes.io/token",
)


class SecretWatcher(Follower):
    """Reports which Secret appeared or changed, once for each change."""

    def __init__(
        self,
        client: KubeClient,
        changed: Callable[[Key], None],
        *,
        namespace: str | None,
        timings: WatchTimings,
        state: WatchState,
    ) -> None:
        """Create the follower.

        Args:
            client: The API server.
            changed: Called with each Secret that appeared or changed.
            namespace: Namespace to watch; None means all.
            timings: Intervals and limits of the watch.
            state: Records the state of the watch.
        """
        super().__init__(
            lambda: watch_objects(
                client,
                SECRET_METADATA,
                namespace,
                field_selector=",".join(f"type!={kind}" for kind in _NEVER_FOR_GIT),
                project=_version_only,
                timings=timings,
                state=state,
            )
        )
        self._changed = changed
        self._known: dict[Key, str] = {}

    def _known_keys(self) -> Iterable[Key]:
        return self._known

    def _gone(self, key: Key) -> None:
        self._known.pop(key, None)

    def _take(self, obj: Object, *, listed: bool) -> None:  # noqa: ARG002 - the version says whether it is new
        key, version = key_of(obj), obj["metadata"]["resourceVersion"]
        before = self._known.get(key)
        self._known[key] = version
        # The first list holds nothing new: an object that stalled before the watcher started is signalled once by its
        # own watch.
        if self._listed and before != version:
            self._changed(key)


def _version_only(secret: Object) -> Object:
    """Keep only the version, which is compared: annotations may hold the contents that kubectl applied."""
    metadata = secret["metadata"]
    return {"metadata": {name: metadata[name] for name in ("namespace", "name", "resourceVersion")}}
