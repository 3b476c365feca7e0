"""Many writes to the API server: some at a time, at the pace that it allows."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from porchflow.kube.backoff import Backoff
from porchflow.kube.errors import KubeUnavailable, TooManyRequests

Write = Callable[[], Awaitable[None]]

_ATTEMPTS = 6
"""Of one write that meets an API server which is busy or away; after that the whole is tried again later."""


class Writer:
    """Does writes, a bounded number at once. An API server that says "too many requests" makes all of them pause."""

    def __init__(self, at_once: int) -> None:
        """Take how many writes may be under way."""
        self._at_once = at_once
        self._paused_until = 0.0
        self.done = 0
        """Writes that went through so far."""

    async def run(self, writes: AsyncIterator[Write]) -> None:
        """Do all writes of an iterator, which is asked for the next one only when there is room for it.

        Raises:
            KubeError: Of a write that did not succeed; those under way are cancelled.
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
            # One of them says enough: to a person, and to who decides whether to try again.
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
