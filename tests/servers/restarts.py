"""Restarts of servers, as an operator does them."""

from porchflow.devstack.processes import Process


async def restart(process: Process) -> None:
    """Stop a process and start it again, at the same address."""
    await process.stop()
    await process.start()
