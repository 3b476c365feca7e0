"""How processes end: what runs at exit still runs, and Python is never torn down beneath the threads of libraries."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import IO

import pytest

ROOT = Path(__file__).parents[2]

# What is left when Python tears itself down is a module's objects: by then a thread of Temporal's client, which comes
# back to Python, would abort the process.
COMMAND = """
import atexit, os, sys, threading
from cli.ending import run_to_end

class Left:
    def __del__(self, write=os.write):
        write(1, b"torn down\\n")
left = Left()

def late():
    threading.current_thread() is not threading.main_thread() and print("thread")

def command():
    atexit.register(print, "at exit")
    threading.Timer(0.2, late).start()
    print("command")
    ENDS

run_to_end(command)
"""


def run(ends: str, stdout: "IO[str] | int" = subprocess.PIPE) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", COMMAND.replace("ENDS", ends)],
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": ""},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("ends", "code"),
    [
        ("pass", 0),
        ("sys.exit()", 0),
        ("sys.exit(3)", 3),
        ("sys.exit('why')", 1),
        ("raise ValueError('why')", 1),
        ("raise KeyboardInterrupt('why')", 130),
    ],
)
def test_all_that_python_does_at_exit_is_done_and_nothing_is_torn_down(ends: str, code: int) -> None:
    done = run(ends)
    assert (done.returncode, done.stdout) == (code, "command\nthread\nat exit\n")
    assert ("why" in done.stderr) == ("why" in ends)


@pytest.mark.parametrize(("ends", "code"), [("pass", 120), ("sys.exit(3)", 3)])
def test_output_that_cannot_be_written_is_no_success(ends: str, code: int) -> None:
    with Path("/dev/full").open("w") as full:
        assert run(ends, full).returncode == code


@pytest.mark.parametrize("program", ["porchflow.cli.main", "bench"])
def test_programs_that_open_a_client_of_temporal_end_so(program: str) -> None:
    """Seen from outside: a function that is registered before all others is not reached."""
    code = (
        f"import atexit, runpy; atexit.register(print, 'torn down'); runpy.run_module({program!r}, run_name='__main__')"
    )
    command = [sys.executable, "-c", code, "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "Usage:" in done.stdout
    assert "torn down" not in done.stdout


def test_the_command_that_is_installed_ends_so() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"porchflow": "porchflow.cli.main:run"}
