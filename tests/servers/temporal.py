"""A real Temporal server for tests: the development server, or the real one on PostgreSQL."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from porchflow.devstack.processes import Process, free_port
from porchflow.devstack.servers import temporal
from porchflow.devstack.temporal_server.stack import TemporalOnPostgreSQL

STORE_VARIABLE = "PORCHFLOW_TEST_TEMPORAL_STORE"
ON_POSTGRESQL = os.environ.get(STORE_VARIABLE) == "postgresql"
"""Whether all tests use the real server: `PORCHFLOW_TEST_TEMPORAL_STORE=postgresql`."""


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

    async def kill(self) -> None:
        """End all of it."""
        await self.process.kill()

    async def lose_data(self) -> None:
        """Start again at the same address, with nothing that was there before."""
        await self.stop()
        for file in self._database.parent.glob(f"{self._database.name}*"):
            file.unlink()
        await self.start()


class RealTemporalServer(TemporalServer):
    """Temporal's real server, with its state in a PostgreSQL of its own.

    Attributes:
        database: PostgreSQL, which runs on while the server is stopped.
    """

    def __init__(self, binaries: dict[str, Path], folder: Path, *, searchable: bool = True) -> None:
        self._data = folder / "postgresql"
        self._searchable = searchable
        self._parts = TemporalOnPostgreSQL(
            self._data,
            folder / "temporal-server",
            binaries,
            logs=folder,
            port=free_port(),
            database_port=free_port(),
            ui_port=None,
            durable=False,
        )
        self.process = self._parts.server
        self.database = self._parts.database

    async def start(self) -> None:
        if not self.database.running:
            await self.start_database()
            await self.prepare()
        await self.process.start()
        await self._parts.after_server(searchable=self._searchable)

    async def start_database(self) -> None:
        """Start PostgreSQL, without databases where it is new."""
        await self._parts.make_data()
        await self.database.start()

    async def prepare(self) -> None:
        """Bring the schema up to date and write the configuration anew."""
        await self._parts.before_server()

    async def kill(self) -> None:
        await self.process.kill()
        await self.database.kill()

    async def lose_data(self) -> None:
        await self.kill()
        shutil.rmtree(self._data)
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
    kind = RealTemporalServer if ON_POSTGRESQL else TemporalServer
    server = kind(binaries, folder, searchable=searchable)
    try:
        await server.start()
        yield server
    finally:
        await server.kill()
