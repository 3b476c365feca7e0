"""The frame of every long-running process: logging, signals, one event loop."""

import asyncio
import gc
import logging
import signal
from collections.abc import Callable, Coroutine

_YOUNG_OBJECTS = 50_000
"""New objects until the collector searches them for cycles; Python's own default is 700."""


def collect_seldom() -> None:
    """Let the cyclic garbage collector run seldom, and exempt the objects that exist already.

    A parsed package is hundreds of thousands of objects without a cycle among them. With Python's default the collector
    takes a third of the processor time of a large rendering to find nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, 20, 20)


def run_process(
    main: Coroutine[None, None, None],
    *,
    log_level: str,
    new_loop: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> None:
    """Run a process until it ends, or until SIGINT or SIGTERM cancels it.

    Args:
        main: The process. It releases its resources when it is cancelled.
        log_level: Least level that is logged.
        new_loop: Makes the event loop; None is Python's default.
    """
    logging.basicConfig(level=log_level, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    collect_seldom()
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(_until_stopped(main))


async def _until_stopped(main: Coroutine[None, None, None]) -> None:
    task = asyncio.ensure_future(main)
    stopped = False

    def stop() -> None:
        nonlocal stopped
        if not stopped:
            stopped = True
            task.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    try:
        await task
    except asyncio.CancelledError:
        if not stopped:
            raise
        logging.getLogger(__name__).info("stopped")
