"""Index from a PackageRevision to the objects that wait until it is published."""

from collections.abc import Iterable, Mapping
from typing import Any

from porchflow.api.work.subpackage import unmade
from porchflow.kube.following import Key, key_of
from porchflow.watcher.indexes.references import References


class Waiters:
    """Objects whose source or subpackage operation names other PackageRevisions, by these.

    An object is kept only while it needs work.
    """

    def __init__(self) -> None:
        self._named = References[Key, Key]()

    def note(self, obj: Mapping[str, Any]) -> None:
        """Record a raw object that needs work."""
        self._named.note(key_of(obj), _named(obj), key_of(obj))

    def forget(self, key: Key) -> None:
        """Drop an object that needs no work, or is gone."""
        self._named.forget(key)

    def of(self, obj: Mapping[str, Any]) -> Iterable[Key]:
        """Return the objects that can continue now that a raw object is as it is: none while it is not published."""
        published = bool((obj.get("status") or {}).get("revision"))
        return sorted(self._named.owners(key_of(obj))) if published else ()


def _named(obj: Mapping[str, Any]) -> list[Key]:
    namespace, _ = key_of(obj)
    return [(namespace, name) for asked in unmade(obj) for name in _references(asked)]


def _references(asked: Mapping[str, Any]) -> Iterable[str]:
    """Yield the names that a raw source or operation refers to.

    A value that no schema has checked must not end the watch.
    """
    clone, upgrade = asked.get("cloneFrom") or {}, asked.get("upgrade") or {}
    for reference in (clone.get("upstreamRef"), asked.get("copyFrom"), *upgrade.values()):
        if isinstance(reference, dict) and reference.get("name"):
            yield reference["name"]
