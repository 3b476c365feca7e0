"""Executables that answer with what nobody should, behind the function runner's gRPC, in a rendering."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from porchflow.functions.calls.client import GrpcEvaluator
from tests.functions.runner import running
from tests.functions.test_executable import script
from tests.kpt.hostile import ANSWERS, FINE, account, package, text_of

DEADLINE = 60.0
SIZE = 16 << 20
FAILED = "package p: mutator 'example.com/fn/f:latest' failed: "
EVALUATION = 'failed to evaluate function "example.com/fn/f:latest"'
NO_LIST = "failed to parse the output of function 'example.com/fn/f:latest': "
ONLY_A_LIST = "; a function must write a ResourceList and nothing else to its standard output"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("functions")


@pytest.fixture(scope="module")
async def address(folder: Path) -> AsyncIterator[str]:
    async with running(executable=str(folder / "f"), max_grpc_message_size=SIZE) as runner:
        yield runner.address


async def answered(address: str) -> dict[str, Any]:
    """What comes of a rendering whose function is the executable."""
    async with GrpcEvaluator(address, max_message_size=SIZE, deadline=DEADLINE) as evaluate:
        return await account(package(), evaluate)


@pytest.mark.parametrize(("name", "message"), [(name, case[1]) for name, case in ANSWERS.items()])
async def test_an_answer_is_refused(name: str, message: str, folder: Path, address: str) -> None:
    (folder / "answer").write_bytes(text_of(ANSWERS[name][0]))
    script(folder, f"exec cat {folder}/answer", "f")
    came = await answered(address)
    assert came["message"] in (
        FAILED + message,
        f"{FAILED}MalformedYAMLError: {message}{ONLY_A_LIST}",
        f"{FAILED}{EVALUATION}: {NO_LIST}{message}",
    )
    assert (came["ok"], came["changed"], came["new"], came["told"]) == (False, [], {}, came["message"])


@pytest.mark.parametrize("name", FINE)
async def test_an_odd_answer_is_taken(name: str, folder: Path, address: str) -> None:
    content, new = FINE[name]
    (folder / "answer").write_bytes(text_of(content))
    script(folder, f"exec cat {folder}/answer", "f")
    came = await answered(address)
    assert (came["message"], came["ok"], came["changed"], came["new"]) == ("", True, [], new)


BEHAVIOURS = {
    "says nothing": ("true", f"{NO_LIST}expected a ResourceList, found nothing"),
    "never ends its answer": ("exec yes 'a: b'", f"was killed: its answer is larger than {SIZE} bytes"),
    "needs all memory": (
        "exec python3 -c 'x = bytearray(10 ** 10)'",
        f"{EVALUATION} with stderr: Traceback",
    ),
    "kills itself": ("kill -9 $$", "Failed to execute function 'example.com/fn/f:latest': signal 9"),
    "logs more than it may": (
        "yes | head -c 10000000 >&2; echo a",
        f"{NO_LIST}expected a ResourceList, found a text with stderr: y",
    ),
    "fails with garbage": ("printf '\\377\\0'; exit 3", "exit status 3"),
}


@pytest.mark.parametrize("name", BEHAVIOURS)
async def test_a_function_that_does_not_answer_fails_alone(name: str, folder: Path, address: str) -> None:
    text, message = BEHAVIOURS[name]
    script(folder, text, "f")
    came = await answered(address)
    assert message in came["message"]
    assert (came["ok"], came["changed"], came["new"], came["told"]) == (False, [], {}, came["message"])
    script(folder, "exec cat", "f")
    assert (await answered(address))["ok"]


async def test_a_function_that_never_ends_is_killed(folder: Path) -> None:
    script(folder, f"echo $$ > {folder}/new; mv {folder}/new {folder}/pid; exec sleep 1000", "f")
    async with running(executable=str(folder / "f"), max_grpc_message_size=SIZE, function_timeout=1.0) as runner:
        came = await answered(runner.address)
        assert came["message"] == f"{FAILED}{EVALUATION}: function 'example.com/fn/f:latest' was killed after 1 s"
        assert (came["ok"], came["changed"], came["new"], came["told"]) == (False, [], {}, came["message"])
        assert not psutil.pid_exists(int((folder / "pid").read_text()))
