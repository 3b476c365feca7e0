"""A background task that ends with the context around it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Iterable
from typing import Any


@contextlib.asynccontextmanager
async def in_background(work: Coroutine[Any, Any, Any]) -> AsyncIterator[None]:
    """Run a coroutine while the context is open, then cancel it. Its errors are dropped: it must report them itself."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        await end((task,))


async def end(tasks: Iterable[asyncio.Task[Any]]) -> list[Any]:
    """Cancel tasks and wait until they have ended.

    Returns:
        The result of each task, or the exception that it ended with: `asyncio.CancelledError` for most.
    """
    ending = list(tasks)
    for task in ending:
        task.cancel()
    return await asyncio.gather(*ending, return_exceptions=True)
