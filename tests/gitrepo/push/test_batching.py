import threading
from asyncio import Event, create_task, gather, get_running_loop, sleep, to_thread, wait
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from unittest.mock import ANY

import pytest

from porchflow.gitrepo.push.batching import Batcher, QueueFullError


async def test_under_load_a_batch_takes_along_who_comes_after_the_one_before_has_ended() -> None:
    batches: list[list[str]] = []
    began, go_on = threading.Event(), threading.Event()

    def handle(items: Sequence[str]) -> list[str | Exception]:
        batches.append(list(items))
        began.set()
        go_on.wait()
        return list(items)

    with ThreadPoolExecutor(1) as pool:
        batcher: Batcher[str, str] = Batcher(handle, pool)
        first = create_task(batcher.submit("first"))
        await to_thread(began.wait)
        second = create_task(batcher.submit("second"))
        # The first batch takes long enough that this test is quicker, on a slow machine as well.
        get_running_loop().call_later(0.2, go_on.set)
        assert await first == "first"
        assert await batcher.submit("third") == "third"
        assert await second == "second"
        await batcher.close()
    assert batches == [["first"], ["second", "third"]]


async def test_where_no_more_come_a_batch_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A push to a server far away is long, and all that there is to push may wait when it ends."""
    monkeypatch.setattr("porchflow.gitrepo.push.batching._LONGEST_GATHERING", 3600.0)
    slept: list[float] = []

    class Clock:
        now = 0.0

        @classmethod
        def monotonic(cls) -> float:
            return cls.now

    async def pass_time(seconds: float) -> None:
        slept.append(seconds)
        Clock.now += seconds
        await sleep(0)

    batches: list[list[str]] = []
    began, go_on = threading.Event(), threading.Event()

    def handle(items: Sequence[str]) -> list[str | Exception]:
        batches.append(list(items))
        began.set()
        go_on.wait()
        Clock.now += 1000.0
        return list(items)

    monkeypatch.setattr("porchflow.gitrepo.push.batching.time", Clock)
    with ThreadPoolExecutor(1) as pool:
        batcher: Batcher[str, str] = Batcher(handle, pool)
        first = create_task(batcher.submit("first"))
        await to_thread(began.wait)
        others = [create_task(batcher.submit(name)) for name in ("second", "third")]
        await sleep(0)
        monkeypatch.setattr("porchflow.gitrepo.push.batching.asyncio.sleep", pass_time)
        go_on.set()
        assert await gather(first, *others) == ["first", "second", "third"]
        monkeypatch.undo()
        await batcher.close()
    assert batches == [["first"], ["second", "third"]]
    assert 0 < sum(slept) < 1


async def test_who_comes_when_too_many_wait_is_told_so_at_once() -> None:
    go_on = threading.Event()

    def handle(items: Sequence[int]) -> list[int | Exception]:
        go_on.wait()
        return list(items)

    with ThreadPoolExecutor(1) as pool:
        batcher: Batcher[int, int] = Batcher(handle, pool, limit=1, most_waiting=2)
        waiting = [create_task(batcher.submit(number)) for number in range(2)]
        await sleep(0)
        with pytest.raises(QueueFullError, match="2 changes wait"):
            await batcher.submit(2)
        go_on.set()
        assert await gather(*waiting) == [0, 1]
        assert await batcher.submit(3) == 3, "there is room again"
        await batcher.close()


@pytest.mark.parametrize("irrevocable", [False, True])
async def test_who_is_cancelled_waits_only_for_what_cannot_be_taken_back(irrevocable: bool) -> None:
    began, go_on = threading.Event(), threading.Event()
    handled: list[str] = []

    def handle(items: Sequence[str]) -> list[str | Exception]:
        began.set()
        go_on.wait()
        handled.extend(items)
        return list(items)

    with ThreadPoolExecutor(1) as pool:
        batcher: Batcher[str, str] = Batcher(handle, pool, irrevocable=irrevocable)
        taken = create_task(batcher.submit("taken"))
        await to_thread(began.wait)
        waiting = create_task(batcher.submit("waiting"))
        await sleep(0)
        for task in (taken, waiting):
            task.cancel()
        done, _ = await wait([waiting], timeout=10)
        assert done == {waiting}, "what no batch took is given up at once"
        assert taken.done() is not irrevocable
        go_on.set()
        done, _ = await wait([taken], timeout=10)
        assert taken.cancelled()
        await batcher.close()
    assert handled == ["taken"]


class Turn:
    """A turn that is given when the test says so."""

    def __init__(self) -> None:
        self.asked, self.free = Event(), Event()

    @asynccontextmanager
    async def taken(self, waiting: Sequence[str]) -> AsyncIterator[None]:
        self.waiting = list(waiting)
        self.asked.set()
        await self.free.wait()
        yield


async def test_a_batch_waits_for_its_turn_and_takes_along_who_comes_meanwhile() -> None:
    batches: list[list[str]] = []
    turn = Turn()

    def handle(items: Sequence[str]) -> list[str | Exception]:
        batches.append(list(items))
        return list(items)

    with ThreadPoolExecutor(1) as pool:
        batcher: Batcher[str, str] = Batcher(handle, pool, turn=turn.taken)
        waiting = [create_task(batcher.submit("first"))]
        await turn.asked.wait()
        assert turn.waiting == ["first"]
        waiting += [create_task(batcher.submit("second")), create_task(batcher.submit("given up"))]
        await sleep(0)
        assert batches == []
        waiting[2].cancel()
        turn.free.set()
        assert await gather(*waiting, return_exceptions=True) == ["first", "second", ANY]
        await batcher.close()
    assert batches == [["first", "second"]]


async def test_what_waits_for_its_turn_at_the_end_is_dropped() -> None:
    handled: list[str] = []
    turn = Turn()

    def handle(items: Sequence[str]) -> list[str | Exception]:
        handled.extend(items)
        return list(items)

    with ThreadPoolExecutor(1) as pool:
        batcher: Batcher[str, str] = Batcher(handle, pool, turn=turn.taken)
        waiting = create_task(batcher.submit("first"))
        await turn.asked.wait()
        closing = create_task(batcher.close())
        await wait([waiting], timeout=10)
        assert waiting.cancelled()
        turn.free.set()
        await closing
    assert handled == []


@asynccontextmanager
async def no_turn(_: Sequence[str]) -> AsyncIterator[None]:
    raise OSError("no locks available")
    yield


async def test_who_waits_hears_of_a_turn_that_cannot_be_taken() -> None:
    with ThreadPoolExecutor(1) as pool:
        batcher: Batcher[str, str] = Batcher(list, pool, turn=no_turn)
        results = await gather(batcher.submit("a"), batcher.submit("b"), return_exceptions=True)
        assert [str(result) for result in results] == ["no locks available"] * 2
        await batcher.close()


async def test_who_waits_hears_of_a_handler_that_answers_for_fewer() -> None:
    def handle(items: Sequence[str]) -> list[str | Exception]:
        return list(items[1:])

    with ThreadPoolExecutor(1) as pool:
        batcher: Batcher[str, str] = Batcher(handle, pool)
        results = await gather(batcher.submit("a"), batcher.submit("b"), return_exceptions=True)
        assert [type(result) for result in results] == [str, ValueError]
        await batcher.close()
