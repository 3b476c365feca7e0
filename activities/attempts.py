"""Local first attempts: a phase that goes well ends within the task of its workflow; one that does not, leaves it."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator

from activities.failures import HandedOver

DEADLINE_SECONDS = 4.0
"""What a first attempt may take. Temporal hands out signals again only when the workflow's task ends or, at the latest,
after 8 seconds; and the task holds one of its worker's slots."""

_SLOW_SECONDS = 10.0
"""How long nothing is attempted locally on a repository after it was slow or away."""


class FirstAttempts:
    """Lets local attempts in and ends them in time, so that a repository that hangs does not take all slots."""

    def __init__(self, limit: int, *, deadline: float = DEADLINE_SECONDS) -> None:
        """Take how many local attempts one repository may have at once, and how many seconds each."""
        self._limit = limit
        self._deadline = deadline
        self._running: Counter[str] = Counter()
        self._slow_until: dict[str, float] = {}

    @contextlib.asynccontextmanager
    async def attempt(self, repository: str) -> AsyncIterator[None]:
        """Run the body of a local attempt on a repository, named by its address.

        Raises:
            HandedOver: The attempt is not begun, or takes too long.
        """
        if self._running[repository] >= self._limit or self._slow_until.get(repository, 0.0) > time.monotonic():
            raise HandedOver
        self._running[repository] += 1
        try:
            async with asyncio.timeout(self._deadline):
                yield
        except TimeoutError:
            self.slow(repository)
            raise HandedOver from None
        finally:
            self._running[repository] -= 1
            if not self._running[repository]:
                del self._running[repository]

    def slow(self, repository: str) -> None:
        """Attempt nothing locally on a repository for a while."""
        now = time.monotonic()
        self._slow_until = {key: until for key, until in self._slow_until.items() if until > now}
        self._slow_until[repository] = now + _SLOW_SECONDS
