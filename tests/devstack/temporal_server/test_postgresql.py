"""PostgreSQL from the system, as the stack runs it."""

import getpass
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from porchflow.devstack.processes import HOST, ProcessError, free_port
from porchflow.devstack.temporal_server.postgresql import DATABASE_USER, PostgreSQL
from porchflow.devstack.temporal_server.postgresql_programs import VARIABLE, find_programs
from porchflow.devstack.toolchain.executables import ToolchainError
from tests.servers.postgresql import needs_postgresql
from tests.servers.waiting import eventually

ROOT = Path(__file__).parents[3]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder that no other user may reach, as those below a home folder."""
    above = tmp_path / "home"
    above.mkdir(mode=0o700)
    return above / "postgresql"


@pytest.fixture
async def database(data: Path, tmp_path: Path) -> AsyncIterator[PostgreSQL]:
    database = PostgreSQL(data, log=tmp_path / "log", port=free_port(), durable=False)
    await database.ensure()
    await database.process.start()
    yield database
    await database.process.kill()


def query(database: PostgreSQL, sql: str, password: str | None = None) -> "subprocess.CompletedProcess[str]":
    target = f"host={HOST} port={database.port} user={DATABASE_USER} dbname=postgres"
    return subprocess.run(
        [find_programs().folder / "psql", "--no-psqlrc", "--tuples-only", "--no-align", target, "--command", sql],
        env={**os.environ, "PGPASSWORD": database.password if password is None else password},
        capture_output=True,
        text=True,
        check=False,
    )


def started_client(database: PostgreSQL) -> "subprocess.Popen[str]":
    target = f"host={HOST} port={database.port} user={DATABASE_USER} dbname=postgres"
    return subprocess.Popen(
        [find_programs().folder / "psql", "--no-psqlrc", "--tuples-only", target],
        env={**os.environ, "PGPASSWORD": database.password},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def started_python(code: str) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)


@needs_postgresql
class TestServer:
    async def test_what_is_stored_outlives_a_crash_and_a_stop(self, database: PostgreSQL) -> None:
        assert query(database, "CREATE TABLE kept AS SELECT 7 AS it").returncode == 0
        await database.process.kill()
        await database.process.start()
        await database.process.stop()
        await database.ensure()
        await database.process.start()
        assert query(database, "SELECT it FROM kept").stdout.strip() == "7"

    async def test_it_runs_as_a_user_without_rights_and_listens_on_loopback_only(self, database: PostgreSQL) -> None:
        process = psutil.Process(database.process.pid)
        assert process.username() == ("postgres" if os.geteuid() == 0 else getpass.getuser())
        listening = [each.laddr for each in process.net_connections("all") if each.status == psutil.CONN_LISTEN]
        assert listening == [(HOST, database.port)]
        assert not process.net_connections("unix")

    async def test_the_password_is_needed(self, database: PostgreSQL) -> None:
        refused = query(database, "SELECT 1", password="a guess")
        assert refused.returncode != 0
        assert "password authentication failed" in refused.stderr

    async def test_a_client_that_stays_does_not_delay_a_stop(self, database: PostgreSQL) -> None:
        with started_client(database) as client:
            assert client.stdin
            assert client.stdout
            print("SELECT 'connected';", file=client.stdin, flush=True)
            assert client.stdout.readline().strip() == "connected"
            await database.process.stop()
        assert "database system is shut down" in database.process.log.read_text()

    async def test_data_that_was_not_made_to_the_end_is_made_again(self, data: Path, tmp_path: Path) -> None:
        left = data.with_name("postgresql.new")
        (left / "data").mkdir(parents=True)
        (left / "data" / "PG_VERSION").write_text("15\n")
        database = PostgreSQL(data, log=tmp_path / "log", port=free_port(), durable=False)
        await database.ensure()
        await database.process.start()
        await database.process.kill()
        assert not left.exists()

    async def test_it_ends_with_a_parent_that_is_killed(self, data: Path, tmp_path: Path) -> None:
        code = f"""
import asyncio
from pathlib import Path
from porchflow.devstack.processes import free_port
from porchflow.devstack.temporal_server.postgresql import PostgreSQL

async def main():
    database = PostgreSQL(Path({str(data)!r}), log=Path({str(tmp_path / "log")!r}), port=free_port(), durable=False)
    await database.ensure()
    await database.process.start()
    print(database.process.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""
        with started_python(code) as parent:
            assert parent.stdout
            server = psutil.Process(int(parent.stdout.readline()))
            family = [server, *server.children(recursive=True)]
            assert len(family) > 1
            parent.send_signal(signal.SIGKILL)
        await eventually(lambda: not any(each.is_running() for each in family), what="all of PostgreSQL has ended")

    async def test_data_that_cannot_be_made_is_told_with_the_reason(self, data: Path, tmp_path: Path) -> None:
        data.parent.joinpath("postgresql.new").write_text("in the way")
        database = PostgreSQL(data, log=tmp_path / "log", port=free_port(), durable=False)
        with pytest.raises((ProcessError, OSError), match=r"postgresql\.new"):
            await database.ensure()


def installation(folder: Path, says: str, programs: tuple[str, ...] = ("initdb", "postgres", "pg_isready")) -> Path:
    folder.mkdir(parents=True)
    for name in programs:
        (folder / name).write_text(f"#!/bin/sh\necho '{says}'\n")
        (folder / name).chmod(0o755)
    return folder


class TestPrograms:
    @pytest.mark.parametrize(
        ("says", "version"),
        [
            ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", 15),
            ("postgres (PostgreSQL) 18beta1", 18),
            ("postgres (PostgreSQL) 12.0", 12),
        ],
    )
    def test_the_folder_that_is_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, version: int
    ) -> None:
        monkeypatch.setenv(VARIABLE, str(installation(tmp_path / "bin", says)))
        assert find_programs().folder == tmp_path / "bin"
        assert find_programs().version == version
        assert find_programs(version).version == version

    @pytest.mark.parametrize(
        ("says", "data_version", "told"),
        [
            ("postgres (PostgreSQL) 9.6.24", None, r"PostgreSQL 9 in .* is too old, Temporal needs 12 or newer"),
            ("postgres (PostgreSQL) 17.2", 15, r"the data of this stack is PostgreSQL 15's, .* \(found: 17 in "),
            ("postgres (PostgreSQL) 17.2", 15, r"apt-get install postgresql-15`"),
            ("something else", None, r"prints no version: `postgres --version` says 'something else"),
        ],
    )
    def test_one_that_does_not_suit(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, data_version: int | None, told: str
    ) -> None:
        monkeypatch.setenv(VARIABLE, str(installation(tmp_path / "bin", says)))
        with pytest.raises(ToolchainError, match=told):
            find_programs(data_version)

    @pytest.mark.parametrize("programs", [(), ("postgres",), ("initdb", "pg_isready")])
    def test_a_folder_without_all_programs(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, programs: tuple[str, ...]
    ) -> None:
        monkeypatch.setenv(VARIABLE, str(installation(tmp_path / "bin", "x", programs)))
        missing = ", ".join(name for name in ("initdb", "postgres", "pg_isready") if name not in programs)
        with pytest.raises(ToolchainError, match=rf"{VARIABLE} names .*, which has no {missing}: install it") as caught:
            find_programs()
        assert "--temporal-store sqlite" in str(caught.value)

    def test_a_folder_whose_program_does_not_run(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder = installation(tmp_path / "bin", "x")
        (folder / "postgres").chmod(0o644)
        monkeypatch.setenv(VARIABLE, str(folder))
        with pytest.raises(ToolchainError, match="cannot be run: "):
            find_programs()
