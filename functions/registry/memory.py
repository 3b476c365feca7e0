"""Answers that are kept for a while, so that many who ask need one look."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass
class _Kept(Generic[Value]):
    value: Value
    since: float
    weight: int


@dataclass
class _Look(Generic[Value]):
    task: asyncio.Task[Value]
    waiting: int = 0


class Memory(Generic[Key, Value]):
    """Keeps answers, but no errors; those who ask for one thing at once share one look."""

    def __init__(
        self,
        *,
        limit: int,
        weigh: Callable[[Value], int] = lambda _: 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start empty.

        Args:
            limit: what the kept answers weigh in all; those that were asked for the longest ago go first.
            weigh: what one weighs; each counts for one unless told otherwise.
            clock: seconds that pass.
        """
        self._limit = limit
        self._weigh = weigh
        self._clock = clock
        self._kept: OrderedDict[Key, _Kept[Value]] = OrderedDict()
        self._weight = 0
        self._looks: dict[Key, _Look[Value]] = {}

    def kept(self, key: Key, seconds: float) -> Value | None:
        """Return an answer that is younger than so many seconds; None if there is none."""
        found = self._kept.get(key)
        if found is None or self._clock() - found.since >= seconds:
            return None
        self._kept.move_to_end(key)
        return found.value

    async def look(self, key: Key, ask: Callable[[], Coroutine[Any, Any, Value]]) -> Value:
        """Ask, or join those who are asking the same; the answer is kept.

        Raises:
            Exception: what `ask` raises; everybody who joined gets it, and it is not kept.
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
        """Forget a look; the next one may be under way when one that everybody left ends."""
        if self._looks.get(key) is look:
            del self._looks[key]

    async def _ask(self, key: Key, ask: Callable[[], Coroutine[Any, Any, Value]]) -> Value:
        value = await ask()
        self._keep(key, value)
        return value

    def _keep(self, key: Key, value: Value) -> None:
        old = self._kept.pop(key, None)
        self._weight -= old.weight if old is not None else 0
        new = _Kept(value, self._clock(), self._weigh(value))
        self._kept[key] = new
        self._weight += new.weight
        while self._weight > self._limit:
            _, gone = self._kept.popitem(last=False)
            self._weight -= gone.weight
