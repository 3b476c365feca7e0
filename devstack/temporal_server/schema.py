"""The schema of Temporal's two databases: made, and brought to the version of the server."""

import asyncio
import os
import subprocess
from pathlib import Path

from porchflow.devstack.processes import HOST, ProcessError
from porchflow.devstack.temporal_server.postgresql import DATABASE_USER, PostgreSQL

PLUGIN = "postgres12"
"""Temporal's name of its code for PostgreSQL 12 and newer."""
DEFAULT_DATABASE, VISIBILITY_DATABASE = "temporal", "temporal_visibility"

_SCHEMAS = {
    DEFAULT_DATABASE: "postgresql/v12/temporal",
    VISIBILITY_DATABASE: "postgresql/v12/visibility",
}
"""Name of the schema within the tool, by database."""
_SECONDS = 300.0


async def ensure_schema(tool: Path, database: PostgreSQL) -> None:
    """Make the databases and bring their schema up to date; what is up to date stays as it is.

    Each step can be cut off at any point: the next call does what is missing.

    Args:
        tool: Executable of `temporal-sql-tool`.
        database: The server, which must be ready.

    Raises:
        ProcessError: The tool fails; the message has its output.
    """
    for name, schema in _SCHEMAS.items():
        await asyncio.to_thread(_ensure, tool, database, name, schema)


def _ensure(tool: Path, database: PostgreSQL, name: str, schema: str) -> None:
    _run(tool, database, name, "create-database", "--defaultdb", "postgres", harmless="already exists")
    # Leaves a version that is there.
    _run(tool, database, name, "setup-schema", "--version", "0.0")
    _run(tool, database, name, "update-schema", "--schema-name", schema)


def _run(tool: Path, database: PostgreSQL, name: str, *arguments: str, harmless: str = "") -> None:
    try:
        done = _done(tool, database, name, *arguments)
    except subprocess.TimeoutExpired:
        raise ProcessError(
            f"`temporal-sql-tool {' '.join(arguments)}` did not end within {_SECONDS:g} s for database {name!r}"
        ) from None
    said = (done.stdout + done.stderr).strip()
    if done.returncode != 0 and not (harmless and harmless in said):
        raise ProcessError(f"`temporal-sql-tool {' '.join(arguments)}` fails for database {name!r}: {said[-2000:]}")


def _done(tool: Path, database: PostgreSQL, name: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [tool, *arguments],
        env={
            **os.environ,
            "SQL_PLUGIN": PLUGIN,
            "SQL_HOST": HOST,
            "SQL_PORT": str(database.port),
            "SQL_DATABASE": name,
            "SQL_USER": DATABASE_USER,
            # Not as a flag, which every user of the machine can read.
            "SQL_PASSWORD": database.password,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_SECONDS,
        check=False,
    )
