"""Runs the whole stack: in this process while a context is open, or as a process of its own."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from porchflow.cli.settings import StackSettings, settings_of
from porchflow.cli.stack_state import ProcessRecord, StackRecord, StateError, StateFolder
from porchflow.devstack.logs import STACK, LogFollower, Say
from porchflow.devstack.objects import api_service as contentapi
from porchflow.devstack.objects.crds import install_crds
from porchflow.devstack.objects.policies import install_policies
from porchflow.devstack.objects.roles import install_roles
from porchflow.devstack.parts import SOURCES, Parts
from porchflow.devstack.ports import PortError, choose_ports
from porchflow.devstack.processes import ProcessError
from porchflow.devstack.supervisor import Supervisor, end_strays
from porchflow.devstack.temporal_server.server_executables import POSTGRESQL_SERVERS
from porchflow.devstack.toolchain.executables import SERVERS, Server
from porchflow.devstack.toolchain.finding import ToolchainError, ensure_servers
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import KubeError

STACK_ERRORS = (PortError, ProcessError, StateError, ToolchainError, KubeError, OSError)
"""Expected errors of a start, each with a message for people; a full disk and a `TimeoutError` are an `OSError`."""

_POLL_SECONDS = 0.1
_STOP_SECONDS = 120.0


@contextlib.asynccontextmanager
async def running_stack(
    settings: StackSettings, say: Say, *, environments: Mapping[str, Mapping[str, str]] | None = None
) -> AsyncIterator[StackRecord]:
    """Run the stack while the context is open.

    Args:
        settings: Folder, ports, number of workers.
        say: Receives events of the stack and log lines of the parts.
        environments: Variables of single processes of porchflow, by name of the part, in place of the stack's own.

    Yields:
        The running parts, as in `stack.json`.

    Raises:
        StateError: A stack runs in that folder already.
        PortError: A port is in use.
        ToolchainError: A server's executable is not available.
        ProcessError: A part does not start.
    """
    folder = StateFolder(settings.state_dir)
    folder.make()
    with folder.locked():
        if stale := folder.read():
            await asyncio.to_thread(end_strays, stale, say)
        ports = choose_ports(settings, folder.ports)
        binaries = await _servers(settings, say)
        parts = Parts(
            folder,
            ports,
            binaries,
            on_postgresql=settings.temporal_store == "postgresql",
            has_runner=settings.function_runner,
            git_latency=settings.git_latency,
            environments=environments,
        )
        record = StackRecord(
            supervisor=ProcessRecord.of(os.getpid()),
            ui=parts.ui_url,
            git=parts.git_url,
            temporal=parts.temporal_address,
            temporal_store=settings.temporal_store,
            installation=parts.installation,
            function_runner=parts.runner_address,
            kubeconfig=str(folder.kubeconfig),
        )
        folder.write(record)
        supervisor = Supervisor(folder, record, say)
        groups = parts.groups(settings.workers)
        async with following({part.name: part.log for group in groups for part in group}, say):
            try:
                if real := parts.temporal_on_postgresql:
                    await real.make_data()
                for group in groups:
                    await supervisor.start(*group)
                    if real and real.database in group:
                        await real.before_server()
                    if real and real.server in group:
                        await real.after_server()
                    if parts.apiserver in group:
                        await _install_api(folder.kubeconfig, say)
                    if parts.content_api in group:
                        await _register_content_api(folder.kubeconfig, ports["content_port"], parts.authority, say)
                record.ready = True
                folder.write(record)
                yield record
            finally:
                await supervisor.stop()


async def _servers(settings: StackSettings, say: Say) -> dict[str, Path]:
    stop = threading.Event()
    try:
        return await asyncio.to_thread(
            ensure_servers, lambda line: say(STACK, line), servers=_needed(settings), stop=stop
        )
    finally:
        # A thread cannot be cancelled, but this one watches the event.
        stop.set()


def _needed(settings: StackSettings) -> tuple[Server, ...]:
    """Return the servers that are built where they are missing."""
    if settings.temporal_store == "sqlite":
        return SERVERS
    return (*(server for server in SERVERS if server.name != "temporal"), *POSTGRESQL_SERVERS)


@contextlib.asynccontextmanager
async def following(logs: dict[str, Path], say: Say) -> AsyncIterator[None]:
    """Show the logs of parts while the context is open."""
    task = asyncio.create_task(LogFollower(logs, say).run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _install_api(kubeconfig: Path, say: Say) -> None:
    async with await KubeClient.connect(kubeconfig) as client:
        names = await install_crds(client)
        policies = await install_policies(client)
        roles = await install_roles(client)
    say(STACK, f"installed {', '.join(names)}, the policies {', '.join(policies)}, and the roles {', '.join(roles)}")


async def _register_content_api(kubeconfig: Path, port: int, authority: Path, say: Say) -> None:
    async with await KubeClient.connect(kubeconfig) as client:
        await contentapi.register(client, port, authority)
    say(STACK, "the API server serves packagerevisionresources.porch.kpt.dev")


def start_detached(settings: StackSettings, say: Say) -> StackRecord:
    """Run the stack in a process of its own, and return when all of it is ready.

    Raises:
        StateError: A stack runs in that folder already, or the process ended at its start.
        ToolchainError: A server's executable is not available.
    """
    folder = StateFolder(settings.state_dir)
    folder.make()
    with folder.locked():
        # In this process, because a build may take minutes and reports its progress.
        ensure_servers(lambda line: say(STACK, line), servers=_needed(settings))
    log = folder.logs / "up.log"
    flags = [f"{known.flag}={known.of(settings)}" for known in settings_of(StackSettings).values()]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "porchflow.cli.main", "up", "--quiet", *flags],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd=SOURCES,
        )
    follower = LogFollower({STACK: log}, lambda _, line: say(STACK, line.partition("| ")[2] or line))
    try:
        return _until_ready(folder, process, follower)
    except BaseException:
        process.terminate()
        process.wait()
        raise


def _until_ready(folder: StateFolder, process: "subprocess.Popen[bytes]", follower: LogFollower) -> StackRecord:
    while process.poll() is None:
        follower.poll()
        record = folder.read()
        if record and record.ready and record.supervisor.pid == process.pid:
            return record
        time.sleep(_POLL_SECONDS)
    follower.poll()
    raise StateError("the stack ended at its start; its output is above")


def stop_stack(folder: StateFolder, say: Say) -> bool:
    """Stop the stack of a folder, whichever process runs it; its state stays.

    Returns:
        Whether a stack ran.

    Raises:
        StateError: It does not end.
    """
    record = folder.read()
    if not folder.is_locked():
        if record:
            end_strays(record, say)
            folder.forget()
        return record is not None
    supervisor = record.supervisor.process() if record else None
    if supervisor is None:
        raise StateError(f"a stack in {folder.root} is just starting or ending; try again in a moment")
    say(STACK, f"stopping the stack (process {supervisor.pid})")
    supervisor.send_signal(signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    while folder.is_locked():
        if time.monotonic() > deadline:
            raise StateError(f"process {supervisor.pid} does not end; end it with `kill -9 {supervisor.pid}`")
        time.sleep(_POLL_SECONDS)
    return True
