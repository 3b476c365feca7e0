"""The supervisor with small real processes."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from porchflow.cli.stack_state import ProcessRecord, StackRecord, StateFolder
from porchflow.devstack import supervisor as module
from porchflow.devstack.processes import Process, ProcessError
from porchflow.devstack.supervisor import Supervisor
from porchflow.functions.children import end_child
from tests.servers.waiting import eventually


class Stack:
    """A supervisor, what it said, and where its parts leave their marks."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = StateFolder(root / "state")
        self.folder.make()
        self.said: list[str] = []
        record = StackRecord(supervisor=ProcessRecord.of(psutil.Process().pid))
        self.supervisor = Supervisor(self.folder, record, lambda _, line: self.said.append(line))

    def part(self, name: str, code: str = "signal.pause()", ready_seconds: float = 20) -> Process:
        """A process that leaves a mark when it is ready, and another one when it is told to stop."""
        script = f"""
import pathlib, signal, sys, time
root = pathlib.Path({str(self.root)!r})
def stop(*_):
    with (root / "stopped").open("a") as marks:
        marks.write("{name}\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
(root / "ready-{name}").touch()
{code}
"""

        async def ready() -> bool:
            return (self.root / f"ready-{name}").exists()

        return Process(
            name,
            [sys.executable, "-S", "-c", script],
            log=self.folder.logs / f"{name}.log",
            ready=ready,
            ready_seconds=ready_seconds,
            stop_seconds=2,
        )

    def recorded(self, name: str) -> int:
        record = self.folder.read()
        assert record
        return record.parts[name].pid


@pytest.fixture
async def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stack]:
    monkeypatch.setattr(module, "_FIRST_DELAY", 0.01)
    monkeypatch.setattr(module, "_LONGEST_DELAY", 0.04)
    stack = Stack(tmp_path)
    yield stack
    await stack.supervisor.stop()


async def test_parts_start_in_groups_and_stop_in_reverse(stack: Stack) -> None:
    await stack.supervisor.start(stack.part("a"), stack.part("b"))
    await stack.supervisor.start(stack.part("c"))
    record = stack.folder.read()
    assert record
    assert set(record.parts) == {"a", "b", "c"}
    assert all(part.process() for part in record.parts.values())
    await stack.supervisor.stop()
    stopped = (stack.root / "stopped").read_text().split()
    assert stopped[0] == "c"
    assert sorted(stopped[1:]) == ["a", "b"]
    assert stack.folder.read() is None
    assert not any(part.process() for part in record.parts.values())


async def test_a_part_that_dies_is_started_again_and_said(stack: Stack) -> None:
    part = stack.part("a")
    await stack.supervisor.start(part)
    for killed in range(3):
        before = stack.recorded("a")
        part.signal(signal.SIGKILL)
        await eventually(lambda b=before: stack.recorded("a") != b, what="another process is recorded")
        assert stack.said[-2].startswith("a ended with SIGKILL; starting it again in")
        assert stack.said[-1] == f"a runs again, as process {stack.recorded('a')}"
        record = stack.folder.read()
        assert record
        assert record.parts["a"].restarts == killed + 1
    assert stack.recorded("a") == part.pid


async def test_a_part_that_always_dies_is_tried_less_and_less_often(stack: Stack) -> None:
    await stack.supervisor.start(stack.part("a", "time.sleep(0.05); sys.exit(3)"))
    await eventually(lambda: sum("exit code 3" in line for line in stack.said) >= 4, what="four restarts")
    delays = [float(line.split()[-2]) for line in stack.said if "exit code 3" in line]
    assert delays[:4] == [0.02, 0.04, 0.04, 0.04]


async def test_a_part_that_ends_at_its_start_is_an_error_with_its_last_words(stack: Stack) -> None:
    def broken() -> Process:
        async def never() -> bool:
            return False

        command = [sys.executable, "-S", "-c", "import sys; sys.exit('no data folder')"]
        return Process("b", command, log=stack.folder.logs / "b.log", ready=never)

    other = stack.part("a")
    with pytest.raises(ProcessError, match=r"(?s)b ended at its start with exit code 1.*no data folder"):
        await stack.supervisor.start(other, broken())
    await stack.supervisor.stop()
    assert not other.running


async def test_a_part_that_does_not_become_ready_is_an_error(stack: Stack) -> None:
    async def never() -> bool:
        return False

    part = Process("b", ["sleep", "1000"], log=stack.folder.logs / "b.log", ready=never, ready_seconds=0.2)
    with pytest.raises(ProcessError, match=r"b is not ready after 0\.2 s"):
        await stack.supervisor.start(part)
    assert not part.running


async def test_a_part_that_ignores_being_told_is_killed(stack: Stack) -> None:
    part = stack.part("a", "signal.signal(signal.SIGTERM, signal.SIG_IGN); (root / 'deaf').touch(); signal.pause()")
    part._stop_seconds = 0.1
    await stack.supervisor.start(part)
    await eventually((stack.root / "deaf").exists, what="it ignores SIGTERM")
    await stack.supervisor.stop()
    assert await part.wait() == -signal.SIGKILL


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
async def test_parts_end_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    code = f"""
import asyncio, pathlib
from porchflow.devstack.processes import Process
async def main():
    async def ready(): return True
    part = Process("a", ["sleep", "1000"], log=pathlib.Path({str(tmp_path)!r}) / "a.log", ready=ready)
    await part.start()
    print(part.pid, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout
    part = psutil.Process(int(await parent.stdout.readline()))
    await end_child(parent)
    await eventually(lambda: not part.is_running(), what="the part has ended")
