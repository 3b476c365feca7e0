"""Looks that many share."""

import asyncio

import pytest

from porchflow.functions.registry.memory import Memory


class Source:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.begun = 0
        self.cancelled = 0
        self.answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def __call__(self) -> str:
        self.begun += 1
        try:
            return await asyncio.shield(self.answer)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


async def _settled() -> None:
    """Let everything run that can run without the source."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_one_who_leaves_does_not_end_the_look_of_the_others() -> None:
    memory: Memory[str, str] = Memory(limit=1)
    source = Source()
    first, second = (asyncio.create_task(memory.look("key", source)) for _ in range(2))
    await _settled()
    first.cancel()
    await _settled()
    source.answer.set_result("found")
    assert await second == "found"
    assert (source.begun, source.cancelled) == (1, 0)
    assert memory.kept("key", 1.0) == "found"


async def test_a_look_that_all_have_left_ends_and_the_next_begins_anew() -> None:
    memory: Memory[str, str] = Memory(limit=1)
    source = Source()
    tasks = [asyncio.create_task(memory.look("key", source)) for _ in range(2)]
    await _settled()
    for task in tasks:
        task.cancel()
    await _settled()
    assert source.cancelled == 1
    later = asyncio.create_task(memory.look("key", source))
    await _settled()
    assert source.begun == 2
    source.answer.set_result("found")
    assert await later == "found"


async def test_all_who_share_a_look_get_its_error_and_the_next_looks_again() -> None:
    memory: Memory[str, str] = Memory(limit=1)
    source = Source()
    tasks = [asyncio.create_task(memory.look("key", source)) for _ in range(3)]
    await _settled()
    source.answer.set_exception(OSError("away"))
    for error in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(error, OSError)
    assert (source.begun, memory.kept("key", 1.0)) == (1, None)
    with pytest.raises(OSError, match="away"):
        await memory.look("key", source)
    assert source.begun == 2


async def test_what_was_asked_for_the_longest_ago_goes_first() -> None:
    async def same(key: str) -> str:
        return key

    memory: Memory[str, str] = Memory(limit=5, weigh=len)
    for key in ("aa", "bb"):
        await memory.look(key, lambda key=key: same(key))  # type: ignore[misc]  # a default cannot be annotated here
    assert memory.kept("aa", 1.0)
    await memory.look("cc", lambda: same("cc"))
    assert [memory.kept(key, 1.0) for key in ("aa", "bb", "cc")] == ["aa", None, "cc"]
    await memory.look("longest", lambda: same("longest"))
    assert [memory.kept(key, 1.0) for key in ("aa", "cc", "longest")] == [None, None, None]
