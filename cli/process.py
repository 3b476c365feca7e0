"""What every long-running process of porchflow does: logging, signals, one event loop."""

import asyncio
import logging
import signal
from collections.abc import Coroutine


def run_process(main: Coroutine[None, None, None], *, log_level: str) -> None:
    """Run a process until it ends, or until SIGINT or SIGTERM cancels it.

    Args:
        main: The process. It frees what it holds when it is cancelled.
        log_level: Least level that is logged.
    """
    logging.basicConfig(level=log_level, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    asyncio.run(_until_stopped(main))


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
