"""Rate limits per user."""

import math
import time
from collections.abc import Callable

from porchflow.api.newest import Newest
from porchflow.content.refusals import too_many

_KEPT_USERS = 10_000


class RateLimit:
    """One bucket of requests per user, which fills up at a steady rate."""

    def __init__(self, per_second: float, burst: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Create the limit.

        Args:
            per_second: Requests per second that a user may make for ever.
            burst: Requests that a user may make at once after a pause.
            clock: Seconds; for tests.
        """
        self._rate = per_second
        self._burst = burst
        self._clock = clock
        self._buckets = Newest[str, tuple[float, float]](_KEPT_USERS)

    def take(self, user: str) -> None:
        """Count one request of a user.

        Raises:
            ApiError: The user is above the limit; `retry_after` holds the seconds until the next request is allowed.
        """
        now = self._clock()
        left, seen = self._buckets.get(user) or (float(self._burst), now)
        left = min(float(self._burst), left + (now - seen) * self._rate)
        if left < 1:
            wait = math.ceil((1 - left) / self._rate)
            raise too_many(f"user {user!r} sends more than {self._rate:g} requests per second; try again", wait)
        self._buckets.put(user, (left - 1, now))
