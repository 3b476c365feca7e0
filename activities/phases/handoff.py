"""What was read a moment ago, for who goes on with it at once."""

import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from porchflow.activities.definitions import ObjectKey

_FRESH_SECONDS = 1.0
_LIMIT = 1000


@dataclass(frozen=True)
class Seen:
    """An object with its Repository, as the API server served them."""

    obj: dict[str, Any]
    repository: dict[str, Any] | None = None
    """None where there was none, or nobody looked."""
    _at: float = field(default_factory=time.monotonic)

    @property
    def is_fresh(self) -> bool:
        """Whether this was read so lately that reading it again would mostly find the same."""
        return time.monotonic() - self._at < _FRESH_SECONDS


class JustSeen:
    """Hands an object from the look that began a pass to the phase that follows it in the same process.

    Nothing is lost if it changed in between: every write carries the version that was read, and a conflict makes the
    phase read again. A Repository that changes wakes its objects, and the next pass looks again. Two requests for each
    reconcile are saved.
    """

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self._seen: OrderedDict[tuple[str, str], Seen] = OrderedDict()

    def put(self, key: ObjectKey, obj: dict[str, Any], repository: dict[str, Any] | None) -> None:
        """Keep what was read now."""
        self._seen[key.namespace, key.name] = Seen(obj, repository)
        self._seen.move_to_end((key.namespace, key.name))
        while len(self._seen) > _LIMIT:
            self._seen.popitem(last=False)

    def take(self, namespace: str, name: str) -> Seen | None:
        """Return what was seen of an object, once, unless it was read too long ago."""
        seen = self._seen.pop((namespace, name), None)
        return seen if seen is not None and seen.is_fresh else None
