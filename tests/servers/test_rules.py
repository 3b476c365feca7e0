"""The rules of tests/conftest.py, tried on tests that break them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.waiting import eventually

ROOT = Path(__file__).parents[2]

LEAVES_A_TASK = """
import asyncio
tasks = []
async def test_it():
    tasks.append(asyncio.create_task(asyncio.Event().wait(), name="forgotten"))
"""

CANCELS_ITS_TASK = """
import asyncio
async def test_it():
    task = asyncio.create_task(asyncio.Event().wait())
    await asyncio.wait([task], timeout=0)
    task.cancel()
"""

LEAVES_A_PROCESS = """
import pathlib, subprocess
def test_it():
    pathlib.Path("pid").write_text(str(subprocess.Popen(["tail", "-f", "/dev/null"]).pid))
"""

SEES_SETTINGS = """
import os, subprocess
def test_it():
    assert [name for name, value in os.environ.items() if value == "from outside"] == ["PORCHFLOW_CACHE_DIR"]
    assert "somebody-else" not in subprocess.check_output(["git", "config", "--list"], text=True)
"""


def run(folder: Path, test: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run pytest on one test, with this repository's rules."""
    (folder / "test_it.py").write_text(test)
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-c", ROOT / "pyproject.toml"]
    return subprocess.run(
        [*command, "--rootdir", folder, "-p", "no:cacheprovider", folder / "test_it.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_task_that_is_left_fails_its_test(tmp_path: Path) -> None:
    done = run(tmp_path, LEAVES_A_TASK)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    assert "the test left tasks behind" in done.stdout
    assert "forgotten" in done.stdout


def test_a_task_that_is_just_ending_is_no_failure(tmp_path: Path) -> None:
    done = run(tmp_path, CANCELS_ITS_TASK)
    assert done.returncode == pytest.ExitCode.OK, done.stdout


def test_a_process_that_is_left_fails_the_session(tmp_path: Path) -> None:
    done = run(tmp_path, LEAVES_A_PROCESS)
    os.kill(int((tmp_path / "pid").read_text()), 9)
    assert "1 passed" in done.stdout
    assert "left behind by the tests" in done.stderr
    assert "tail -f /dev/null" in done.stderr
    assert done.returncode == pytest.ExitCode.TESTS_FAILED


def test_settings_of_the_person_do_not_reach_tests(tmp_path: Path) -> None:
    config = tmp_path / "gitconfig"
    config.write_text("[user]\n\tname = somebody-else\n")
    names = ("PORCHFLOW_WORKERS", "PORCHFLOW_CACHE_DIR", "TEMPORAL_ADDRESS", "KUBECONFIG", "GIT_CACHE_DIR")
    done = run(tmp_path, SEES_SETTINGS, GIT_CONFIG_GLOBAL=str(config), **dict.fromkeys(names, "from outside"))
    assert done.returncode == pytest.ExitCode.OK, done.stdout


class TestEventually:
    async def test_returns_what_is_true(self) -> None:
        values = iter([None, 0, "found"])
        assert await eventually(lambda: next(values)) == "found"

    async def test_takes_asynchronous_functions(self) -> None:
        values = iter([False, 7])

        async def value() -> int:
            return next(values)

        assert await eventually(value) == 7

    async def test_an_assertion_counts_as_not_yet(self) -> None:
        values = iter([1, 2])

        def two() -> bool:
            assert next(values) == 2
            return True

        assert await eventually(two)

    async def test_says_what_and_the_last_value(self) -> None:
        with pytest.raises(AssertionError, match=r"not within 0 s: the moon \(last: \[\]\)"):
            await eventually(list, timeout=0, what="the moon")

    async def test_other_errors_are_not_swallowed(self) -> None:
        with pytest.raises(ZeroDivisionError):
            await eventually(lambda: 1 / 0)
