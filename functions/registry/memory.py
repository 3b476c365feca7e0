"""Answers that are kept for a while, so that many requests need one look-up."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from porchflow.api.newest import Newest

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass
class _Kept(Generic[Value]):
    value: Value
    since: float


@dataclass
class _Look(Generic[Value]):
    task: asyncio.Task[Value]
    waiting: int = 0


class Memory(Generic[Key, Value]):
    """Keeps answers, but no errors; concurrent requests for one key share one look-up."""

    def __init__(
        self,
        *,
        limit: int,
        weigh: Callable[[Value], int] = lambda _: 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create an empty memory.

        Args:
            limit: Weight of all kept answers; the least recently used go first.
            weigh: Returns the weight of an answer; the default is one each.
            clock: Seconds that pass.
        """
        self._clock = clock
        self._kept = Newest[Key, _Kept[Value]](limit, lambda kept: weigh(kept.value))
        self._looks: dict[Key, _Look[Value]] = {}

    def kept(self, key: Key, seconds: float) -> Value | None:
        """Return a kept answer.

        Args:
            key: Key of the look-up.
            seconds: Age of the answer at most.

        Returns:
            None if there is no answer, or only an older one.
        """
        found = self._kept.get(key)
        if found is None or self._clock() - found.since >= seconds:
            return None
        return found.value

    async def look(self, key: Key, ask: Callable[[], Coroutine[Any, Any, Value]]) -> Value:
        """Look up, or join the look-up in progress for the same key; the answer is kept.

        Raises:
            Exception: The error of `ask`; every caller that joined gets it, and it is not kept.
        """
        look = self._looks.get(key) or self._begin(key, ask)
        look.waiting += 1
        try:
            return await asyncio.shield(look.task)
        finally:
            look.waiting -= 1
            if not look.waiting and not look.task.done():
                self._end(key, look)
                look.task.cancel()

    def _begin(self, key: Key, ask: Callable[[], Coroutine[Any, Any, Value]]) -> _Look[Value]:
        look = self._looks[key] = _Look(asyncio.create_task(self._ask(key, ask)))
        look.task.add_done_callback(lambda _: self._end(key, look))
        return look

    def _end(self, key: Key, look: _Look[Value]) -> None:
        """Drop a look-up. Its successor may be in progress when one that all callers left ends."""
        if self._looks.get(key) is look:
            del self._looks[key]

    async def _ask(self, key: Key, ask: Callable[[], Coroutine[Any, Any, Value]]) -> Value:
        value = await ask()
        self._kept.put(key, _Kept(value, self._clock()))
        return value
