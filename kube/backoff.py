"""Retries: how long to wait between attempts, and a loop that reports what it waits for."""

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
"""Receives what a start waits for, as text; the empty text when the wait is over."""


class Backoff:
    """Delays that double from failure to failure, with jitter.

    The delay starts over only after a time without failures, not with the first success: work that succeeds for a
    moment and fails again in a loop is slowed down too.
    """

    def __init__(self, *, first: float, longest: float) -> None:
        """Create the sequence of delays.

        Args:
            first: Seconds after the first failure. Jitter makes each delay half as long to half as long again.
            longest: Seconds that no delay exceeds, before jitter.
        """
        self._first = first
        self._longest = longest
        self._delay = first
        self._failed_at = float("-inf")

    def next(self) -> float:
        """Record a failure that happened now, and return the seconds to wait."""
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
    """Try until it works, with growing delays; log the obstacle when it changes, not at every attempt.

    Args:
        what: What is waited for, for people.
        attempt: What to try.
        expected: Errors that may pass.
        waits_for: Receives `what` and the error while attempts fail, and the empty text after the one that works.

    Returns:
        The result of the attempt that works.
    """
    backoff = Backoff(first=_FIRST_DELAY, longest=_LONGEST_DELAY)
    reported: str | None = None
    while True:
        try:
            result = await attempt()
        except expected as error:
            if str(error) != reported:
                logger.warning("waiting for %s: %s", what, error)
            reported = str(error)
            waits_for(f"{what}: {reported}")
            await asyncio.sleep(backoff.next())
        else:
            waits_for("")
            if reported is not None:
                logger.info("connected to %s", what)
            return result
