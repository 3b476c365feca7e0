import threading
from asyncio import create_task, to_thread
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from gitrepo.batching import Batcher


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
        go_on.set()
        assert await first == "first"
        assert await batcher.submit("third") == "third"
        assert await second == "second"
        await batcher.close()
    assert batches == [["first"], ["second", "third"]]
