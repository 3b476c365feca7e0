"""Slots for calls under way, shared fairly between tenants: the namespaces on whose behalf calls are made.

The protocol of function runners has no field for a tenant. porchflow's client names it in the metadata of a call, which
other runners ignore; calls of other clients have none. Only clients that the runner trusts can reach it.
"""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar

METADATA_KEY = "porchflow-tenant"
"""Key of a call's metadata: the namespace on whose behalf the call is made."""

_tenant: ContextVar[str] = ContextVar("tenant", default="")


def tenant() -> str:
    """Return the namespace on whose behalf this context calls functions; empty outside of `on_behalf_of`."""
    return _tenant.get()


@contextmanager
def on_behalf_of(namespace: str) -> Iterator[None]:
    """Make all calls of functions in the context on behalf of a namespace."""
    token = _tenant.set(namespace)
    try:
        yield
    finally:
        _tenant.reset(token)


class FairSlots:
    """One slot more than a tenant may hold, given out fairly.

    A free slot goes to the waiting tenant that holds the fewest. A tenant holds `size` slots at most: its calls may
    take minutes, and the last slot stays for all others.
    """

    def __init__(self, size: int) -> None:
        """Create the slots.

        Args:
            size: Slots that one tenant may hold; there is one more.
        """
        self._free = size + 1
        self._most = size
        self._held: Counter[str] = Counter()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Hold a slot on behalf of the tenant of the context; wait until it is this call's turn."""
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
            # The tenant goes behind those that hold as many slots.
            rest = self._waiting.pop(name)
            if rest:
                self._waiting[name] = rest
            self._free -= 1
            self._held[name] += 1
            turn.set_result(None)

    def _next(self) -> str | None:
        """Return the tenant that gets the next slot: below its limit, with the fewest slots, and waiting longest."""
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
