"""Content that was read, kept within a limit; concurrent requests for the same content share one reading."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable

from porchflow.api.newest import Newest
from porchflow.content.packages.encoding import Encoded
from porchflow.kube.background import end

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
        self._readings: dict[Hashable, asyncio.Task[Encoded]] = {}
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
        reading = self._readings.get(key)
        if reading is None:
            reading = asyncio.create_task(self._load(key, load))
            self._readings[key] = reading
            reading.add_done_callback(lambda done: self._forget(key, done))
        # Shielded: a client that goes away must not cancel the reading for the others.
        return await asyncio.shield(reading)

    async def aclose(self) -> None:
        """End the readings in progress."""
        await end(self._readings.values())

    async def _load(self, key: Hashable, load: Callable[[], Awaitable[Encoded]]) -> Encoded:
        async with self._slots:
            self.loads += 1
            content = await load()
        if content.size <= self._limit // 2:
            self._kept.put(key, content)
        return content

    def _forget(self, key: Hashable, done: asyncio.Task[Encoded]) -> None:
        self._readings.pop(key, None)
        if not done.cancelled():
            # Retrieved, so that asyncio does not log it: every client that waited may have gone.
            done.exception()
