"""Programs that are ended leave nothing for the garbage collector to close when their event loop is gone."""

import asyncio
import gc
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from porchflow.functions.builtin.pool import WorkerPool
from porchflow.functions.children import end_child

HOLDS_THE_PIPE = "tail -f /dev/null & echo $!; exec tail -f /dev/null"


async def a_program_whose_pipe_a_child_holds() -> None:
    process = await asyncio.create_subprocess_exec("sh", "-c", HOLDS_THE_PIPE, stdout=PIPE)
    assert process.stdout is not None
    child = int(await process.stdout.readline())
    try:
        async with asyncio.timeout(60):
            assert await end_child(process) == -9
    finally:
        os.kill(child, 9)


async def a_worker_that_is_killed_over_its_call() -> None:
    async with WorkerPool(1) as pool:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await pool.run("set-labels", b"")


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("work", [a_program_whose_pipe_a_child_holds, a_worker_that_is_killed_over_its_call])
def test_nothing_is_left_to_the_garbage_collector(
    monkeypatch: pytest.MonkeyPatch,
    work: Callable[[], Coroutine[Any, Any, None]],
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    errors: list[BaseException | None] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: errors.append(unraisable.exc_value))
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(work())
    gc.collect()
    assert errors == []
