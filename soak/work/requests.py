"""Requests of people to the API server, through its bad days: sent again until they are answered."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from porchflow.kube.client import Object
from porchflow.kube.errors import (
    Conflict,
    Expired,
    Forbidden,
    Invalid,
    KubeError,
    KubeUnavailable,
    NotFound,
    NotServed,
    TooManyRequests,
    Unauthorized,
)

_TRANSIENT = (KubeUnavailable, TooManyRequests, Conflict, Unauthorized, NotServed, Expired)
_PATIENCE_SECONDS = 60.0
"""How long a refusal may go on where none should be.

An API server that has just started refuses everybody until it knows the roles; a rendering that failed for a fault
holds up a proposal until it is made again.
"""
_PAUSE_SECONDS = 1.0


class CutOff(Exception):  # noqa: N818 - says what happened
    """The run ended before a request was answered: nobody knows whether it was carried out."""


class Refused(Exception):  # noqa: N818 - says what happened
    """A request was refused, and stayed so; the message is the API server's."""


class Asker:
    """Sends requests until they are answered, or the run is over."""

    def __init__(self) -> None:
        """Create an asker whose requests may go on."""
        self._over = asyncio.Event()

    def end(self) -> None:
        """Give up from now on."""
        self._over.set()

    async def pause(self) -> None:
        """Wait a moment before the next attempt.

        Raises:
            CutOff: The run is over.
        """
        try:
            async with asyncio.timeout(_PAUSE_SECONDS):
                await self._over.wait()
        except TimeoutError:
            return
        raise CutOff

    async def ask(self, request: Callable[[], Awaitable[Object]]) -> Object:
        """Send a request until it succeeds.

        Raises:
            Refused: It is refused for good.
            CutOff: The run is over.
        """
        refused_since = 0.0
        while True:
            try:
                return await request()
            except _TRANSIENT:
                refused_since = 0.0
            except (Forbidden, Invalid, NotFound) as error:
                refused_since = refused_since or time.monotonic()
                if time.monotonic() - refused_since > _PATIENCE_SECONDS:
                    raise Refused(str(error)) from None
            await self.pause()

    async def is_refused(self, request: Callable[[], Awaitable[Object]]) -> bool:
        """Send a request that must be refused; return whether it is.

        Raises:
            CutOff: The run is over.
        """
        while True:
            try:
                await request()
            except _TRANSIENT:
                await self.pause()
            except KubeError:
                return True
            else:
                return False
