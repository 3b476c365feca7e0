"""Finds the servers of the embedded stack, and builds the missing ones from pinned Go modules.

Order for each server: an explicit path, PATH, the cache folder, a build. A build is made under a temporary name, must
run before it gets its final one, and is made by one process at a time.
"""

import contextlib
import os
import shutil
import sys
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from pathlib import Path

import psutil

from porchflow.devstack.toolchain.executables import SERVERS, Server, ToolchainError
from porchflow.devstack.toolchain.gobuild import INSTALL_GO, GoBuild, Progress, build_name, go_version

__all__ = ["Progress", "ToolchainError", "cache_folder", "ensure_servers", "find_servers", "main"]

_BUILD_DISK = "0.4 GB of disk, and some GB in Go's caches"

_BUILD_MEMORY = 3 * 1024**3
"""Memory that linking the largest server needs, with the compilers beside it."""


def cache_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder that porchflow shares between checkouts; it may be deleted at any time."""
    if explicit := environ.get("PORCHFLOW_CACHE_DIR"):
        return Path(explicit).expanduser().absolute()
    base = environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path("~/.cache").expanduser()) / "porchflow"


def ensure_servers(
    progress: Progress, *, servers: Sequence[Server] = SERVERS, stop: threading.Event | None = None
) -> dict[str, Path]:
    """Find or build the servers.

    Args:
        progress: Receives a line for each server that is not the pinned build, and the progress of builds; called from
            several threads.
        servers: The servers that are needed.
        stop: Set by another thread to end builds; set here when one of them fails.

    Returns:
        The executable of each server, by its name.

    Raises:
        ToolchainError: A server is not available; the message states why and what to do.
    """
    found = find_servers(progress, servers)
    missing = [server for server in servers if server.name not in found]
    return found | _build_all(missing, progress, stop or threading.Event())


def find_servers(progress: Progress, servers: Sequence[Server]) -> dict[str, Path]:
    """Return the executables of those servers that need no build, by name.

    Raises:
        ToolchainError: One that a variable names cannot be used.
    """
    found: dict[str, Path] = {}
    with ThreadPoolExecutor(len(servers)) as pool:
        for server, path in zip(servers, pool.map(lambda server: _find(server, progress), servers), strict=True):
            if path:
                found[server.name] = path
    return found


def _find(server: Server, progress: Progress) -> Path | None:
    if explicit := os.environ.get(server.variable):
        path = Path(explicit).expanduser().absolute()
        if problem := server.problem(path):
            raise ToolchainError(f"{server.variable} names {path}, which cannot be used: {problem}")
        progress(f"{server.name}: {path}, as {server.variable} says")
        return path
    for place, path in _installed(server):
        problem = server.problem(path)
        progress(f"{server.name}: {path}, from {place}{f', is passed over: {problem}' if problem else ''}")
        if not problem:
            return path
    return _find_built(server, progress)


def _installed(server: Server) -> Iterator[tuple[str, Path]]:
    """Yield where a server is installed, and its executable there."""
    # The folder that setup-envtest of Kubernetes' controller-runtime fills, and that its tests name.
    for place, folders in (("KUBEBUILDER_ASSETS", os.environ.get("KUBEBUILDER_ASSETS")), ("PATH", None)):
        found = shutil.which(server.name, path=folders) if folders or place == "PATH" else None
        if found:
            yield place, Path(found).absolute()


def _find_built(server: Server, progress: Progress) -> Path | None:
    pattern = build_name(server, go_version(server) or "*")
    for path in sorted(_servers_folder().glob(pattern), reverse=True):
        if problem := server.problem(path):
            # The next build replaces it; removing it here could remove a build that another process has just made.
            progress(f"{server.name}: the build in {path} is broken and is made again: {problem}")
        else:
            return path
    return None


def _servers_folder() -> Path:
    return cache_folder() / "servers"


def _build_all(servers: Sequence[Server], progress: Progress, stop: threading.Event) -> dict[str, Path]:
    if not servers:
        return {}
    _require_go(servers)
    progress(told_work(servers))
    jobs = _jobs(len(servers))
    parallel = max(2, (os.cpu_count() or 2) // jobs + 1)
    builds = {server.name: GoBuild(server, _servers_folder(), progress, stop) for server in servers}
    with ThreadPoolExecutor(jobs) as pool:
        futures = {name: pool.submit(build.run, parallel) for name, build in builds.items()}
        try:
            _raise_first_failure(futures.values())
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise
        return {name: future.result() for name, future in futures.items()}


def told_work(servers: Sequence[Server]) -> str:
    """Return what is about to be built, how long that takes, and how to do without."""
    names = ", ".join(server.name for server in servers)
    minutes = round(sum(server.seconds for server in servers) / 60)
    measured = all(server.seconds for server in servers)
    time = f", which takes about {max(1, minutes)} min on 2 cores, {_BUILD_DISK}" if measured else ""
    return (
        f"building {names} from source, once{time}; ready executables on PATH or in KUBEBUILDER_ASSETS are"
        " used instead; `porchflow render DIR` needs none of them"
    )


def _raise_first_failure(futures: Collection[Future[Path]]) -> None:
    """Wait until all are done or one failed, whose message must not wait for minutes of another build."""
    done, _ = wait(futures, return_when=FIRST_EXCEPTION)
    for future in done:
        future.result()


def _require_go(servers: Sequence[Server]) -> None:
    if shutil.which("go"):
        return
    names = ", ".join(server.name for server in servers)
    variables = ", ".join(server.variable for server in servers)
    raise ToolchainError(
        f"{names} must be built, and `go` is not on PATH. {INSTALL_GO}, or put ready executables on PATH or in"
        f" KUBEBUILDER_ASSETS, or name them with {variables}."
    )


def _jobs(wanted: int) -> int:
    by_memory = _memory() // _BUILD_MEMORY
    by_cores = ((os.cpu_count() or 1) + 1) // 2
    return max(1, min(wanted, by_memory, by_cores))


def _memory() -> int:
    """Return the bytes of memory for builds: the available memory, within a container's limit."""
    available = int(psutil.virtual_memory().available)
    with contextlib.suppress(OSError, ValueError):
        return min(available, int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    return available


def main() -> int:
    """Build what is missing and print the name and path of each server."""
    try:
        # In one piece, because several threads report.
        servers = ensure_servers(lambda line: print(f"{line}\n", end="", file=sys.stderr, flush=True))
    except ToolchainError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; what was built so far is kept", file=sys.stderr)
        return 130
    for name in sorted(servers):
        print(name, servers[name])
    return 0
