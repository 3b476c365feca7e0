"""Stopping the server without cutting off calls that are under way."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import grpc

_LAST_WORDS_SECONDS = 1.0
"""For answers that are on their way out when the last call has ended."""


class CallsUnderWay:
    """Counts calls of functions, and knows when there are none.

    Attributes:
        refused: whether there are to be no more.
    """

    def __init__(self) -> None:
        self.refused = False
        self._count = 0
        self._none = asyncio.Event()
        self._none.set()

    @contextmanager
    def call(self) -> Iterator[None]:
        """Count one call while the context is open."""
        self._count += 1
        self._none.clear()
        try:
            yield
        finally:
            self._count -= 1
            if not self._count:
                self._none.set()

    async def ended(self) -> None:
        """Wait until there is none."""
        await self._none.wait()


async def drain(server: grpc.aio.Server, calls: CallsUnderWay, grace: float) -> None:
    """Refuse new calls, let those under way end, and stop.

    Args:
        server: is stopped.
        calls: what is waited for. Streams without an end are not: a client that watches the server's health, or asks
            for its descriptions, must not hold it up.
        grace: seconds after which calls are cut off; their callers see `UNAVAILABLE`.
    """
    stopped, ended = asyncio.ensure_future(server.stop(grace)), asyncio.ensure_future(calls.ended())
    await asyncio.wait({stopped, ended}, return_when=asyncio.FIRST_COMPLETED)
    ended.cancel()
    await server.stop(_LAST_WORDS_SECONDS)
    await stopped
