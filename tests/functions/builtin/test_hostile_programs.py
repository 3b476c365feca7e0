"""Programs written to do harm, in the processes that run them for real."""

import asyncio
import contextlib
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from itertools import pairwise

import psutil
import pytest
import pytest_asyncio

from porchflow.functions.builtin.pool import BuiltinRuntime, WorkerPool
from porchflow.functions.local import LocalEvaluator
from porchflow.kpt.format.resource_list import compose_list
from porchflow.kpt.package_errors import FunctionFailed
from tests.functions.builtin.test_starlark import program
from tests.functions.lists import config
from tests.servers.waiting import eventually

CATALOG = "ghcr.io/kptdev/krm-functions-catalog"
STARLARK = f"{CATALOG}/starlark:v0.5"
LABELS = f"{CATALOG}/set-labels:v0.2"
ITEM = "kind: X\nmetadata: {name: x}\n"
FIRST = 'ctx.resource_list["items"][0]["x"]'
TIME_LIMIT = 60.0

BOMB = "a: &a [1]\n" + "".join(f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in pairwise("abcdefghijkl"))

CRASHES = {
    "nested expressions": ("x = " + "[" * 50_000 + "]" * 50_000, "is nested too deeply"),
    "nested operators": ("x = " + "-" * 200_000 + "1", "is nested too deeply"),
    "a nested resource": (f"x = []\nfor i in range(100000): x = [x]\n{FIRST} = x", "is nested too deeply"),
    "a long text": ('x = "a" * 1000000000\ny = x * 10', "needed more memory than it may have"),
    "a long list": ("x = [0] * 1000000000", "needed more memory than it may have"),
    "a list of long texts": ("[str(i) * 1000000 for i in range(10000000)]", "needed more memory than it may have"),
}
"""Programs that end their process."""

FAILURES = {
    "recursion": ("def f(n): return f(n)\nf(0)", "fix:1:18: Starlark call stack overflow"),
    "a large shift": ("1 << 100000000", "Integer overflow computing left shift"),
    "a large number": (f"{FIRST} = 1 << 20000", "a resource cannot be written: Exceeds the limit"),
    "a large resource": (f'{FIRST} = "a" * 40000000', "characters; 33554432 are allowed"),
    "a deep resource": (f"x = []\nfor i in range(210): x = [x]\n{FIRST} = x", "nested deeper than 200 levels"),
    "a resource in itself": (f"x = []\nx.append(x)\n{FIRST} = x", "Cycle detected"),
    "a function in a resource": (f"{FIRST} = len", "resources cannot hold functions or sets"),
    "deep JSON": (
        "load('encoding/json.star', 'json')\njson.decode('[' * 100000)",
        "maximum recursion depth exceeded",
    ),
    "deep YAML": ("load('encoding/yaml.star', 'yaml')\nyaml.loads('[' * 100000)", "nested deeper than 200 levels"),
    "an alias bomb": (f"load('encoding/yaml.star', 'yaml')\nyaml.loads({BOMB!r})", "aliases"),
}
"""Programs that fail while their process lives on."""


@pytest_asyncio.fixture
async def runtime() -> AsyncIterator[BuiltinRuntime]:
    async with WorkerPool(1, memory_limit=512 * 1024 * 1024) as pool:
        yield BuiltinRuntime(pool)


async def attempt(runtime: BuiltinRuntime, source: str, time_limit: float = TIME_LIMIT) -> str:
    """What is said of a program that fails; then another function must work."""
    request = compose_list([ITEM], function_config=program(source))
    with pytest.raises(FunctionFailed) as failure:
        await runtime.evaluate(STARLARK, request, time_limit)
    labels = compose_list([ITEM], function_config=config({"a": "b"}))
    assert b"labels:" in (await runtime.evaluate(LABELS, labels, TIME_LIMIT)).resource_list
    return failure.value.message


@pytest.mark.parametrize("name", CRASHES)
async def test_a_program_that_crashes_its_process_fails_alone(name: str, runtime: BuiltinRuntime) -> None:
    source, message = CRASHES[name]
    said = await attempt(runtime, source)
    assert "crashed: its process" in said
    assert message in said


@pytest.mark.parametrize("name", FAILURES)
async def test_a_program_that_goes_too_far_is_told_so(name: str, runtime: BuiltinRuntime) -> None:
    source, message = FAILURES[name]
    said = await attempt(runtime, source)
    assert "failed with exit code 1: " in said
    assert message in said
    assert len(said) < 500


@pytest.mark.parametrize(
    "source",
    [
        "for i in range(1 << 30): pass",
        "[0 for i in range(1 << 30) if i < 0]",
        "x = 3\nfor i in range(64): x = x * x",
        f"x = []\nfor i in range(60): x = [x, x]\n{FIRST} = x",
    ],
)
async def test_a_program_that_does_not_end_is_killed(source: str, runtime: BuiltinRuntime) -> None:
    assert "was killed after 0.5 s" in await attempt(runtime, source, 0.5)


async def test_a_program_that_prints_without_end_is_cut(runtime: BuiltinRuntime) -> None:
    request = compose_list([ITEM], function_config=program("for i in range(3000): print('x' * 1000)"))
    log = (await runtime.evaluate(STARLARK, request, TIME_LIMIT)).log
    assert len(log) < 1024 * 1024 + 100
    assert log.endswith(b"\n... the rest is cut")


async def test_calls_beside_one_that_crashes_are_answered() -> None:
    source, _ = CRASHES["nested operators"]
    bad = compose_list([ITEM], function_config=program(source))
    good = compose_list([ITEM], function_config=config({"a": "b"}))
    async with WorkerPool(2) as pool:
        runtime = BuiltinRuntime(pool)
        calls = [
            runtime.evaluate(*((STARLARK, bad) if number % 3 == 0 else (LABELS, good)), TIME_LIMIT)
            for number in range(12)
        ]
        answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [isinstance(answer, FunctionFailed) for answer in answers] == [number % 3 == 0 for number in range(12)]


async def test_a_worker_without_function_runner_outlives_a_program() -> None:
    evaluate = LocalEvaluator(time_limit=TIME_LIMIT)
    try:
        bad = compose_list([ITEM], function_config=program(CRASHES["nested operators"][0]))
        with pytest.raises(FunctionFailed, match="is nested too deeply"):
            await evaluate(STARLARK, bad)
        good = compose_list([ITEM], function_config=program(f"{FIRST} = 1"))
        assert b"x: 1" in (await evaluate(STARLARK, good)).resource_list
    finally:
        await evaluate.aclose()


RUNNER = """
import asyncio, sys
from porchflow.functions.builtin.pool import BuiltinRuntime, WorkerPool

async def main():
    async with WorkerPool(1) as pool:
        print("ready", flush=True)
        await BuiltinRuntime(pool).evaluate(sys.argv[1], sys.stdin.buffer.read(), 600)

asyncio.run(main())
"""


async def test_a_program_without_end_does_not_outlive_a_runner_that_is_killed() -> None:
    endless = "def f():\n  for a in range(1 << 30):\n    for b in range(1 << 30):\n      pass\nf()"
    runner = await asyncio.create_subprocess_exec(sys.executable, "-c", RUNNER, STARLARK, stdin=PIPE, stdout=PIPE)
    assert runner.stdin is not None
    assert runner.stdout is not None
    assert await runner.stdout.readline() == b"ready\n"
    [worker] = psutil.Process(runner.pid).children()
    try:
        idle = _computed(worker)
        runner.stdin.write(compose_list([ITEM], function_config=program(endless)))
        runner.stdin.write_eof()
        await eventually(lambda: _computed(worker) > idle + 0.5, what="the program computes")
        runner.kill()
        await eventually(lambda: not _lives(worker), 20, "the worker is gone")
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            worker.kill()
        await runner.wait()


def _computed(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _lives(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
