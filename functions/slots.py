"""Slots for calls under way, shared fairly between those on whose behalf the calls are made.

The protocol of function runners has no word for a tenant. So a caller of ours says it in the metadata of a call, which
other runners do not look at, and calls of others have none. Only callers that the runner trusts reach it.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar

METADATA_KEY = "porchflow-tenant"
"""Of a call: the namespace on whose behalf it is made."""

_tenant: ContextVar[str] = ContextVar("tenant", default="")


def tenant() -> str:
    """The namespace on whose behalf functions are called here; empty where nobody said."""
    return _tenant.get()


@contextmanager
def on_behalf_of(namespace: str) -> Iterator[None]:
    """Let all calls of functions in the context be made on behalf of a namespace."""
    token = _tenant.set(namespace)
    try:
        yield
    finally:
        _tenant.reset(token)


class FairSlots:
    """A number of slots for each tenant, of which together they have one more.

    A free slot goes to the one of those who wait that holds the fewest. One tenant holds `size` of them at most: its
    calls may take minutes, and the last slot is there for everybody else.
    """

    def __init__(self, size: int) -> None:
        """Prepare the slots.

        Args:
            size: slots of one tenant; there is one more.
        """
        self._free = size + 1
        self._most = size
        self._held: Counter[str] = Counter()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Hold a slot on behalf of the tenant of the context; the turn to get one is waited for."""
        name = tenant()
        await self._take(name)
        try:
            yield
        finally:
            self._give_back(name)

    async def _take(self, name: str) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(name, deque()).append(turn)
        self._hand_out()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give_back(name)
            raise

    def _give_back(self, name: str) -> None:
        self._free += 1
        self._held[name] -= 1
        if not self._held[name]:
            del self._held[name]
        self._hand_out()

    def _hand_out(self) -> None:
        while self._free and (name := self._next()) is not None:
            turn = self._waiting[name].popleft()
            # Behind the others who hold as many from now on.
            rest = self._waiting.pop(name)
            if rest:
                self._waiting[name] = rest
            self._free -= 1
            self._held[name] += 1
            turn.set_result(None)

    def _next(self) -> str | None:
        """Who gets the next slot: of those who may have one more the one that holds the fewest and waits longest."""
        self._forget_cancelled()
        candidates = [name for name in self._waiting if self._held[name] < self._most]
        return min(candidates, key=self._held.__getitem__, default=None)

    def _forget_cancelled(self) -> None:
        for name, turns in list(self._waiting.items()):
            left = deque(turn for turn in turns if not turn.cancelled())
            if left:
                self._waiting[name] = left
            else:
                del self._waiting[name]
