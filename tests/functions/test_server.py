import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from porchflow.functions.builtin.pool import WorkerPool
from porchflow.functions.calls.client import GrpcEvaluator
from porchflow.functions.function_errors import FunctionNotFound, MessageTooLarge, RunnerUnavailable
from porchflow.functions.proto import evaluator_pb2
from porchflow.functions.runner.server import serve
from porchflow.functions.runner_settings import CallSettings, RunnerListenSettings
from porchflow.kpt.format.resource_list import compose_list, split_list
from porchflow.kpt.package_errors import FunctionFailed
from tests.functions.lists import config
from tests.functions.runner import Runner, running
from tests.servers.waiting import eventually

LABELS = "ghcr.io/kptdev/krm-functions-catalog/set-labels:v0.2.0"
LIST = compose_list(["kind: X\nmetadata:\n  name: x # c\n"], function_config=config({"a": "b"}))
LIMIT = 64 * 1024


@pytest.fixture(scope="module")
async def runner() -> AsyncIterator[Runner]:
    async with running(max_grpc_message_size=LIMIT, processes=2, runtimes=["Slow", "Failing", "Absent"]) as started:
        yield started


@pytest.fixture(scope="module")
async def evaluate(runner: Runner) -> AsyncIterator[GrpcEvaluator]:
    async with GrpcEvaluator(runner.address, max_message_size=LIMIT, deadline=20) as client:
        yield client


@asynccontextmanager
async def connected(deadline: float = 30, **settings: Any) -> AsyncIterator[tuple[Runner, GrpcEvaluator]]:
    size = settings.setdefault("max_grpc_message_size", LIMIT)
    async with (
        running(**settings) as runner,
        GrpcEvaluator(runner.address, max_message_size=size, deadline=deadline) as client,
    ):
        yield runner, client


async def test_a_builtin_runs(evaluate: GrpcEvaluator) -> None:
    evaluation = await evaluate(LABELS, LIST)
    listed = split_list(evaluation.resource_list)
    assert listed.items == ["kind: X\nmetadata:\n  name: x # c\n  labels:\n    a: b\n"]
    assert listed.results == [{"message": "set 1 labels in total", "severity": "info"}]


async def test_many_calls_at_a_time(evaluate: GrpcEvaluator) -> None:
    answers = await asyncio.gather(*(evaluate(LABELS, LIST) for _ in range(40)))
    assert len({answer.resource_list for answer in answers}) == 1


async def test_an_unknown_image_is_not_found(evaluate: GrpcEvaluator, runner: Runner) -> None:
    with pytest.raises(FunctionNotFound, match=r'function "example\.com/x:v1" not found'):
        await evaluate("example.com/x:v1", LIST)
    async with grpc.aio.insecure_channel(runner.address) as channel:
        call = channel.unary_unary(
            "/evaluator.FunctionEvaluator/EvaluateFunction",
            request_serializer=evaluator_pb2.EvaluateFunctionRequest.SerializeToString,
        )
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call(evaluator_pb2.EvaluateFunctionRequest(image="example.com/x:v1"))
    assert raised.value.code() == grpc.StatusCode.NOT_FOUND
    assert raised.value.details() == 'function "example.com/x:v1" not found'


async def test_what_is_in_the_way_is_worth_another_try(evaluate: GrpcEvaluator) -> None:
    with pytest.raises(RunnerUnavailable, match=r"UNAVAILABLE: registry down\.io: connection refused"):
        await evaluate("down.io/x:v1", LIST)


async def test_an_image_that_the_registry_does_not_have_is_final(evaluate: GrpcEvaluator) -> None:
    with pytest.raises(FunctionNotFound, match=r"not found; registry absent\.io has no such image") as raised:
        await evaluate("absent.io/x:v1", LIST)
    assert raised.value.hint == "registry absent.io has no such image"


async def test_a_failed_function_comes_with_exit_code_log_and_results(evaluate: GrpcEvaluator) -> None:
    setters = compose_list(["a: [x] # kpt-set: ${n}\n"], function_config=config({"n": "y"}))
    problem = 'failed to apply setters: input to array setter must be an array of values, but found "y"'
    with pytest.raises(FunctionFailed) as raised:
        await evaluate("ghcr.io/kptdev/krm-functions-catalog/apply-setters:v0.2", setters)
    failure = raised.value
    assert (failure.exit_code, failure.stderr) == (1, problem)
    assert failure.resource_list is not None
    assert split_list(failure.resource_list).results == [{"message": problem, "severity": "error"}]
    assert str(failure).startswith('failed to evaluate function "ghcr.io')
    assert f"with structured results: {problem} and stderr: {problem}" in str(failure)


async def test_a_failure_too_big_for_a_status_is_cut(evaluate: GrpcEvaluator) -> None:
    many = compose_list([], results=[{"message": f"{i} " + "m" * 400, "severity": "error"} for i in range(140)])
    with pytest.raises(FunctionFailed) as raised:
        await evaluate("failing", many)
    assert raised.value.exit_code == 7
    assert raised.value.stderr.startswith("the log\n")
    assert raised.value.resource_list is not None
    assert 20 < len(split_list(raised.value.resource_list).results) < 140


async def test_a_request_that_is_too_large_is_not_sent(evaluate: GrpcEvaluator) -> None:
    with pytest.raises(MessageTooLarge, match=rf"\d+ bytes, the limit is {LIMIT} bytes") as raised:
        await evaluate(LABELS, b"x" * LIMIT)
    assert not raised.value.ran


async def test_a_runner_with_a_smaller_limit_names_both_sizes(runner: Runner) -> None:
    async with GrpcEvaluator(runner.address, max_message_size=LIMIT * 10, deadline=20) as client:
        with pytest.raises(MessageTooLarge, match=rf"request of function .*: \d+ bytes, the limit is {LIMIT} bytes"):
            await client(LABELS, b"x" * LIMIT * 2)


async def test_an_answer_that_is_too_large_names_both_sizes() -> None:
    async with connected(runtimes=["Large"]) as (_, client):
        with pytest.raises(MessageTooLarge, match=rf"answer of function .*: \d+ bytes, the limit is {LIMIT} bytes"):
            await client("large", str(LIMIT).encode())
        assert len((await client("large", str(LIMIT - 100).encode())).resource_list) == LIMIT - 100


async def test_nobody_there_is_worth_another_try() -> None:
    async with GrpcEvaluator("127.0.0.1:1", max_message_size=LIMIT, deadline=20) as client:
        with pytest.raises(RunnerUnavailable, match=r"function runner 127.0.0.1:1 could not run .*: UNAVAILABLE"):
            await client(LABELS, LIST)


async def test_a_deadline_ends_the_call_and_the_function(runner: Runner, tmp_path: Path) -> None:
    async with GrpcEvaluator(runner.address, max_message_size=LIMIT, deadline=1) as client:
        with pytest.raises(RunnerUnavailable, match="no answer within 1 s"):
            await client("slow", str(tmp_path).encode())
    await eventually((tmp_path / "cancelled").exists)


async def test_cancelling_the_call_cancels_the_function(evaluate: GrpcEvaluator, tmp_path: Path) -> None:
    call = asyncio.create_task(evaluate("slow", str(tmp_path).encode()))
    await eventually((tmp_path / "began").exists)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await eventually((tmp_path / "cancelled").exists)


async def test_the_callers_deadline_reaches_the_runtime(evaluate: GrpcEvaluator, tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    evaluation = await evaluate("slow", str(tmp_path).encode())
    assert evaluation.resource_list == b"done"
    assert 0 < int(evaluation.log) <= 20


def _workers(runner: Runner) -> list[psutil.Process]:
    return psutil.Process(runner.process.pid).children()


async def test_a_crash_of_one_function_fails_that_call_only() -> None:
    async with (
        running(processes=1) as runner,
        GrpcEvaluator(runner.address, max_message_size=LIMIT, deadline=20) as client,
    ):
        [worker] = _workers(runner)
        worker.suspend()
        calls = [asyncio.create_task(client(LABELS, LIST)) for _ in range(3)]
        await eventually(lambda: runner.process.returncode is None and _is_waiting(calls))
        worker.kill()
        answers = await asyncio.gather(*calls, return_exceptions=True)
        failed = [answer for answer in answers if isinstance(answer, FunctionFailed)]
        assert len(failed) <= 1, answers
        assert all("crashed: its process was killed by signal 9" in str(failure) for failure in failed)
        assert len([answer for answer in answers if not isinstance(answer, BaseException)]) >= 2


def _is_waiting(calls: list[asyncio.Task[object]]) -> bool:
    return not any(call.done() for call in calls)


async def test_a_function_that_eats_memory_fails_that_call_only() -> None:
    async with connected(processes=1, memory_limit=200 * 1024 * 1024, max_grpc_message_size=1 << 30, deadline=60) as (
        _,
        client,
    ):
        huge = compose_list(["a: [" + "1," * 3_000_000 + "]\n"], function_config=config({"a": "b"}))
        with pytest.raises(FunctionFailed):
            await client(LABELS, huge)
        assert (await client(LABELS, LIST)).resource_list


async def test_a_function_that_overstays_its_time_is_killed() -> None:
    async with connected(processes=1, function_timeout=5) as (runner, client):
        [worker] = _workers(runner)
        worker.suspend()
        with pytest.raises(FunctionFailed, match=r"was killed after 5 s"):
            await client(LABELS, LIST)
        await eventually(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)
        # On a busy machine the next process may take longer to start than functions have here.
        assert await eventually(lambda: _answered(client))


async def test_a_client_that_knows_the_address_only_can_call(runner: Runner) -> None:
    """As grpcurl does: all it knows of the messages is what the runner says of them."""

    def call() -> bytes:
        with grpc.insecure_channel(runner.address) as channel:
            database = ProtoReflectionDescriptorDatabase(channel)
            assert {"evaluator.FunctionEvaluator", "grpc.health.v1.Health"} <= set(database.get_services())
            described = DescriptorPool(database)
            [method] = described.FindServiceByName("evaluator.FunctionEvaluator").methods
            request = message_factory.GetMessageClass(method.input_type)(image=LABELS, resource_list=LIST)
            evaluate = channel.unary_unary(
                "/evaluator.FunctionEvaluator/EvaluateFunction",
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=message_factory.GetMessageClass(method.output_type).FromString,
            )
            return bytes(evaluate(request, timeout=20).resource_list)

    assert b"a: b" in await asyncio.to_thread(call)


async def test_health_and_reflection(runner: Runner) -> None:
    async with grpc.aio.insecure_channel(runner.address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for service in ("", "evaluator.FunctionEvaluator"):
            answer = await health.Check(health_pb2.HealthCheckRequest(service=service))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        request = reflection_pb2.ServerReflectionRequest(file_containing_symbol="evaluator.FunctionEvaluator")
        [described] = [each async for each in stub.ServerReflectionInfo(iter([request]))]
        assert described.file_descriptor_response.file_descriptor_proto


async def _answered(client: GrpcEvaluator) -> bytes | None:
    try:
        return (await client(LABELS, LIST)).resource_list
    except FunctionFailed:
        return None


async def _until_refused(client: GrpcEvaluator) -> None:
    while True:
        try:
            await client(LABELS, LIST)
        except RunnerUnavailable:
            return


async def test_stopping_lets_calls_finish_and_refuses_new_ones(tmp_path: Path) -> None:
    async with running(runtimes=["Slow"]) as runner:
        async with GrpcEvaluator(runner.address, max_message_size=LIMIT, deadline=30) as client:
            call = asyncio.create_task(client("slow", str(tmp_path).encode()))
            await eventually((tmp_path / "began").exists)
            workers = _workers(runner)
            runner.terminate()
            async with GrpcEvaluator(runner.address, max_message_size=LIMIT, deadline=5) as other:
                await _until_refused(other)
            (tmp_path / "go").touch()
            assert (await call).resource_list == b"done"
        assert await runner.exit_code() == 0
        await eventually(lambda: not any(worker.is_running() for worker in workers))


async def test_a_call_that_outlasts_the_grace_of_a_runner_that_stops_is_worth_another_try(tmp_path: Path) -> None:
    async with connected(runtimes=["Slow"], grace=0.2) as (runner, client):
        call = asyncio.create_task(client("slow", str(tmp_path).encode()))
        await eventually((tmp_path / "began").exists)
        runner.terminate()
        with pytest.raises(RunnerUnavailable, match="UNAVAILABLE: it was stopped before the function ended"):
            await call
        assert await runner.exit_code() == 0
        assert (tmp_path / "cancelled").exists()


async def test_a_port_in_use_is_said(runner: Runner) -> None:
    with pytest.raises(OSError, match=f"cannot listen on {runner.address}"):
        await serve(RunnerListenSettings(listen=runner.address), CallSettings(), processes=1)


async def test_a_pool_leaves_no_process() -> None:
    before = {child.pid for child in psutil.Process(os.getpid()).children()}
    async with WorkerPool(3) as pool:
        reply = await pool.run("set-labels", LIST)
        assert reply.exit_code == 0
    assert {child.pid for child in psutil.Process(os.getpid()).children()} <= before
