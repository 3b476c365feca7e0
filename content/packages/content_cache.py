"""Content that was read, kept within a limit; concurrent requests for the same content share one reading."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable

from porchflow.api.newest import Newest
from porchflow.api.shared_calls import SharedCalls
from porchflow.content.packages.encoding import Encoded

_READINGS = 4
"""Packages that are read at once: reading one may need several times its size."""


class ContentCache:
    """Content by a name that stands for it for ever: a commit and a path. Belongs to one event loop."""

    def __init__(self, limit: int) -> None:
        """Create an empty cache.

        Args:
            limit: Bytes that may be kept. Content larger than half of it is not kept at all.
        """
        self._limit = limit
        self._kept = Newest[Hashable, Encoded](limit, lambda content: content.size)
        self._readings = SharedCalls[Hashable, Encoded](outlive_callers=True)
        self._slots = asyncio.Semaphore(_READINGS)
        self.loads = 0
        """Readings since the start."""

    @property
    def size(self) -> int:
        """Bytes that are kept."""
        return self._kept.weight

    async def get(self, key: Hashable, load: Callable[[], Awaitable[Encoded]]) -> Encoded:
        """Return content from the cache, wait for a reading in progress, or begin one.

        Args:
            key: Names the content.
            load: Reads it. Its error is raised for every waiting request, and nothing is kept.
        """
        if (kept := self._kept.get(key)) is not None:
            return kept
        return await self._readings.result(key, lambda: self._load(key, load))

    async def aclose(self) -> None:
        """End the readings in progress."""
        await self._readings.aclose()

    async def _load(self, key: Hashable, load: Callable[[], Awaitable[Encoded]]) -> Encoded:
        async with self._slots:
            self.loads += 1
            content = await load()
        if content.size <= self._limit // 2:
            self._kept.put(key, content)
        return content
