"""Calls that many share: concurrent ones for the same thing become one. Knows no network."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass
class _Call(Generic[Value]):
    task: asyncio.Task[Value]
    waiting: int = 0


class SharedCalls(Generic[Key, Value]):
    """Makes one call for all that wait for the same key. Belongs to one event loop."""

    def __init__(self, *, outlive_callers: bool = False) -> None:
        """Create it without calls.

        Args:
            outlive_callers: Whether a call goes on that nobody waits for any more: the next attempt finds its result.
        """
        self._outlive_callers = outlive_callers
        self._calls: dict[Key, _Call[Value]] = {}

    async def result(self, key: Key, call: Callable[[], Coroutine[Any, Any, Value]]) -> Value:
        """Begin a call, or join the one in progress for the same key.

        A caller that is cancelled does not end it for the others; once all are, it is cancelled, unless calls outlive
        their callers.

        Raises:
            Exception: The error of the call; every caller that joined gets it.
        """
        shared = self._calls.get(key) or self._begin(key, call)
        shared.waiting += 1
        try:
            return await asyncio.shield(shared.task)
        finally:
            shared.waiting -= 1
            if not shared.waiting and not shared.task.done() and not self._outlive_callers:
                self._drop(key, shared)
                shared.task.cancel()

    async def aclose(self) -> None:
        """End the calls in progress."""
        tasks = [shared.task for shared in self._calls.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, key: Key, call: Callable[[], Coroutine[Any, Any, Value]]) -> _Call[Value]:
        shared = self._calls[key] = _Call(asyncio.create_task(call()))
        shared.task.add_done_callback(lambda _: self._ended(key, shared))
        return shared

    def _ended(self, key: Key, shared: _Call[Value]) -> None:
        self._drop(key, shared)
        if not shared.task.cancelled():
            # Retrieved, so that asyncio does not log it: every caller may have gone.
            shared.task.exception()

    def _drop(self, key: Key, shared: _Call[Value]) -> None:
        """Drop a call. Its successor may be in progress when one that all callers left ends."""
        if self._calls.get(key) is shared:
            del self._calls[key]
