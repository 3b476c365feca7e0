"""Starts the cluster's namespaces, finds their first process, and takes all of it away."""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from porchflow.cli.stack_state import StateError
from porchflow.devstack.certs import Certificates
from porchflow.devstack.cluster.binaries import ensure_binaries
from porchflow.devstack.cluster.cgroups import Cgroup
from porchflow.devstack.cluster.images import Images
from porchflow.devstack.cluster.inside import Orders
from porchflow.devstack.cluster.layout import (
    API_PORT,
    GIT_PORT,
    REGISTRY_PORT,
    TEMPORAL_PORT,
    UI_PORT,
    ClusterFolder,
    cgroup_name,
)
from porchflow.devstack.cluster.node import SANDBOX_IMAGE
from porchflow.devstack.cluster.relay import listening_socket
from porchflow.devstack.logs import STACK, LogFollower, Say
from porchflow.devstack.parts import SOURCES
from porchflow.devstack.processes import HOST
from porchflow.devstack.toolchain.finding import cache_folder

_MODULE = "porchflow.devstack.cluster.inside"
_MEMORY = 6 * 1024**3
_CONTROL_PLANE_MEMORY = 2 * 1024**3
"""Of the memory, what is left for the parts that are no pods."""
_RELAYED = (API_PORT, TEMPORAL_PORT, UI_PORT, GIT_PORT, REGISTRY_PORT)
_POLL_SECONDS = 0.1
_STOP_SECONDS = 60.0
_UNSHARE = ("unshare", "--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "--kill-child", "--mount-proc")


def start(folder: ClusterFolder, say: Say) -> dict[int, int]:
    """Start the cluster and return once its parts are ready; it goes on after this process has ended.

    Args:
        folder: The state.
        say: Receives events.

    Returns:
        The port of this machine's loopback interface by the port of the node that it leads to.

    Raises:
        StateError: A cluster runs in that folder, or it does not start.
        ToolchainError: A program or an image is not to be had.
        CgroupError: The machine's cgroups cannot be used.
    """
    if running(folder):
        raise StateError(f"a cluster runs in {folder.root}; `make cluster-down` ends it")
    remove(folder, say)
    folder.make_all()
    binaries = ensure_binaries(lambda line: say(STACK, line))
    _build_images(folder, say)
    Cgroup(cgroup_name(folder)).make(memory=_MEMORY)
    sockets = {port: listening_socket() for port in _RELAYED}
    try:
        ports = {port: int(each.getsockname()[1]) for port, each in sockets.items()}
        _write_orders(folder, binaries, sockets)
        # The parts make the same certificates or find these.
        Certificates.ensure(folder.certificates).write_kubeconfig(
            folder.kubeconfig, f"https://{HOST}:{ports[API_PORT]}"
        )
        _start_inside(folder, [each.fileno() for each in sockets.values()], say)
    finally:
        for each in sockets.values():
            each.close()
    return ports


def remove(folder: ClusterFolder, say: Say) -> bool:
    """End the cluster of a folder, however its starter ended, and take all of it away.

    Returns:
        Whether there was one.

    Raises:
        StateError: It does not end.
        CgroupError: Its cgroups cannot be removed.
    """
    found = list(_outermost(folder))
    for process in found:
        say(STACK, f"ending the cluster (process {process.pid})")
        _end(process)
    cgroup = Cgroup(cgroup_name(folder))
    there = bool(found) or cgroup.exists() or folder.root.exists()
    cgroup.remove()
    # Tens of thousands of files of images: rm takes a tenth of Python's time. Nothing is mounted there any more.
    subprocess.run(["rm", "--recursive", "--force", "--one-file-system", folder.root], check=True)
    return there


def running(folder: ClusterFolder) -> bool:
    """Return whether the cluster of a folder runs, ready or not."""
    return any(True for _ in _outermost(folder))


def first_process(folder: ClusterFolder) -> int:
    """Return the id of the first process in the cluster's namespaces.

    Raises:
        StateError: No cluster runs.
    """
    for process in _outermost(folder):
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in process.children():
                return child.pid
    raise StateError(f"no cluster runs in {folder.root}: start it with `make cluster`")


def _outermost(folder: ClusterFolder) -> Iterator[psutil.Process]:
    """Yield the process outside that began the namespaces; its end is the end of all."""
    wanted = _command(folder)
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if process.cmdline() == wanted:
                yield process


def _command(folder: ClusterFolder) -> list[str]:
    return [*_UNSHARE, "nice", "-n", "5", sys.executable, "-m", _MODULE, str(folder.root)]


def _end(process: psutil.Process) -> None:
    """End the namespaces: politely, so that pods and logs end in order; then by their first process."""
    with contextlib.suppress(psutil.NoSuchProcess):
        children = process.children()
        for child in children:
            child.terminate()
        _, alive = psutil.wait_procs([process, *children], timeout=_STOP_SECONDS)
        for each in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        _, alive = psutil.wait_procs(alive, timeout=_STOP_SECONDS)
        if alive:
            raise StateError(f"process {alive[0].pid} does not end; end it with `kill -9 {alive[0].pid}`")


def _build_images(folder: ClusterFolder, say: Say) -> None:
    images = Images(cache_folder() / "cluster", lambda line: say(STACK, line))
    images.porchflow(folder.images / "porchflow.tar")
    # It only has to be there: it holds the namespaces of a pod.
    identity = images.small(SANDBOX_IMAGE, ["/bin/sleep", "infinity"])
    images.archive(SANDBOX_IMAGE, identity, folder.images / "sandbox.tar")


def _write_orders(folder: ClusterFolder, binaries: dict[str, Path], sockets: dict[int, socket.socket]) -> None:
    orders = Orders(
        binaries=binaries,
        relays={each.fileno(): port for port, each in sockets.items()},
        outside={port: int(each.getsockname()[1]) for port, each in sockets.items()},
        pod_memory=_MEMORY - _CONTROL_PLANE_MEMORY,
    )
    Orders.path(folder).write_text(orders.model_dump_json(), encoding="utf-8")


def _start_inside(folder: ClusterFolder, descriptors: list[int], say: Say) -> None:
    log = folder.logs / "cluster.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            _command(folder),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            pass_fds=descriptors,
            cwd=SOURCES,
        )
    follower = LogFollower({STACK: log}, lambda _, line: say(STACK, line.partition("| ")[2] or line))
    while process.poll() is None:
        follower.poll()
        record = folder.read()
        if record and record.ready:
            return
        time.sleep(_POLL_SECONDS)
    follower.poll()
    raise StateError(f"the cluster ended at its start; its output is above, and the logs of its parts in {folder.logs}")
