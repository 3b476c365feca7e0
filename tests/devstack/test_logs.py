from pathlib import Path

import pytest

from porchflow.devstack.logs import STACK, LogFollower, console


def follower(
    tmp_path: Path, said: list[tuple[str, str]], limit: int = 1_000_000, name: str = "worker-1"
) -> LogFollower:
    return LogFollower({name: tmp_path / "log"}, lambda who, line: said.append((who, line)), limit=limit)


def append(tmp_path: Path, text: str) -> None:
    with (tmp_path / "log").open("a") as log:
        log.write(text)


def test_new_lines_are_shown_when_they_are_whole(tmp_path: Path) -> None:
    said = list[tuple[str, str]]()
    append(tmp_path, "from before\n")
    logs = follower(tmp_path, said)
    append(tmp_path, "one\ntw")
    logs.poll()
    assert said == [("worker-1", "one")]
    append(tmp_path, "o\n")
    logs.poll()
    assert said[1:] == [("worker-1", "two")]


def test_a_file_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    said = list[tuple[str, str]]()
    logs = follower(tmp_path, said)
    logs.poll()
    append(tmp_path, "one\n")
    logs.poll()
    assert said == [("worker-1", "one")]


def test_a_log_that_was_begun_anew_is_read_from_its_start(tmp_path: Path) -> None:
    said = list[tuple[str, str]]()
    append(tmp_path, "a long first line\n")
    logs = follower(tmp_path, said)
    (tmp_path / "log").write_text("new\n")
    logs.poll()
    assert said == [("worker-1", "new")]


def test_a_large_log_is_cut_and_the_old_one_kept(tmp_path: Path) -> None:
    said = list[tuple[str, str]]()
    logs = follower(tmp_path, said, limit=10)
    append(tmp_path, "more than ten bytes\n")
    logs.poll()
    append(tmp_path, "next\n")
    logs.poll()
    assert [line for _, line in said] == ["more than ten bytes", "next"]
    assert (tmp_path / "log.1").read_text() == "more than ten bytes\n"
    assert (tmp_path / "log").read_text() == "next\n"


def test_of_the_servers_only_trouble_is_shown(tmp_path: Path) -> None:
    said = list[tuple[str, str]]()
    logs = follower(tmp_path, said, name="kube-apiserver")
    append(tmp_path, "I1122 info\nF1122 fatal\n")
    logs.poll()
    assert said == [("kube-apiserver", "F1122 fatal")]


def test_the_console_names_who_speaks(capsys: pytest.CaptureFixture[str]) -> None:
    console()("worker-1", "hello")
    console(only_stack=True)("worker-1", "unheard")
    console(only_stack=True)(STACK, "heard")
    assert capsys.readouterr().out == "       worker-1 | hello\n          stack | heard\n"
