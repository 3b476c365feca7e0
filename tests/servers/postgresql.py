"""Whether this machine has what the tests on PostgreSQL need."""

from pathlib import Path

import pytest

from porchflow.devstack.temporal_server.postgresql_programs import find_programs
from porchflow.devstack.temporal_server.server_executables import POSTGRESQL_SERVERS
from porchflow.devstack.toolchain.executables import ToolchainError
from porchflow.devstack.toolchain.finding import find_servers


def missing_postgresql() -> str:
    """Return why PostgreSQL cannot be used here; empty where it can."""
    try:
        find_programs()
    except ToolchainError as error:
        return str(error)
    return ""


needs_postgresql = pytest.mark.skipif(bool(missing_postgresql()), reason=f"needs PostgreSQL: {missing_postgresql()}")


def real_temporal_binaries() -> dict[str, Path]:
    """Return the executables of Temporal's real server; skip the test where one is not built, or without PostgreSQL."""
    if missing := missing_postgresql():
        pytest.skip(f"needs PostgreSQL: {missing}")
    found = find_servers(lambda _: None, POSTGRESQL_SERVERS)
    if absent := [server.name for server in POSTGRESQL_SERVERS if server.name not in found]:
        pytest.skip(f"needs {', '.join(absent)}: `porchflow up --temporal-store postgresql` builds them")
    return found
