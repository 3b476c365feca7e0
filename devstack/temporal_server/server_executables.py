"""The executables of Temporal's real server, its SQL tool and its UI, each pinned by a Go module."""

from porchflow.devstack.toolchain.executables import MODULES, Server

_SERVER_MODULE = MODULES / "temporal-server"

TEMPORAL_SERVER = Server(
    "temporal-server",
    _SERVER_MODULE,
    "go.temporal.io/server/cmd/server",
    "PORCHFLOW_TEMPORAL_SERVER",
    r"temporal version (\d+)\.(\d+)",
    # The first with fairness.
    (1, 29),
)
SQL_TOOL = Server(
    "temporal-sql-tool",
    _SERVER_MODULE,
    "go.temporal.io/server/cmd/tools/sql",
    "PORCHFLOW_TEMPORAL_SQL_TOOL",
    r"temporal-sql-tool version (\d+)\.(\d+)",
    (1, 29),
)
"""Makes the schema of the databases. It has the schema of its own version, which must be the server's."""
UI_SERVER = Server(
    "temporal-ui-server",
    MODULES / "temporal-ui",
    "github.com/temporalio/ui-server/v2/cmd/server",
    "PORCHFLOW_TEMPORAL_UI_SERVER",
    r"Temporal UI version v?(\d+)\.(\d+)",
    (2, 30),
)
"""The Temporal UI, which only the development server has built in."""

POSTGRESQL_SERVERS = (TEMPORAL_SERVER, SQL_TOOL, UI_SERVER)
"""What is needed in place of the development server, the longest build first."""
