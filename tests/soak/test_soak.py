"""`python -m soak`, as `make soak` runs it: usage, a short run on real servers, and an interrupt."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from soak.findings import Findings, Violation
from soak.journal import Journal
from soak.run import conclude
from tests.e2e.system import ROOT
from tests.servers.waiting import eventually


def soak(*arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "soak", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.parametrize(
    "arguments",
    [("--minutes", "0"), ("--minutes", "x"), ("--seed", "-1"), ("--only", "kill,earthquake"), ("--state-dir", ".")],
)
def test_a_wrong_argument_is_refused_before_anything_starts(arguments: tuple[str, str]) -> None:
    process = soak(*arguments)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 2, said
    assert arguments[0] in said


@pytest.mark.timeout(600)
def test_a_short_run_holds_and_its_log_has_actions_and_faults(server_binaries: dict[str, Path], tmp_path: Path) -> None:
    state = tmp_path / "state"
    process = soak("--minutes", "0.6", "--seed", "147", "--only", "kill,git-error", "--state-dir", str(state))
    said, _ = process.communicate(timeout=580)
    assert process.returncode == 0, said
    log = (state / "soak.log").read_text()
    assert "everything holds" in log
    assert re.search(r"^ +\d+\.\d fault +1 ", log, re.MULTILINE)
    assert re.search(r"^ +\d+\.\d action +\d+ \w+: init soak-", log, re.MULTILINE)
    assert re.search(r"report +\d+ package revisions, [1-9]", log)
    assert "settled   after" in log


@pytest.mark.timeout(300)
async def test_an_interrupt_ends_a_run_with_the_verdict_so_far(
    server_binaries: dict[str, Path], tmp_path: Path
) -> None:
    state = tmp_path / "state"
    process = soak("--minutes", "30", "--seed", "9", "--without-faults", "--state-dir", str(state))
    log = state / "soak.log"
    try:
        await eventually(lambda: log.exists() and " action " in log.read_text(), timeout=120, what="the first action")
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 0, said
    assert "interrupted" in said
    assert "everything holds" in said
    assert not (state / "stack.json").exists(), "the stack has ended"


@pytest.mark.parametrize("kept", [True, False])
def test_a_violation_is_named_ends_with_1_and_keeps_the_logs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kept: bool
) -> None:
    journal = Journal(tmp_path / "state")
    findings = Findings(journal)
    findings.add(
        [Violation("numbers", "apps web", "1 must follow 0"), Violation("numbers", "apps web", "1 must follow 0")]
    )
    with pytest.raises(SystemExit) as ended:
        conclude(findings, journal, tmp_path / "state", kept=kept)
    assert ended.value.code == 1
    said = capsys.readouterr().out
    assert said.count("VERDICT   numbers: apps web: 1 must follow 0") == 1
    assert "1 violations" in said
    assert (tmp_path / "state" / "soak.log").exists()


@pytest.mark.parametrize("kept", [True, False])
def test_without_violations_it_ends_with_0_and_leaves_only_a_named_folder(tmp_path: Path, kept: bool) -> None:
    journal = Journal(tmp_path / "state")
    with pytest.raises(SystemExit) as ended:
        conclude(Findings(journal), journal, tmp_path / "state", kept=kept)
    assert ended.value.code == 0
    assert (tmp_path / "state").exists() is kept
