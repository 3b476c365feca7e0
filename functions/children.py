"""Programs that this process starts, and how they end."""

import contextlib
from asyncio import SubprocessTransport
from asyncio.subprocess import Process


async def end_child(process: Process) -> int:
    """Kill a program if it still runs, close its pipes, and wait for it; returns its exit code.

    To wait alone is not enough: asyncio waits for the ends of the pipes as well, which come late or never where a child
    of the program holds one; and a transport that is left to the garbage collector closes when its loop may be gone.
    """
    transport: SubprocessTransport = process._transport  # type: ignore[attr-defined]  # noqa: SLF001 - the only way
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    for descriptor in range(3):
        if pipe := transport.get_pipe_transport(descriptor):
            pipe.close()
    try:
        return await process.wait()
    finally:
        transport.close()
