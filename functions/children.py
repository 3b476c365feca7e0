"""The end of child processes."""

import contextlib
import os
import signal
from asyncio import SubprocessTransport
from asyncio.subprocess import Process


def kill_child(process: Process) -> None:
    """Kill a process if it still runs, without waiting.

    `Process.kill` is no way: it collects the exit code of a dead process, and asyncio then waits for that code in vain.
    """
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)


async def end_child(process: Process) -> int:
    """Kill a process if it still runs, close its pipes, and wait for it.

    Waiting alone is not enough, for two reasons. asyncio also waits for the ends of the pipes, which come late or never
    while a child of the process holds one. A transport that is left to the garbage collector may be closed after its
    event loop.

    Returns:
        The exit code; the negative number of the signal that ended the process.
    """
    transport: SubprocessTransport = process._transport  # type: ignore[attr-defined]  # noqa: SLF001 - the only way
    kill_child(process)
    for descriptor in range(3):
        if pipe := transport.get_pipe_transport(descriptor):
            pipe.close()
    try:
        return await process.wait()
    finally:
        transport.close()
