"""Finds the servers of the embedded stack, and builds from pinned Go modules what is missing.

Order for each server: an explicit path, PATH, the cache folder, a build. A build is made under a temporary name, must
run before it gets its final one, and is made by one process at a time.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil

MODULES = Path(__file__).parents[2] / "deploy" / "toolchain"

Progress = Callable[[str], None]

_GIBIBYTE = 1024**3
_BUILD_MEMORY = 3 * _GIBIBYTE
"""What linking the largest server takes, with the compilers beside it."""

_REPORT_SECONDS = 5.0
_POLL_SECONDS = 0.2
_VERSION_SECONDS = 60.0
"""A server of 200 MB on a cold disk of a busy machine may take long to print its version."""


class ToolchainError(Exception):
    """A server that cannot be had; says what to do."""


@dataclass(frozen=True)
class Server:
    """One server of the embedded stack.

    Attributes:
        name: Name of the executable and of its folder in `deploy/toolchain`.
        package: Go package to build.
        variable: Environment variable with an explicit path.
        version: Pattern of what `--version` prints, with the major and minor version as groups.
        minimum: Least major and minor version that porchflow works with.
        ldflags: What the linker sets, beside leaving debug information out.
    """

    name: str
    package: str
    variable: str
    version: str
    minimum: tuple[int, int]
    ldflags: tuple[str, ...] = ()


_KUBERNETES_VERSION = "k8s.io/component-base/version"

SERVERS = (
    # Longest build first: the others fill the cores beside it.
    Server(
        "kube-apiserver",
        "k8s.io/kubernetes/cmd/kube-apiserver",
        "PORCHFLOW_KUBE_APISERVER",
        r"Kubernetes v(\d+)\.(\d+)",
        (1, 32),
        (
            f"-X {_KUBERNETES_VERSION}.gitVersion=v1.36.3",
            f"-X {_KUBERNETES_VERSION}.gitMajor=1",
            f"-X {_KUBERNETES_VERSION}.gitMinor=36",
        ),
    ),
    Server(
        "temporal",
        "github.com/temporalio/cli/cmd/temporal",
        "PORCHFLOW_TEMPORAL",
        r"temporal version .*Server (\d+)\.(\d+)",
        (1, 27),
    ),
    Server("etcd", "go.etcd.io/etcd/server/v3", "PORCHFLOW_ETCD", r"etcd Version: (\d+)\.(\d+)", (3, 5)),
)


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of what porchflow keeps between checkouts; it may be deleted at any time."""
    if explicit := environ.get("PORCHFLOW_CACHE_DIR"):
        return Path(explicit).expanduser()
    base = environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path("~/.cache").expanduser()) / "porchflow"


def ensure_servers(
    progress: Progress, *, servers: Sequence[Server] = SERVERS, stop: threading.Event | None = None
) -> dict[str, Path]:
    """Find or build the servers.

    Args:
        progress: Told in one line what is used, and what is going on while it takes long.
        servers: What is wanted.
        stop: Set by another thread to end builds.

    Returns:
        The executable of each server, by its name.

    Raises:
        ToolchainError: One cannot be had; says why and what to do.
    """
    found: dict[str, Path] = {}
    with ThreadPoolExecutor(len(servers)) as pool:
        for server, path in zip(servers, pool.map(lambda server: _find(server, progress), servers), strict=True):
            if path:
                found[server.name] = path
    missing = [server for server in servers if server.name not in found]
    return found | _build_all(missing, progress, stop or threading.Event())


def _find(server: Server, progress: Progress) -> Path | None:
    if explicit := os.environ.get(server.variable):
        path = Path(explicit).expanduser()
        if problem := _problem(server, path):
            raise ToolchainError(f"{server.variable} names {path}, which cannot be used: {problem}")
        return path
    if on_path := shutil.which(server.name):
        problem = _problem(server, Path(on_path))
        if not problem:
            progress(f"{server.name}: {_version(server, Path(on_path))} from {on_path}")
            return Path(on_path)
        progress(f"{server.name}: {on_path} is passed over: {problem}")
    return _find_built(server, progress)


def _find_built(server: Server, progress: Progress) -> Path | None:
    pattern = _key(server, _go_version(server) or "*")
    for path in sorted(_servers_folder().glob(pattern), reverse=True):
        if problem := _problem(server, path):
            progress(f"{server.name}: the build in {path} is broken and is made again: {problem}")
            path.unlink(missing_ok=True)
        else:
            return path
    return None


def _problem(server: Server, path: Path) -> str:
    """Return why an executable cannot be used; empty when it can."""
    try:
        found = re.search(server.version, _version(server, path))
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    if not found:
        return f"`{path} --version` does not answer as {server.name} does"
    version = (int(found[1]), int(found[2]))
    if version < server.minimum:
        least = ".".join(map(str, server.minimum))
        return f"its version {version[0]}.{version[1]} is too old, porchflow needs {least} or newer"
    return ""


def _version(server: Server, path: Path) -> str:
    done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=_VERSION_SECONDS, check=True)
    lines = (done.stdout or done.stderr).strip().splitlines()
    return next((line for line in lines if re.search(server.version, line)), lines[0] if lines else "")


def _servers_folder() -> Path:
    return cache_folder() / "servers"


def _key(server: Server, go_version: str) -> str:
    """Name a build after all that goes into it; `go_version` may be `*`, for a machine without Go."""
    digest = hashlib.sha256()
    for name in ("go.mod", "go.sum"):
        digest.update((_module(server) / name).read_bytes())
    digest.update(" ".join((server.package, *_build_flags(server))).encode())
    return f"{server.name}-{digest.hexdigest()[:16]}-{go_version}"


def _module(server: Server) -> Path:
    folder = MODULES / server.name
    if not (folder / "go.mod").is_file():
        raise ToolchainError(
            f"{server.name} is neither on PATH nor named by {server.variable}, and there is nothing to build it from:"
            f" {folder} is missing. Run porchflow from its source tree, or install {server.name}."
        )
    return folder


def _build_flags(server: Server) -> list[str]:
    return ["-trimpath", "-buildvcs=false", "-mod=readonly", "-ldflags", " ".join(("-s", "-w", *server.ldflags))]


def _go_version(server: Server) -> str:
    """Return the Go version that builds this module; empty where there is no Go that can."""
    if not shutil.which("go"):
        return ""
    done = subprocess.run(
        ["go", "env", "GOVERSION"],
        cwd=_module(server),
        env=_go_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip().replace(" ", "-") if done.returncode == 0 else ""


def _go_environment() -> dict[str, str]:
    return {**os.environ, "GOWORK": "off"}


def _build_all(servers: Sequence[Server], progress: Progress, stop: threading.Event) -> dict[str, Path]:
    if not servers:
        return {}
    _require_go(servers)
    jobs = _jobs(len(servers))
    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(_Build(server, jobs, progress, stop).run) for server in servers]
        try:
            return {server.name: future.result() for server, future in zip(servers, futures, strict=True)}
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise


def _require_go(servers: Sequence[Server]) -> None:
    if shutil.which("go"):
        return
    names = ", ".join(server.name for server in servers)
    variables = ", ".join(server.variable for server in servers)
    raise ToolchainError(
        f"{names} must be built, and `go` is not on PATH. Install Go 1.26 or newer (https://go.dev/dl/),"
        f" or put ready executables on PATH, or name them with {variables}."
    )


def _require_go_version(server: Server) -> str:
    version = _go_version(server)
    if not version:
        raise ToolchainError(
            f"cannot build {server.name}: `go env` fails in {MODULES / server.name}. Install Go 1.26 or newer"
            f" (https://go.dev/dl/), or name a ready executable with {server.variable}."
        )
    return version


def _jobs(wanted: int) -> int:
    by_memory = _memory() // _BUILD_MEMORY
    by_cores = ((os.cpu_count() or 1) + 1) // 2
    return max(1, min(wanted, by_memory, by_cores))


def _memory() -> int:
    """Return the bytes that builds may take: what is available, within a container's limit."""
    available = int(psutil.virtual_memory().available)
    with contextlib.suppress(OSError, ValueError):
        return min(available, int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    return available


class _Build:
    """One build of one server."""

    def __init__(self, server: Server, jobs: int, progress: Progress, stop: threading.Event) -> None:
        self._server = server
        self._jobs = jobs
        self._progress = progress
        self._stop = stop
        self._target = _servers_folder() / _key(server, _require_go_version(server))
        self._log = self._sibling("log")
        self._partial = self._sibling("partial")

    def run(self) -> Path:
        self._target.parent.mkdir(parents=True, exist_ok=True)
        with self._alone():
            if self._target.exists():
                return self._target
            # Left by a build that was killed.
            self._partial.unlink(missing_ok=True)
            self._compile()
            if problem := _problem(self._server, self._partial):
                self._partial.unlink(missing_ok=True)
                raise ToolchainError(self._advice(f"the result does not run: {problem}"))
            self._partial.replace(self._target)
        return self._target

    def _sibling(self, ending: str) -> Path:
        return self._target.with_name(f".{self._target.name}.{ending}")

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the lock of this build; says so while another process has it."""
        started = reported = time.monotonic()
        with self._sibling("lock").open("w", encoding="ascii") as lock:
            while not _try_lock(lock.fileno()):
                self._pause()
                if time.monotonic() - reported >= _REPORT_SECONDS:
                    reported = time.monotonic()
                    self._say(f"waiting for the build in another process: {reported - started:.0f} s")
            yield

    def _compile(self) -> None:
        parallel = max(2, (os.cpu_count() or 2) // self._jobs + 1)
        flags = _build_flags(self._server)
        command = ["go", "build", "-p", str(parallel), *flags, "-o", str(self._partial), self._server.package]
        self._say("building from the pinned Go module (once; minutes when nothing is cached)")
        started = time.monotonic()
        with self._log.open("w", encoding="utf-8") as log:
            process = subprocess.Popen(
                command,
                cwd=_module(self._server),
                env=_go_environment(),
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

    def _follow(self, process: subprocess.Popen[bytes], started: float) -> None:
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
        output = "".join(f"\n    {line}" for line in self._output()[-30:])
        return (
            f"cannot build {self._server.name} in {MODULES / self._server.name}: {problem}{output}\n"
            "  Where downloads fail, check the network and GOPROXY (`go env GOPROXY`); where the compiler is killed,"
            " free memory; where Go is too old, install 1.26 or newer (https://go.dev/dl/).\n"
            f"  Or name a ready executable with {self._server.variable}."
        )


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a build with its compilers, if it still runs."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait()


def main() -> int:
    """Build what is missing and print the path of each server."""
    try:
        servers = ensure_servers(lambda line: print(line, file=sys.stderr, flush=True))
    except ToolchainError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; what was built so far is kept", file=sys.stderr)
        return 130
    for name in sorted(servers):
        print(f"{name}={servers[name]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
