"""Slots for calls are shared between tenants."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from porchflow.functions.slots import FairSlots, on_behalf_of, tenant


class Holders:
    """Calls that hold a slot until they are told to end."""

    def __init__(self, size: int) -> None:
        self.slots = FairSlots(size)
        self.holding: list[str] = []
        self.ends: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def call(self, name: str) -> None:
        """Call on behalf of the tenant that the name begins with; returns when all had their turn to get a slot."""
        self.ends[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._hold(name))
        await self.settle()

    async def end(self, name: str) -> None:
        """Let a call end."""
        self.ends[name].set()
        await self.tasks[name]
        await self.settle()

    async def end_all(self) -> None:
        """End every call that is left."""
        for task in self.tasks.values():
            task.cancel()
        await asyncio.gather(*self.tasks.values(), return_exceptions=True)

    async def settle(self) -> None:
        """Let the event loop run until nothing happens any more."""
        for _ in range(5):
            await asyncio.sleep(0)

    async def _hold(self, name: str) -> None:
        with on_behalf_of(name[0]):
            async with self.slots.taken():
                self.holding.append(name)
                await self.ends[name].wait()
                self.holding.remove(name)


@pytest.fixture
async def new() -> AsyncIterator[Callable[[int], Holders]]:
    """Makes holders of slots, whose calls end with the test."""
    made: list[Holders] = []

    def make(size: int) -> Holders:
        made.append(Holders(size))
        return made[-1]

    yield make
    for holders in made:
        await holders.end_all()


async def test_one_tenant_has_all_its_slots_and_never_the_last(new: Callable[[int], Holders]) -> None:
    holders = new(2)
    for name in ("a1", "a2", "a3", "a4"):
        await holders.call(name)
    assert holders.holding == ["a1", "a2"]
    await holders.call("b1")
    assert holders.holding == ["a1", "a2", "b1"]
    await holders.end("a1")
    assert holders.holding == ["a2", "b1", "a3"]


async def test_who_holds_fewer_comes_first(new: Callable[[int], Holders]) -> None:
    holders = new(2)
    for name in ("a1", "a2", "b1", "a3", "b2", "c1"):
        await holders.call(name)
    assert holders.holding == ["a1", "a2", "b1"]
    await holders.end("a1")
    assert holders.holding == ["a2", "b1", "c1"]
    await holders.end("a2")
    assert holders.holding == ["b1", "c1", "a3"]


async def test_calls_of_one_tenant_keep_their_order(new: Callable[[int], Holders]) -> None:
    holders = new(1)
    for name in ("a1", "a2", "a3"):
        await holders.call(name)
    for name, following in (("a1", "a2"), ("a2", "a3")):
        await holders.end(name)
        assert holders.holding == [following]


@pytest.mark.parametrize("cancelled", ["a1", "a2"])
async def test_a_call_that_is_given_up_gives_its_slot_or_place_back(
    cancelled: str, new: Callable[[int], Holders]
) -> None:
    holders = new(1)
    for name in ("a1", "a2", "a3"):
        await holders.call(name)
    holders.tasks[cancelled].cancel()
    await asyncio.gather(holders.tasks[cancelled], return_exceptions=True)
    await holders.end("a1" if cancelled == "a2" else "a2")
    assert "a3" in holders.holding
    await holders.end("a3")
    await holders.call("a4")
    assert "a4" in holders.holding


async def test_a_call_that_is_given_up_as_it_gets_its_slot_gives_it_back(new: Callable[[int], Holders]) -> None:
    holders = new(1)
    await holders.call("a1")
    await holders.call("a2")
    holders.ends["a1"].set()
    await _until(holders.tasks["a1"].done)
    holders.tasks["a2"].cancel()
    await holders.settle()
    await holders.call("a3")
    assert holders.holding == ["a3"]


async def _until(done: Callable[[], bool]) -> None:
    while not done():  # noqa: ASYNC110 - what is waited for has no event
        await asyncio.sleep(0)


async def test_the_tenant_is_that_of_the_innermost_context() -> None:
    assert not tenant()
    with on_behalf_of("a"):
        with on_behalf_of("b"):
            assert tenant() == "b"
        assert tenant() == "a"
