"""A process of the embedded stack: start until ready, log to a file, stop without fail."""

import asyncio
import contextlib
import os
import random
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from porchflow.devstack.launch import launched

Ready = Callable[[], Awaitable[bool]]

HOST = "127.0.0.1"

_POLL_SECONDS = 0.05
_LOG_LIMIT = 20 * 1024 * 1024
_TAIL_LINES = 15
# Below the range from which systems choose ports for outgoing connections.
_FIRST_PORT, _LAST_PORT = 15_000, 32_000


class ProcessError(Exception):
    """A process does not start, or is not ready in time; the message holds the end of its log."""


class Process:
    """One server process. Its output goes to a file, so that it never blocks on a pipe that is not read."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log: Path,
        ready: Ready,
        address: str = "",
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
        ready_seconds: float = 60.0,
        stop_seconds: float = 15.0,
        stop: signal.Signals = signal.SIGTERM,
        death: signal.Signals = signal.SIGTERM,
        user: str = "",
    ) -> None:
        """Describe a process; `start` starts it.

        Args:
            name: Its name, for people.
            command: Program and arguments.
            log: File that its output is appended to.
            ready: Whether it can be used now; called again and again.
            address: Its address, for people and tools.
            environment: Added to this process's environment.
            folder: Its current directory; None means this process's.
            ready_seconds: How long it may take to become ready.
            stop_seconds: How long it may take to end after the signal `stop`; then it is killed.
            stop: The signal that asks it to end.
            death: The signal that it gets where this process ends without stopping it.
            user: Name of the user that it runs as, where this process is root's; empty means this process's user.
        """
        self.name = name
        self.address = address
        self.log = log
        self._command = [str(part) for part in command]
        self._environment = dict(environment or {})
        self._folder = folder
        self._ready = ready
        self._ready_seconds = ready_seconds
        self._stop_seconds = stop_seconds
        self._stop = stop
        self._death = death
        self._user = user
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """Id of the process; None while it does not run."""
        return self._process.pid if self._process and self._process.returncode is None else None

    @property
    def running(self) -> bool:
        """Whether the process lives; it may not be ready."""
        return self.pid is not None

    async def start(self) -> None:
        """Start it and wait until it is ready.

        Raises:
            ProcessError: It ended, or was not ready in time; it does not run then.
        """
        await self.spawn()
        try:
            await self.wait_ready()
        except BaseException:
            await self.stop()
            raise

    async def spawn(self) -> None:
        """Start it without waiting; do nothing while it runs."""
        if self.running:
            return
        self.log.parent.mkdir(parents=True, exist_ok=True)
        _rotate(self.log)
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *launched(os.getpid(), self._death, user=self._user),
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self._environment},
                cwd=self._folder,
                # Ctrl-C in a terminal then reaches only the supervisor, which stops its parts in order.
                start_new_session=True,
            )

    async def wait_ready(self) -> None:
        """Wait until it is ready.

        Raises:
            ProcessError: It ended, or was not ready in time.
        """
        started = time.monotonic()
        while not await self.is_ready():
            if self._process is None or self._process.returncode is not None:
                code = self._process.returncode if self._process else None
                raise ProcessError(f"{self.name} ended at its start with {describe_exit(code)}{self._tail()}")
            if time.monotonic() - started > self._ready_seconds:
                raise ProcessError(f"{self.name} is not ready after {self._ready_seconds:g} s{self._tail()}")
            await asyncio.sleep(_POLL_SECONDS)

    async def is_ready(self) -> bool:
        """Return whether it runs and can be used now."""
        return self.running and await self._ready()

    async def wait(self) -> int:
        """Wait until it ends; return its exit code, negative for a signal."""
        if self._process is None:
            raise ProcessError(f"{self.name} was never started")
        return await self._process.wait()

    async def stop(self) -> None:
        """End it: the signal `stop`, then SIGKILL after `stop_seconds`."""
        if self._process is None or self._process.returncode is not None:
            return
        self.signal(self._stop)
        try:
            await asyncio.wait_for(self._process.wait(), self._stop_seconds)
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self.signal(signal.SIGKILL)
            await self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, such as SIGSTOP; do nothing when it has ended."""
        if self.running and self._process:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    def _tail(self) -> str:
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL_LINES:]
        except OSError:
            return ""
        return f"; the end of {self.log}:" + "".join(f"\n    {line}" for line in lines)


def describe_exit(code: int | None) -> str:
    """Describe how a process ended, for people."""
    if code is None:
        return "no exit code"
    if code < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-code).name
    return f"exit code {code}"


_reserved: dict[int, socket.socket] = {}


def free_port() -> int:
    """Return a port of the loopback interface for a server that this process starts.

    The port is reserved as long as this process lives: see `reserve_port`.
    """
    while True:
        port = random.randint(_FIRST_PORT, _LAST_PORT)  # noqa: S311 - only has to differ from others
        # The process that binds the port first keeps it, such as another one that chooses ports.
        if _reserve(port, shared=False):
            return port


def reserve_port(port: int) -> bool:
    """Reserve a port of the loopback interface for a server that this process starts, once or repeatedly.

    The port is bound here and never listened on. Linux still lets a server of this process bind it (all servers set
    SO_REUSEADDR, and two sockets that do not listen are no conflict), and does not give it to a process that requests
    any port. Other systems have no such rule, so there the port is only tried.

    Returns:
        Whether the port is free: False when a process listens there.
    """
    return _reserve(port, shared=True)


def _reserve(port: int, *, shared: bool) -> bool:
    """Bind a port, beside other processes that reserve it where `shared` is set."""
    reservation = socket.socket()
    try:
        if shared:
            reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reservation.bind((HOST, port))
    except OSError:
        reservation.close()
        return False
    reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if sys.platform == "linux" and port not in _reserved:
        _reserved[port] = reservation
    else:
        reservation.close()
    return True


async def listens(port: int) -> bool:
    """Return whether a process accepts connections on a port of the loopback interface."""
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


def _rotate(log: Path) -> None:
    """Keep one old log when the current one has grown large."""
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > _LOG_LIMIT:
            log.replace(log.with_name(f"{log.name}.1"))
