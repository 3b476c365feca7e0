"""Polls for a condition of a server that sends no notice of it."""

import asyncio
from collections.abc import Awaitable, Callable

_POLL_SECONDS = 0.05


async def until(condition: Callable[[], Awaitable[bool]], *, seconds: float, what: str) -> None:
    """Poll until a condition holds.

    Args:
        condition: Called some twenty times a second.
        seconds: How long it may take.
        what: The condition, in the words of the error: "the CRDs are served".

    Raises:
        TimeoutError: It does not hold in time; the message contains `what`.
    """
    try:
        async with asyncio.timeout(seconds):
            while not await condition():  # noqa: ASYNC110 - the server sends no notice
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        raise TimeoutError(f"waited {seconds:g} s in vain until {what}") from None
