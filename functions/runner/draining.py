"""Stopping the server without cutting off calls under way."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import grpc

_LAST_WORDS_SECONDS = 1.0
"""Time for sending the answers of the last calls."""


class CallsUnderWay:
    """Counts the calls of functions that are under way.

    Attributes:
        refused: Whether the server refuses further calls.
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
        """Wait until no call is under way."""
        await self._none.wait()


async def drain(server: grpc.aio.Server, calls: CallsUnderWay, grace: float) -> None:
    """Refuse new calls, let those under way end, and stop.

    Args:
        server: The server to stop.
        calls: The calls to wait for. Other streams, such as a watch of the server's health or of its reflection, may
            never end, and do not delay the stop.
        grace: Seconds after which calls are cut off; their callers see `UNAVAILABLE`.
    """
    stopped, ended = asyncio.ensure_future(server.stop(grace)), asyncio.ensure_future(calls.ended())
    await asyncio.wait({stopped, ended}, return_when=asyncio.FIRST_COMPLETED)
    ended.cancel()
    await server.stop(_LAST_WORDS_SECONDS)
    await stopped
