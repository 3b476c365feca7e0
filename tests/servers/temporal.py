"""A real Temporal development server for tests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from porchflow.devstack.processes import Process, free_port
from porchflow.devstack.servers import temporal


class TemporalServer:
    """Temporal with its state in a file.

    Attributes:
        process: To stop, kill, freeze or restart.
    """

    def __init__(self, binaries: dict[str, Path], folder: Path, *, searchable: bool = True) -> None:
        self._database = folder / "temporal.db"
        self.process: Process = temporal(
            binaries["temporal"],
            log=folder / "temporal.log",
            port=free_port(),
            ui_port=None,
            database=self._database,
            durable=False,
            searchable=searchable,
        )

    @property
    def address(self) -> str:
        """host:port of the frontend."""
        return self.process.address

    async def start(self) -> None:
        await self.process.start()

    async def stop(self) -> None:
        await self.process.stop()

    async def lose_data(self) -> None:
        """Start again at the same address, with nothing that was there before."""
        await self.stop()
        for file in self._database.parent.glob(f"{self._database.name}*"):
            file.unlink()
        await self.start()


@asynccontextmanager
async def running_temporal(
    binaries: dict[str, Path], folder: Path, *, searchable: bool = True
) -> AsyncIterator[TemporalServer]:
    """Run a server.

    Args:
        binaries: The servers' executables.
        folder: For its state.
        searchable: Whether search attributes are registered from the start.
    """
    server = TemporalServer(binaries, folder, searchable=searchable)
    try:
        await server.start()
        yield server
    finally:
        await server.process.kill()
