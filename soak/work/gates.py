"""A lock that many may share, or one holds alone."""

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Gate:
    """Lets many pass, or one alone; while one waits to be alone, nobody else begins."""

    def __init__(self) -> None:
        """Create an open gate."""
        self._changed = asyncio.Condition()
        self._inside = 0
        self._alone = 0

    @contextlib.asynccontextmanager
    async def shared(self) -> AsyncIterator[None]:
        """Be inside beside others."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._alone)
            self._inside += 1
        try:
            yield
        finally:
            await self._leave()

    @contextlib.asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Be inside alone."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._alone)
            self._alone += 1
            try:
                await self._changed.wait_for(lambda: not self._inside)
            except BaseException:
                self._alone -= 1
                self._changed.notify_all()
                raise
            self._inside += 1
        try:
            yield
        finally:
            self._alone -= 1
            await self._leave()

    async def _leave(self) -> None:
        async with self._changed:
            self._inside -= 1
            self._changed.notify_all()
