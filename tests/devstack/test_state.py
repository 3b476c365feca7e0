import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from porchflow.cli.main import main
from porchflow.cli.stack_state import PartRecord, ProcessRecord, StackRecord, StateError, StateFolder
from porchflow.devstack.supervisor import end_strays


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    folder = StateFolder(tmp_path / "state")
    folder.make()
    return folder


def me() -> ProcessRecord:
    return ProcessRecord.of(os.getpid())


def sleeper() -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)


def test_what_is_written_is_read_again(folder: StateFolder) -> None:
    record = StackRecord(
        supervisor=me(), ready=True, parts={"etcd": PartRecord(**me().model_dump(), address="http://x")}
    )
    folder.write(record)
    assert folder.read() == record
    assert folder.running() == record
    folder.forget()
    assert folder.read() is None


def test_a_record_that_is_no_record_is_as_good_as_none(folder: StateFolder) -> None:
    folder.record.write_text("{")
    assert folder.read() is None


def test_the_folder_is_private(folder: StateFolder) -> None:
    assert folder.root.stat().st_mode & 0o077 == 0


def test_a_reused_process_id_is_another_process() -> None:
    assert me().process() is not None
    assert ProcessRecord(pid=os.getpid(), started=me().started - 100).process() is None


def test_a_process_that_ended_is_no_process() -> None:
    process = sleeper()
    record = ProcessRecord.of(process.pid)
    process.communicate(b"\n", timeout=20)
    assert record.process() is None


def test_the_folder_is_held_by_one(folder: StateFolder) -> None:
    folder.write(StackRecord(supervisor=me()))
    assert not folder.is_locked()
    with folder.locked():
        assert folder.is_locked()
        with pytest.raises(StateError, match=rf"already \(process {os.getpid()}\).*porchflow down"), folder.locked():
            pass
    assert not folder.is_locked()


def test_what_a_killed_supervisor_left_is_ended() -> None:
    said, left = list[str](), sleeper()
    record = StackRecord(supervisor=me(), parts={"etcd": PartRecord(**ProcessRecord.of(left.pid).model_dump())})
    end_strays(record, lambda _, line: said.append(line))
    assert said == [f"ending etcd (process {left.pid}), left over from a stack that was killed"]
    left.communicate(timeout=20)


def test_a_process_that_only_has_the_id_of_a_part_is_left_alone() -> None:
    said, innocent = list[str](), sleeper()
    part = PartRecord(pid=innocent.pid, started=ProcessRecord.of(innocent.pid).started - 100)
    end_strays(StackRecord(supervisor=me(), parts={"etcd": part}), lambda _, line: said.append(line))
    assert innocent.poll() is None
    assert "ended without `porchflow down`" in said[0]
    innocent.communicate(b"\n", timeout=20)


@pytest.mark.parametrize("command", ["up", "status", "down", "demo"])
def test_a_file_in_the_place_of_the_folder_is_named(tmp_path: Path, command: str) -> None:
    file = tmp_path / "file"
    file.write_text("")
    result = CliRunner().invoke(main, [command, "--state-dir", str(file)])
    assert result.exit_code == 1
    assert f"cannot use the state folder {file}" in result.output
    assert "--state-dir" in result.output


def test_a_record_that_is_not_text_is_as_good_as_none(folder: StateFolder) -> None:
    folder.record.write_bytes(b"\xff{")
    assert folder.read() is None
