"""A PostgreSQL of the stack's own: its data in the stack's folder, one port of the loopback interface, a password."""

import asyncio
import os
import pwd
import secrets
import shutil
import signal
import subprocess
from pathlib import Path

from porchflow.devstack.launch import OPENED_FOLDER, launched
from porchflow.devstack.processes import HOST, Process, ProcessError
from porchflow.devstack.temporal_server.postgresql_programs import Programs, find_programs
from porchflow.devstack.toolchain.executables import ToolchainError

DATABASE_USER = "temporal"
"""The owner of all databases."""
CONNECTIONS = 200
"""Most connections at once: more than the pools of Temporal's services may open together."""

_SYSTEM_USER = "postgres"
"""PostgreSQL refuses to run as root. Its packages make this user."""
_INIT_SECONDS = 300.0
_STOP_SECONDS = 60.0
# Errors are those of conditional writes, which Temporal makes on purpose; `log` ranks above them.
_SETTINGS = f"""
# Of porchflow. What `ALTER SYSTEM` sets wins over this file.
max_connections = {CONNECTIONS}
log_checkpoints = off
log_min_messages = log
"""
# Commits still reach the operating system, and so outlive a crash of PostgreSQL.
_NOT_DURABLE = """\
fsync = off
full_page_writes = off
"""


class PostgreSQL:
    """The database server of a folder.

    Attributes:
        port: Its port on the loopback interface.
        process: To start after `ensure`, stop and kill.
    """

    def __init__(self, folder: Path, *, log: Path, port: int, durable: bool = True) -> None:
        """Describe the server; nothing is made or started.

        Args:
            folder: Folder of its data and password; `ensure` makes it.
            log: Its log file.
            port: Its port.
            durable: Whether a crash of the machine leaves the data whole. Tests need no such thing.

        Raises:
            ToolchainError: PostgreSQL is not installed, or not in the version of the data, or must not run as root
                and its own user is missing.
        """
        self._folder = folder
        self._durable = durable
        self._user = _unprivileged_user()
        self._programs: Programs = find_programs(self._data_version())
        self.port = port
        self.process = self._process(log)

    @property
    def address(self) -> str:
        """Its address, as `host:port`."""
        return f"{HOST}:{self.port}"

    @property
    def password(self) -> str:
        """Password of `DATABASE_USER`; only after `ensure`."""
        return (self._folder / "password").read_text(encoding="ascii").strip()

    async def ensure(self) -> None:
        """Make the data, where there is none.

        Raises:
            ProcessError: `initdb` fails.
        """
        if not self._folder.exists():
            await asyncio.to_thread(self._initialise)

    def _initialise(self) -> None:
        # Under another name until it is whole, for the case that this process is killed.
        new = self._folder.with_name(f"{self._folder.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        password = new / "password"
        new.mkdir(mode=0o700)
        password.touch(mode=0o600)
        password.write_text(secrets.token_urlsafe(32) + "\n", encoding="ascii")
        if self._user:
            for path in (new, password):
                shutil.chown(path, self._user, self._user)
        self._run_initdb(new)
        with (new / "data" / "postgresql.conf").open("a", encoding="utf-8") as settings:
            settings.write(_SETTINGS + ("" if self._durable else _NOT_DURABLE))
        new.rename(self._folder)

    def _run_initdb(self, folder: Path) -> None:
        done = subprocess.run(
            [
                *launched(os.getpid(), user=self._user),
                *(self._programs.folder / "initdb", f"--pgdata={self._seen(folder)}/data"),
                *(f"--username={DATABASE_USER}", f"--pwfile={self._seen(folder)}/password"),
                *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"),
                *(() if self._durable else ("--no-sync",)),
            ],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_INIT_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            raise ProcessError(f"`initdb` cannot make {self._folder}: {(done.stderr or done.stdout).strip()}")

    def _process(self, log: Path) -> Process:
        data = self._folder / "data"
        command: list[str | Path] = [
            *(self._programs.folder / "postgres", "-D", self._seen(data)),
            *("-h", HOST, "-p", str(self.port), "-k", ""),
        ]
        return Process(
            "postgresql",
            command,
            log=log,
            ready=self._answers,
            address=self.address,
            folder=data,
            # What a crash left is replayed first.
            ready_seconds=120,
            stop_seconds=_STOP_SECONDS,
            # The other signals wait for clients to disconnect, or leave the processes of connections to find out.
            stop=signal.SIGINT,
            death=signal.SIGQUIT,
            user=self._user,
        )

    def _seen(self, folder: Path) -> str:
        """Return the path by which the programs reach the folder that they are started in."""
        return OPENED_FOLDER if self._user else str(folder)

    def _data_version(self) -> int | None:
        try:
            return int((self._folder / "data" / "PG_VERSION").read_text(encoding="ascii"))
        except (FileNotFoundError, ValueError):
            return None

    async def _answers(self) -> bool:
        process = await asyncio.create_subprocess_exec(
            *(self._programs.folder / "pg_isready", "--quiet", f"--host={HOST}", f"--port={self.port}"),
            stdin=asyncio.subprocess.DEVNULL,
        )
        return await process.wait() == 0


def _unprivileged_user() -> str:
    """Return the user that PostgreSQL runs as where this process is root's; empty otherwise.

    Raises:
        ToolchainError: That user is missing.
    """
    if os.geteuid() != 0:
        return ""
    try:
        pwd.getpwnam(_SYSTEM_USER)
    except KeyError:
        raise ToolchainError(
            f"PostgreSQL does not run as root, and there is no user {_SYSTEM_USER!r}: make one with `useradd --system"
            f" {_SYSTEM_USER}`, or run porchflow as another user"
        ) from None
    return _SYSTEM_USER
