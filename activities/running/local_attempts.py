"""Local first attempts: a quick phase ends within the workflow's task; a slow one continues as a regular activity."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator

from porchflow.repositories.failures import HandedOver

DEADLINE_SECONDS = 6.0
"""Seconds of a first attempt. Temporal delivers signals only when the workflow's task ends or, at the latest, after 8
seconds; and the task holds one of its worker's slots."""

_SLOW_SECONDS = 10.0
"""Seconds without local attempts on a repository after it was slow or unavailable; then one attempt is made."""


class FirstAttempts:
    """Admits local attempts and ends them in time, so that a repository that hangs does not keep a worker's slots."""

    def __init__(self, *, deadline: float = DEADLINE_SECONDS, slow: float = _SLOW_SECONDS) -> None:
        """Create the gate.

        Args:
            deadline: Seconds that an attempt may take.
            slow: Seconds that a repository counts as slow.
        """
        self._deadline = deadline
        self._slow_seconds = slow
        self._running: Counter[str] = Counter()
        self._slow_until: dict[str, float] = {}

    @contextlib.asynccontextmanager
    async def attempt(self, repository: str) -> AsyncIterator[None]:
        """Run the body of a local attempt on a repository.

        Args:
            repository: The normalised address (`Remote.place`).

        Raises:
            HandedOver: The repository counts as slow, or the attempt takes too long.
        """
        slow_until = self._slow_until.get(repository)
        if slow_until is not None and (self._running[repository] or slow_until > time.monotonic()):
            raise HandedOver
        self._running[repository] += 1
        try:
            async with asyncio.timeout(self._deadline):
                yield
        except TimeoutError:
            self.slow(repository)
            raise HandedOver from None
        else:
            self._slow_until.pop(repository, None)
        finally:
            self._running[repository] -= 1
            if not self._running[repository]:
                del self._running[repository]

    def slow(self, repository: str) -> None:
        """Count a repository as slow from now on."""
        self._slow_until[repository] = time.monotonic() + self._slow_seconds
