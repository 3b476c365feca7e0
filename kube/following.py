"""Keeps up with the objects of a kind: each as it is now, and which are gone."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from typing import Any

from porchflow.kube.client import Object
from porchflow.kube.watching import Changed, Deleted, Listed, ListEnd, ListStarted, WatchEvent

Key = tuple[str, str]
"""Namespace and name of an object."""


class Follower(ABC):
    """Consumes the events of one watch. An object that a list lacks counts as gone, as if its deletion were seen."""

    def __init__(self, watch: Callable[[], AsyncGenerator[WatchEvent, None]]) -> None:
        """Create a follower.

        Args:
            watch: Begins the watch: `porchflow.kube.watching.watch_objects` with its arguments.
        """
        self._watch = watch
        self._unlisted: set[Key] = set()
        self._listed = False
        """Whether everything was listed at least once."""

    async def run(self) -> None:
        """Follow until cancelled."""
        async with contextlib.aclosing(self._watch()) as events:
            async for event in events:
                self.handle(event)
        raise AssertionError("a watch does not end")

    def handle(self, event: WatchEvent) -> None:
        """Handle one event of the watch."""
        match event:
            case ListStarted():
                self._unlisted = set(self._known_keys())
            case Listed(obj):
                self._unlisted.discard(key_of(obj))
                self._take(obj, listed=True)
            case ListEnd():
                for key in self._unlisted:
                    self._gone(key)
                self._unlisted = set()
                self._listed = True
                self._all_listed()
            case Changed(_, obj):
                self._take(obj, listed=False)
            case Deleted(obj):
                self._gone(key_of(obj))

    @abstractmethod
    def _known_keys(self) -> Iterable[Key]:
        """Return the keys of the objects that count as gone when a list does not have them."""

    @abstractmethod
    def _take(self, obj: Object, *, listed: bool) -> None:
        """Handle an object as it is now.

        Args:
            obj: The raw object.
            listed: Whether it comes from a list, which may repeat what was seen before.
        """

    @abstractmethod
    def _gone(self, key: Key) -> None:
        """Handle the deletion of an object."""

    def _all_listed(self) -> None:  # noqa: B027 - most have nothing to do
        """Continue after everything was listed."""


def key_of(obj: Mapping[str, Any]) -> Key:
    """Return namespace and name of a raw object; the namespace of a cluster-scoped object is empty."""
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata["name"]
