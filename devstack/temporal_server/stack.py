"""Temporal's real server, its database and its UI together, in the order in which they can start."""

import contextlib
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from google.protobuf.duration_pb2 import Duration
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from porchflow.devstack.objects.waiting import until
from porchflow.devstack.processes import Process, ProcessError
from porchflow.devstack.servers import temporal_answers
from porchflow.devstack.temporal_server.postgresql import PostgreSQL
from porchflow.devstack.temporal_server.schema import ensure_schema
from porchflow.devstack.temporal_server.server import server_process, write_configuration
from porchflow.devstack.temporal_server.server_executables import SQL_TOOL, TEMPORAL_SERVER, UI_SERVER
from porchflow.devstack.temporal_server.ui import ui_process, write_ui_configuration
from porchflow.watcher.temporal.search_attributes import SearchAttributes
from porchflow.watcher.temporal.temporal_errors import TemporalUnavailable
from porchflow.workflows.ids import Attributes

NAMESPACE = "default"
RETENTION_SECONDS = 24 * 60 * 60
"""How long the history of a run is kept after its end; the development server keeps it as long."""

_SECONDS = 60.0


class TemporalOnPostgreSQL:
    """The three processes, and what must be done between their starts.

    The order: `make_data`, start `database`, `before_server`, start `servers`, `after_server`.

    Attributes:
        database: PostgreSQL.
        server: Temporal's four services in one process.
        servers: That process, and the Temporal UI.
    """

    def __init__(
        self,
        data: Path,
        settings: Path,
        binaries: Mapping[str, Path],
        *,
        logs: Path,
        port: int,
        database_port: int,
        ui_port: int | None,
        durable: bool = True,
    ) -> None:
        """Describe the processes; nothing is made or started.

        Args:
            data: Folder of the database.
            settings: Folder of the servers' configuration.
            binaries: Executables of `POSTGRESQL_SERVERS`, by name.
            logs: Folder of the log files.
            port: Port of Temporal's frontend.
            database_port: Port of PostgreSQL.
            ui_port: Port of the UI; None means no UI.
            durable: Whether a crash of the machine leaves the data whole.

        Raises:
            ToolchainError: PostgreSQL is not there, or cannot be used.
        """
        self._settings = settings
        self._tool = binaries[SQL_TOOL.name]
        self._port = port
        self._ui_port = ui_port
        self._postgresql = PostgreSQL(data, log=logs / "postgresql.log", port=database_port, durable=durable)
        self.database: Process = self._postgresql.process
        self.server = server_process(binaries[TEMPORAL_SERVER.name], settings, log=logs / "temporal.log", port=port)
        self.servers: tuple[Process, ...] = (self.server,)
        if ui_port is not None:
            ui = ui_process(binaries[UI_SERVER.name], settings, log=logs / "temporal-ui.log", port=ui_port)
            self.servers = (self.server, ui)

    async def make_data(self) -> None:
        """Make the data of the database, where there is none.

        Raises:
            ProcessError: `initdb` fails.
        """
        await self._postgresql.ensure()

    async def before_server(self) -> None:
        """Bring the schema up to date and write the configuration, once the database is ready.

        Raises:
            ProcessError: The schema cannot be made.
        """
        await ensure_schema(self._tool, self._postgresql)
        write_configuration(self._settings, self._postgresql, port=self._port)
        if self._ui_port is not None:
            write_ui_configuration(self._settings, port=self._ui_port, temporal=self.server.address)

    async def after_server(self, *, searchable: bool = True) -> None:
        """Register the namespace, once the server is ready; a namespace that is there stays as it is.

        Args:
            searchable: Whether search attributes are registered too; otherwise the watcher does it.

        Raises:
            ProcessError: The server refuses.
        """
        await register_namespace(self.server.address, searchable=searchable)


async def register_namespace(address: str, *, searchable: bool) -> None:
    """Register the namespace `default`, which only the development server makes by itself, and wait until it is served.

    Args:
        address: Temporal's frontend, as `host:port`.
        searchable: Whether search attributes are registered too.

    Raises:
        ProcessError: The server refuses, or does not serve it in time.
    """

    async def served() -> bool:
        return await temporal_answers(address, searchable=searchable)

    try:
        client = await Client.connect(address, namespace=NAMESPACE)
        await _register(client)
        await until(_knows(client), seconds=_SECONDS, what=f"Temporal knows the namespace {NAMESPACE!r}")
        if searchable:
            await SearchAttributes(client, Attributes()).ensure()
        await until(served, seconds=_SECONDS, what=f"Temporal serves the namespace {NAMESPACE!r}")
    except (RPCError, RuntimeError, TimeoutError, TemporalUnavailable) as error:
        raise ProcessError(f"Temporal at {address} cannot be prepared: {error}") from error


async def _register(client: Client) -> None:
    retention = Duration(seconds=RETENTION_SECONDS)
    request = RegisterNamespaceRequest(namespace=NAMESPACE, workflow_execution_retention_period=retention)
    try:
        await client.workflow_service.register_namespace(request)
    except RPCError as error:
        if error.status is not RPCStatusCode.ALREADY_EXISTS:
            raise


def _knows(client: Client) -> Callable[[], Awaitable[bool]]:
    async def known() -> bool:
        # The services read the list of namespaces every two seconds.
        with contextlib.suppress(RPCError):
            await client.count_workflows()
            return True
        return False

    return known
