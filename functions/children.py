"""Programs that this process starts, and how they end."""

import contextlib
import os
import signal
from asyncio import SubprocessTransport
from asyncio.subprocess import Process


def kill_child(process: Process) -> None:
    """Kill a program if it still runs, without waiting.

    Not by the process's own method: that collects the exit code of one that is dead already, which asyncio waits for.
    """
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)


async def end_child(process: Process) -> int:
    """Kill a program if it still runs, close its pipes, and wait for it; returns its exit code.

    To wait alone is not enough: asyncio waits for the ends of the pipes as well, which come late or never where a child
    of the program holds one; and a transport that is left to the garbage collector closes when its loop may be gone.
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
