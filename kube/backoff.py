"""How long to wait before trying again."""

import random
import time


class Backoff:
    """Delays that double from failure to failure, with jitter.

    The delay starts over only after a time without failures, not with the first success: what succeeds for a moment
    and fails again in a loop is slowed down too.
    """

    def __init__(self, *, first: float, longest: float) -> None:
        """Take the first and the longest delay, in seconds; jitter makes each half as long to half as long again."""
        self._first = first
        self._longest = longest
        self._delay = first
        self._failed_at = float("-inf")

    def next(self) -> float:
        """Return the seconds to wait after a failure that happened now."""
        now = time.monotonic()
        quiet = now - self._failed_at > 2 * self._longest
        self._delay = self._first if quiet else min(self._delay * 2, self._longest)
        self._failed_at = now
        return self._delay * random.uniform(0.5, 1.5)  # noqa: S311 - jitter
