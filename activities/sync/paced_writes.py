"""Many writes to the API server: a bounded number at once, at the pace that it allows."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from porchflow.kube.backoff import Backoff
from porchflow.kube.errors import KubeUnavailable, TooManyRequests

Write = Callable[[], Awaitable[None]]

_ATTEMPTS = 6
"""Of one write while the API server is busy or unavailable; after that the whole activity is retried."""


class Writer:
    """Does writes, a bounded number at once. An API server that says "too many requests" makes all of them pause."""

    def __init__(self, at_once: int) -> None:
        """Create the writer.

        Args:
            at_once: Writes that may be under way.
        """
        self._at_once = at_once
        self._paused_until = 0.0
        self.done = 0
        """Writes that have succeeded so far."""

    async def run(self, writes: AsyncIterator[Write]) -> None:
        """Do all writes of an iterator; the next one is taken only when it can begin.

        Raises:
            KubeError: A write failed; the writes under way are cancelled.
        """
        lock = asyncio.Lock()

        async def work() -> None:
            while True:
                async with lock:
                    write = await anext(writes, None)
                if write is None:
                    return
                await self._write(write)
                self.done += 1

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._at_once):
                    group.create_task(work())
        except BaseExceptionGroup as errors:
            # One error is enough for the message and for the decision whether to retry.
            raise errors.exceptions[0] from None

    async def _write(self, write: Write) -> None:
        backoff = Backoff(first=0.2, longest=5.0)
        for attempt in range(1, _ATTEMPTS + 1):
            await self._wait()
            try:
                await write()
            except TooManyRequests as error:
                if attempt == _ATTEMPTS:
                    raise
                self._pause(error.retry_after or backoff.next())
            except KubeUnavailable:
                if attempt == _ATTEMPTS:
                    raise
                await asyncio.sleep(backoff.next())
            else:
                return

    def _pause(self, seconds: float) -> None:
        self._paused_until = max(self._paused_until, time.monotonic() + seconds)

    async def _wait(self) -> None:
        while (pause := self._paused_until - time.monotonic()) > 0:  # noqa: ASYNC110 - it is a time that comes
            await asyncio.sleep(pause)
