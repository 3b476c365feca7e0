"""Values that are kept within a limit: the ones that were used last. Pure; callers with threads hold a lock."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Newest(Generic[Key, Value]):
    """Keeps values by key; the one that was not used for the longest time goes first."""

    def __init__(self, limit: int, weigh: Callable[[Value], int] = lambda _: 1) -> None:
        """Keep nothing yet.

        Args:
            limit: Weight of all kept values.
            weigh: Returns the weight of a value, which does not change while it is kept; the default is one each.
        """
        self._limit = limit
        self._weigh = weigh
        self._kept: OrderedDict[Key, Value] = OrderedDict()
        self._weight = 0

    def __len__(self) -> int:
        """Return the number of kept values."""
        return len(self._kept)

    @property
    def weight(self) -> int:
        """Weight of all kept values."""
        return self._weight

    def get(self, key: Key) -> Value | None:
        """Return a kept value, which counts as used; None where there is none."""
        if key not in self._kept:
            return None
        self._kept.move_to_end(key)
        return self._kept[key]

    def put(self, key: Key, value: Value) -> None:
        """Keep a value in place of an earlier one of its key, and drop others until all are within the limit.

        A value above the limit is not kept, and drops all others.
        """
        self.pop(key)
        self._kept[key] = value
        self._weight += self._weigh(value)
        while self._weight > self._limit:
            _, gone = self._kept.popitem(last=False)
            self._weight -= self._weigh(gone)

    def pop(self, key: Key) -> Value | None:
        """Return a value and forget it; None where there is none."""
        if key not in self._kept:
            return None
        value = self._kept.pop(key)
        self._weight -= self._weigh(value)
        return value
