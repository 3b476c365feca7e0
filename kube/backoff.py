"""Trying again: how long to wait, and for what."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

logger = logging.getLogger(__name__)

_FIRST_DELAY = 0.5
_LONGEST_DELAY = 10.0

_Result = TypeVar("_Result")

WaitsFor = Callable[[str], None]
"""Told what a start waits for; the empty text when it is there."""


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


async def persist(
    what: str,
    attempt: Callable[[], Awaitable[_Result]],
    expected: tuple[type[Exception], ...],
    waits_for: WaitsFor,
) -> _Result:
    """Try until it works, with growing delays; logs what is in the way when that changes, not at every attempt.

    Args:
        what: What is waited for, for people.
        attempt: What to try.
        expected: Errors that may pass.
        waits_for: Told while it does not work.

    Returns:
        What the attempt that works gives.
    """
    backoff = Backoff(first=_FIRST_DELAY, longest=_LONGEST_DELAY)
    said: str | None = None
    while True:
        try:
            result = await attempt()
        except expected as error:
            if str(error) != said:
                logger.warning("waiting for %s: %s", what, error)
            said = str(error)
            waits_for(f"{what}: {said}")
            await asyncio.sleep(backoff.next())
        else:
            waits_for("")
            if said is not None:
                logger.info("connected to %s", what)
            return result
