"""Index from a PackageRevision to the objects that wait until it is published."""

from collections.abc import Iterable, Mapping
from typing import Any

from porchflow.kube.following import Key, key_of
from porchflow.watcher.references import References


class Waiters:
    """Objects whose source names other PackageRevisions, by these. An object is kept only while it needs work."""

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
    source = (obj.get("spec") or {}).get("source")
    if not source or (obj.get("status") or {}).get("creationSource"):
        return []
    namespace, _ = key_of(obj)
    return [(namespace, name) for name in _references(source)]


def _references(source: Mapping[str, Any]) -> Iterable[str]:
    """Yield the names that a raw source refers to. A value that no schema has checked must not end the watch."""
    clone, upgrade = source.get("cloneFrom") or {}, source.get("upgrade") or {}
    for reference in (clone.get("upstreamRef"), source.get("copyFrom"), *upgrade.values()):
        if isinstance(reference, dict) and reference.get("name"):
            yield reference["name"]
