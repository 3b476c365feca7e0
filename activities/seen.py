"""What was read a moment ago, for who goes on with it at once."""

import time
from collections import OrderedDict
from typing import Any

from activities.definitions import ObjectKey

_FRESH_SECONDS = 1.0
_LIMIT = 1000


class JustSeen:
    """Hands an object from the look that began a pass to the phase that follows it in the same process.

    Nothing is lost if it changed in between: every write carries the version that was read, and a conflict makes the
    phase read again. A second request for each reconcile is saved.
    """

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self._seen: OrderedDict[tuple[str, str], tuple[float, dict[str, Any]]] = OrderedDict()

    def put(self, key: ObjectKey, obj: dict[str, Any]) -> None:
        """Keep an object that was read now."""
        self._seen[key.namespace, key.name] = time.monotonic(), obj
        self._seen.move_to_end((key.namespace, key.name))
        while len(self._seen) > _LIMIT:
            self._seen.popitem(last=False)

    def take(self, namespace: str, name: str) -> dict[str, Any] | None:
        """Return the object, once, unless it was read too long ago."""
        read_at, obj = self._seen.pop((namespace, name), (0.0, None))
        return obj if time.monotonic() - read_at < _FRESH_SECONDS else None
