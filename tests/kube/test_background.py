import asyncio

import pytest

from porchflow.kube.background import end, in_background


async def test_work_in_the_background_ends_with_its_context() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            # Its end is waited for, however long that takes.
            await asyncio.sleep(0)
            ended.set()

    async def fail() -> None:
        async with in_background(work()):
            await begun.wait()
            raise ValueError("of the context")

    with pytest.raises(ValueError, match="of the context"):
        await fail()
    assert ended.is_set()


async def test_what_background_work_fails_with_is_dropped() -> None:
    async def work() -> None:
        raise RuntimeError("it said so itself")

    async with in_background(work()):
        await asyncio.sleep(0)


async def test_the_end_of_tasks_is_told() -> None:
    async def fail() -> None:
        raise RuntimeError("no")

    failed, waiting = asyncio.create_task(fail()), asyncio.create_task(asyncio.Event().wait())
    await asyncio.wait({failed})
    results = await end((failed, waiting))
    assert [type(result) for result in results] == [RuntimeError, asyncio.CancelledError]
    assert await end(()) == []
