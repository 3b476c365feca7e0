import asyncio
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from porchflow.devstack import processes
from porchflow.devstack.processes import Process, ProcessError, describe_exit, free_port, listens, reserve_port
from porchflow.functions.children import end_child
from tests.servers.restarts import restart
from tests.servers.waiting import eventually

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Callable[..., Process]]:
    """Makes shell scripts into processes, ready when their id is in the file `ready`; ends them after the test."""
    made: list[Process] = []

    def process(script: str, **options: Any) -> Process:
        async def ready() -> bool:
            file = tmp_path / "ready"
            return file.exists() and file.read_text() == f"{new.pid}\n"

        new = Process(
            "part", ["sh", "-c", script], log=tmp_path / "logs" / "part.log", ready=ready, folder=tmp_path, **options
        )
        made.append(new)
        return new

    yield process
    for one in made:
        await one.kill()


async def test_it_runs_once_it_is_ready(make: Callable[..., Process], tmp_path: Path) -> None:
    process = make("echo started; echo $$ > ready; exec tail -f /dev/null")
    assert process.pid is None
    await process.start()
    assert (tmp_path / "ready").exists()
    assert process.pid
    assert psutil.pid_exists(process.pid)
    assert process.log.read_text() == "started\n"


async def test_starting_a_running_one_does_nothing(make: Callable[..., Process]) -> None:
    process = make("echo $$ > ready; exec tail -f /dev/null")
    await process.start()
    before = process.pid
    await process.start()
    assert process.pid == before


async def test_a_start_that_ends_shows_the_exit_code_and_the_end_of_the_log(make: Callable[..., Process]) -> None:
    process = make("for i in $(seq 99); do echo line $i; done; echo the reason >&2; exit 7")
    with pytest.raises(ProcessError, match="part ended at its start with exit code 7") as raised:
        await process.start()
    lines = str(raised.value).splitlines()
    assert str(process.log) in lines[0]
    assert lines[-1].strip() == "the reason"
    assert "line 1\n" not in str(raised.value)


async def test_one_that_never_gets_ready_is_an_error_and_does_not_stay(make: Callable[..., Process]) -> None:
    process = make("echo thinking; exec tail -f /dev/null", ready_seconds=0.3)
    with pytest.raises(ProcessError, match=r"part is not ready after 0\.3 s") as raised:
        await process.start()
    assert "thinking" in str(raised.value)
    assert not process.running


async def test_a_cancelled_start_leaves_nothing(make: Callable[..., Process], tmp_path: Path) -> None:
    process = make("echo $$ > pid; exec tail -f /dev/null")
    task = asyncio.create_task(process.start())
    await eventually(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))


async def test_a_command_that_is_not_there_is_said(tmp_path: Path) -> None:
    async def ready() -> bool:
        return False

    process = Process("part", ["/nowhere/program"], log=tmp_path / "log", ready=ready)
    with pytest.raises(ProcessError, match=r"cannot start /nowhere/program: .*No such file"):
        await process.start()


async def test_stop_asks_first(make: Callable[..., Process], tmp_path: Path) -> None:
    process = make("trap 'echo bye; exit 0' TERM; echo $$ > ready; while :; do sleep 0.05; done")
    await process.start()
    await process.stop()
    assert process.log.read_text() == "bye\n"
    assert await process.wait() == 0
    await process.stop()


async def test_stop_kills_what_does_not_listen(make: Callable[..., Process]) -> None:
    process = make("trap '' TERM; echo $$ > ready; while :; do sleep 0.05; done", stop_seconds=0.3)
    await process.start()
    await process.stop()
    assert await process.wait() == -signal.SIGKILL
    assert not process.running


async def test_a_restart_is_another_process_with_the_same_log(make: Callable[..., Process]) -> None:
    process = make("echo started; echo $$ > ready; exec tail -f /dev/null")
    await process.start()
    before = process.pid
    await restart(process)
    assert process.pid != before
    assert process.log.read_text() == "started\nstarted\n"


async def test_a_large_log_is_put_aside(make: Callable[..., Process], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_LOG_LIMIT", 4)
    process = make("echo started; echo $$ > ready; exec tail -f /dev/null")
    await process.start()
    await restart(process)
    assert process.log.read_text() == "started\n"
    assert process.log.with_name("part.log.1").read_text() == "started\n"


async def test_the_environment_is_added_to(make: Callable[..., Process]) -> None:
    process = make('echo "$ADDED $HOME"; echo $$ > ready; exec tail -f /dev/null', environment={"ADDED": "more"})
    await process.start()
    assert process.log.read_text() == f"more {os.environ['HOME']}\n"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems cannot end a process with its parent")
@pytest.mark.parametrize(
    ("command", "death"),
    # The second ignores SIGTERM, as an API server does whose etcd has ended.
    [(["tail", "-f", "/dev/null"], "SIGTERM"), (["sh", "-c", "trap '' TERM; exec tail -f /dev/null"], "SIGKILL")],
)
async def test_it_ends_with_the_process_that_started_it(tmp_path: Path, command: list[str], death: str) -> None:
    code = f"""
import asyncio, pathlib, signal
from porchflow.devstack.processes import Process
async def ready(): return True
async def main():
    log = pathlib.Path({str(tmp_path / "log")!r})
    part = Process("part", {command!r}, log=log, ready=ready, death=signal.{death})
    await part.start()
    print(part.pid, flush=True)
    await part.wait()
asyncio.run(main())
"""
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=subprocess.PIPE, cwd=ROOT)
    try:
        assert parent.stdout
        part = psutil.Process(int(await parent.stdout.readline()))
        assert part.is_running()
    finally:
        await end_child(parent)
    assert psutil.wait_procs([part], timeout=30)[1] == []


@pytest.mark.parametrize(
    ("code", "text"),
    [(None, "no exit code"), (0, "exit code 0"), (3, "exit code 3"), (-9, "SIGKILL"), (-99, "exit code -99")],
)
def test_exits_are_described(code: int | None, text: str) -> None:
    assert describe_exit(code) == text


async def test_a_free_port_can_be_listened_on() -> None:
    port = free_port()
    assert reserve_port(port)
    assert not await listens(port)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", port)
    async with server:
        assert not reserve_port(port)
        assert await listens(port)
    assert not await listens(port)
    assert reserve_port(port)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems cannot keep a port for somebody else")
class TestPortsThatAreKept:
    def test_nobody_else_gets_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Neither this process nor another one that chooses ports, before the server listens."""
        port = free_port()
        asked = iter([port, port])
        monkeypatch.setattr(
            processes.random, "randint", lambda low, high: next(asked, None) or secrets.choice(range(low, high))
        )
        assert free_port() != port
        assert next(asked, None) is None
        chosen = subprocess.run(
            [sys.executable, "-c", f"import socket; socket.socket().bind(('127.0.0.1', {port}))"],
            check=False,
            capture_output=True,
            text=True,
        )
        assert "Address already in use" in chosen.stderr

    @pytest.mark.parametrize("fixed", [False, True])
    async def test_the_server_it_was_chosen_for_gets_it_again_and_again(self, tmp_path: Path, *, fixed: bool) -> None:
        port = free_port()
        if fixed:
            assert reserve_port(port)
        command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)]
        process = Process("part", command, log=tmp_path / "log", ready=lambda: listens(port))
        for _ in range(2):
            await process.start()
            await process.kill()
        assert not await listens(port)
