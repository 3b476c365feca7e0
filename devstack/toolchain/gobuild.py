"""Builds a server from its pinned Go module, into a folder that several checkouts and processes share."""

import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from porchflow.devstack.launch import launched
from porchflow.devstack.toolchain.executables import Server, ToolchainError

Progress = Callable[[str], None]

INSTALL_GO = "Install Go 1.26 or newer (https://go.dev/dl/)"

_REPORT_SECONDS = 5.0
_POLL_SECONDS = 0.2
_TAIL_LINES = 30


class GoBuild:
    """One build of one server: made once, however many processes request it at the same time."""

    def __init__(self, server: Server, folder: Path, progress: Progress, stop: threading.Event) -> None:
        """Prepare a build; `run` makes it.

        Args:
            server: The server to build.
            folder: Folder of the executable.
            progress: Receives the progress, in lines.
            stop: Set by another thread to end the build.

        Raises:
            ToolchainError: This machine's Go cannot build the module, or the module is missing.
        """
        self._server = server
        self._progress = progress
        self._stop = stop
        self._target = folder / build_name(server, _require_go(server))
        self._log = self._sibling("log")
        # The name contains this process's id: the compiler of a killed builder may live on, and writes elsewhere.
        self._partial = self._sibling(f"{os.getpid()}.partial")

    def run(self, parallel: int) -> Path:
        """Build, unless another process just did; return the executable.

        Args:
            parallel: How many compilers may run at once.

        Raises:
            ToolchainError: The build fails, or its result does not run.
        """
        self._target.parent.mkdir(parents=True, exist_ok=True)
        with self._alone():
            if not self._target.exists() or self._server.problem(self._target):
                self._build(parallel)
        return self._target

    def _build(self, parallel: int) -> None:
        for left_by_a_killed_build in self._target.parent.glob(f".{self._target.name}.*.partial"):
            left_by_a_killed_build.unlink(missing_ok=True)
        self._compile(parallel)
        if problem := self._server.problem(self._partial):
            self._partial.unlink(missing_ok=True)
            raise ToolchainError(self._advice(f"the result does not run: {problem}"))
        self._partial.replace(self._target)

    def _sibling(self, ending: str) -> Path:
        return self._target.with_name(f".{self._target.name}.{ending}")

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the lock of this build; report while another process holds it."""
        started = reported = time.monotonic()
        with self._sibling("lock").open("w", encoding="ascii") as lock:
            while not _try_lock(lock.fileno()):
                self._pause()
                if time.monotonic() - reported >= _REPORT_SECONDS:
                    reported = time.monotonic()
                    self._say(f"waiting for the build in another process: {reported - started:.0f} s")
            yield

    def _compile(self, parallel: int) -> None:
        flags = _flags(self._server)
        command = ["go", "build", "-p", str(parallel), *flags, "-o", str(self._partial), self._server.package]
        self._say("building from the pinned Go module (once; minutes when nothing is cached)")
        started = time.monotonic()
        with self._log.open("w", encoding="utf-8") as log:
            process = subprocess.Popen(
                [*launched(os.getpid()), *command],
                cwd=self._server.module,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                self._follow(process, started)
            finally:
                _end(process)
        if process.returncode != 0:
            raise ToolchainError(self._advice(f"`{' '.join(command[:2])}` ended with {process.returncode}"))
        self._say(f"built in {time.monotonic() - started:.0f} s")

    def _follow(self, process: "subprocess.Popen[bytes]", started: float) -> None:
        reported = started
        while process.poll() is None:
            self._pause()
            if time.monotonic() - reported >= _REPORT_SECONDS:
                reported = time.monotonic()
                last = self._output()[-1:]
                self._say(f"building, {reported - started:.0f} s{f' ({last[0]})' if last else ''}")

    def _pause(self) -> None:
        if self._stop.wait(_POLL_SECONDS):
            raise ToolchainError(f"the build of {self._server.name} was stopped")

    def _say(self, text: str) -> None:
        self._progress(f"{self._server.name}: {text}")

    def _output(self) -> list[str]:
        with contextlib.suppress(OSError):
            return self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return []

    def _advice(self, problem: str) -> str:
        output = "".join(f"\n    {line}" for line in self._output()[-_TAIL_LINES:])
        return (
            f"cannot build {self._server.name} in {self._server.module}: {problem}{output}\n"
            "  Where downloads fail, check the network and GOPROXY (`go env GOPROXY`); where the compiler is killed,"
            f" free memory; where Go is too old: {INSTALL_GO}.\n"
            f"  Or name a ready executable with {self._server.variable}."
        )


def build_name(server: Server, go_version: str) -> str:
    """Name a build after everything that goes into it; `go_version` may be `*`, for a machine without Go.

    Raises:
        ToolchainError: The module that pins the server is missing.
    """
    digest = hashlib.sha256()
    for name in ("go.mod", "go.sum", *sorted(source.name for source in server.module.glob("*.go"))):
        digest.update(_pinned(server, name))
    digest.update(" ".join((server.package, *_flags(server))).encode())
    return f"{server.name}-{digest.hexdigest()[:16]}-{go_version}"


def _pinned(server: Server, name: str) -> bytes:
    try:
        return (server.module / name).read_bytes()
    except OSError as error:
        raise ToolchainError(
            f"{server.name} is neither on PATH nor named by {server.variable}, and cannot be built: {error}."
            f" Run porchflow from its source tree, or install {server.name}."
        ) from None


def go_version(server: Server) -> str:
    """Return the Go version that builds this server's module; empty where no installed Go can."""
    if not shutil.which("go") or not server.module.is_dir():
        return ""
    done = subprocess.run(
        ["go", "env", "GOVERSION"],
        cwd=server.module,
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip().replace(" ", "-") if done.returncode == 0 else ""


def _require_go(server: Server) -> str:
    version = go_version(server)
    if not version:
        raise ToolchainError(
            f"cannot build {server.name}: `go env` fails in {server.module}. {INSTALL_GO}, or name a ready executable"
            f" with {server.variable}."
        )
    return version


def _flags(server: Server) -> list[str]:
    return ["-trimpath", "-buildvcs=false", "-mod=readonly", "-ldflags", " ".join(("-s", "-w", *server.ldflags))]


def _environment() -> dict[str, str]:
    # A workspace file above the checkout would change the pinned versions.
    return {**os.environ, "GOWORK": "off"}


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a build with its compilers, if it still runs."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
