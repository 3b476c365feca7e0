"""Answers that are kept for a while, so that many requests need one look-up."""

import time
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from porchflow.api.newest import Newest
from porchflow.api.shared_calls import SharedCalls

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass
class _Kept(Generic[Value]):
    value: Value
    since: float


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
        self._looks = SharedCalls[Key, Value]()

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
        return await self._looks.result(key, lambda: self._ask(key, ask))

    async def _ask(self, key: Key, ask: Callable[[], Coroutine[Any, Any, Value]]) -> Value:
        value = await ask()
        self._kept.put(key, _Kept(value, self._clock()))
        return value
