"""One caller's functions leave nothing behind that another caller's would fail on, and do not take all processes."""

import asyncio

import pytest

from porchflow.functions.builtin import pool as pools
from porchflow.functions.builtin.pool import BuiltinRuntime, WorkerPool
from porchflow.functions.builtin.toolkit.patterns import compiled
from porchflow.functions.calls.client import GrpcEvaluator
from porchflow.functions.slots import on_behalf_of
from porchflow.kpt.format.resource_list import compose_list
from porchflow.kpt.package_errors import FunctionFailed
from tests.functions.lists import config
from tests.functions.runner import running

MIB = 1024 * 1024
ITEM = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c\n"
STARLARK = "ghcr.io/kptdev/krm-functions-catalog/starlark:v0.5"
LABELS = "ghcr.io/kptdev/krm-functions-catalog/set-labels:v0.2"


def program(source: str) -> bytes:
    text = "apiVersion: fn.kpt.dev/v1alpha1\nkind: StarlarkRun\nmetadata:\n  name: run\nsource: |\n"
    return compose_list([ITEM], function_config=text + "".join(f"  {line}\n" for line in source.splitlines()))


def labels() -> bytes:
    return compose_list([ITEM], function_config=config({"a": "b"}))


def test_patterns_are_kept_for_the_next_use_only() -> None:
    for number in range(1_000):
        compiled(f"a{{{number}}}b")
    assert compiled.cache_info().currsize <= 32


async def _process(pool: WorkerPool) -> object:
    await pool.run("set-labels", labels())
    return next(iter(pool._calls), None)


async def test_a_process_is_renewed_after_many_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "CALLS_OF_A_PROCESS", 3)
    async with WorkerPool(1) as pool:
        seen = [await _process(pool) for _ in range(5)]
    assert seen[0] is seen[1]
    assert seen[2] is None
    assert seen[3] is seen[4] is not seen[0]


async def test_a_process_is_renewed_when_it_is_large() -> None:
    async with WorkerPool(1, memory_limit=0) as pool:
        await pool.run("set-labels", labels())
        size = pools._address_space(next(iter(pool._calls)).pid)
    for limit, renewed in ((size * 3 // 2, True), (size * 3, False)):
        async with WorkerPool(1, memory_limit=limit) as pool:
            assert (await _process(pool) is None) == renewed


async def test_a_call_is_tried_again_where_its_process_had_no_room_left() -> None:
    async with WorkerPool(1) as pool:
        await pool.run("set-labels", labels())
        (process,) = pool._calls
        process.kill()
        reply = await pool.run("set-labels", labels())
    assert reply.exit_code == 0


async def test_what_kills_a_new_process_too_is_final() -> None:
    source = "x = 'a' * (1 << 20)\nfor i in range(40):\n    x = x + x\n"
    async with WorkerPool(1, memory_limit=512 * MIB) as pool:
        runtime = BuiltinRuntime(pool)
        for _ in range(2):
            with pytest.raises(FunctionFailed, match="needed more memory than it may have"):
                await runtime.evaluate(STARLARK, program(source), 60)
        assert (await runtime.evaluate(LABELS, labels(), 60)).resource_list


async def test_waiting_for_a_process_is_not_running() -> None:
    """A call is killed for what it takes itself, not for what those before it took."""
    endless = program("for i in range(1000000000):\n    pass\n")
    async with WorkerPool(1) as pool:
        runtime = BuiltinRuntime(pool, most_seconds=2)
        calls = [runtime.evaluate(STARLARK, endless, 300) for _ in range(2)]
        waiting = runtime.evaluate(LABELS, labels(), 2)
        *killed, answer = await asyncio.gather(*calls, waiting, return_exceptions=True)
    assert all("was killed after 2 s" in str(error) for error in killed)
    assert not isinstance(answer, BaseException)


async def test_one_tenant_does_not_hold_all_processes() -> None:
    """Two calls that never end, and a neighbour: on the runner, through the protocol."""
    endless = program("for i in range(1000000000):\n    pass\n")
    async with (
        running(processes=2) as runner,
        GrpcEvaluator(runner.address, max_message_size=6 * MIB, deadline=60) as evaluate,
    ):
        with on_behalf_of("team-a"):
            held = [asyncio.create_task(evaluate(STARLARK, endless)) for _ in range(4)]
        with on_behalf_of("team-b"):
            answer = await evaluate(LABELS, labels())
        assert b"a: b" in answer.resource_list
        assert not any(call.done() for call in held)
        for call in held:
            call.cancel()
        await asyncio.gather(*held, return_exceptions=True)
