"""The schema of an older Temporal, as an update of the embedded stack finds it."""

import os
import subprocess
from pathlib import Path

import pytest
from temporalio.client import Client

from porchflow.devstack.processes import HOST
from porchflow.devstack.temporal_server.postgresql import DATABASE_USER
from porchflow.devstack.temporal_server.schema import DEFAULT_DATABASE, PLUGIN, VISIBILITY_DATABASE
from tests.servers.postgresql import real_temporal_binaries
from tests.servers.temporal import RealTemporalServer

# A database is made twice, and a server of four services starts.
pytestmark = pytest.mark.timeout(400)

OF_1_25 = {DEFAULT_DATABASE: "1.13", VISIBILITY_DATABASE: "1.6"}
"""Versions of the schema that Temporal 1.25 uses: its successors do not start on them."""


async def test_an_older_schema_is_brought_up_to_date(tmp_path: Path) -> None:
    binaries = real_temporal_binaries()
    server = RealTemporalServer(binaries, tmp_path)
    await server.start_database()
    password = (tmp_path / "postgresql" / "password").read_text().strip()
    for database, version in OF_1_25.items():
        schema = f"postgresql/v12/{database.removeprefix('temporal_')}"
        for arguments in (
            ("create-database", "--defaultdb", "postgres"),
            ("setup-schema", "--version", "0.0"),
            ("update-schema", "--schema-name", schema, "--version", version),
        ):
            sql_tool(binaries["temporal-sql-tool"], server, database, password, *arguments)
    try:
        await server.prepare()
        await server.start()
        await Client.connect(server.address)
    finally:
        await server.kill()


def sql_tool(tool: Path, server: RealTemporalServer, database: str, password: str, *arguments: str) -> None:
    environment = {
        **os.environ,
        "SQL_PLUGIN": PLUGIN,
        "SQL_HOST": HOST,
        "SQL_PORT": server.database.address.rpartition(":")[2],
        "SQL_DATABASE": database,
        "SQL_USER": DATABASE_USER,
        "SQL_PASSWORD": password,
    }
    subprocess.run([tool, *arguments], env=environment, check=True, capture_output=True)
