"""Objects that the observe activity has just read, for the phase that follows in the same process."""

import time
from dataclasses import dataclass, field
from typing import Any

from porchflow.activities.definitions import ObjectKey
from porchflow.api.newest import Newest

_FRESH_SECONDS = 1.0
_LIMIT = 1000
"""Objects in memory; the oldest go first."""


@dataclass(frozen=True)
class Seen:
    """An object with its Repository, as the API server served them."""

    obj: dict[str, Any]
    repository: dict[str, Any] | None = None
    """None where there was none, or the object names none."""
    _at: float = field(default_factory=time.monotonic)

    @property
    def is_fresh(self) -> bool:
        """Whether this was read less than a second ago, so that another read would most likely find the same."""
        return time.monotonic() - self._at < _FRESH_SECONDS


class JustSeen:
    """Hands an object from the observe activity to the first phase of the pass; it saves two requests a reconcile.

    Only the first phase gets it: a later one judges by the reports of those before it. A change of somebody else in
    between does no harm: every write carries the version that was read, and a conflict makes the phase read again. A
    Repository that changes wakes its objects, and the next pass reads it again.
    """

    def __init__(self) -> None:
        self._seen = Newest[tuple[str, str], Seen](_LIMIT)

    def put(self, key: ObjectKey, obj: dict[str, Any], repository: dict[str, Any] | None) -> None:
        """Keep a raw object and its raw Repository."""
        self._seen.put((key.namespace, key.name), Seen(obj, repository))

    def take(self, namespace: str, name: str, version: str) -> Seen | None:
        """Return and forget an object and its Repository.

        Args:
            namespace: Of the object.
            name: Of the object.
            version: The `resourceVersion` that the pass has read; empty for a phase that another one of the pass came
                before.

        Returns:
            None where that version was not read here within the last second.
        """
        seen = self._seen.pop((namespace, name))
        return seen if seen is not None and seen.is_fresh and version_of(seen.obj) == version else None


def version_of(obj: dict[str, Any]) -> str:
    """Return the `resourceVersion` of a raw object."""
    return str(obj["metadata"]["resourceVersion"])
