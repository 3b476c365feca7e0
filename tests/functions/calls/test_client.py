"""The client against a runner that answers as Porch's does."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from porchflow.devstack.processes import free_port
from porchflow.functions.calls.client import GrpcEvaluator
from porchflow.functions.children import end_child
from porchflow.functions.function_errors import FunctionNotFound, MessageTooLarge, RunnerUnavailable
from porchflow.functions.proto import evaluator_pb2, evaluator_pb2_grpc
from porchflow.kpt.format.resource_list import compose_list
from porchflow.kpt.package_errors import FunctionFailed
from tests.servers.waiting import eventually

LIST = compose_list(["kind: X\nmetadata:\n  name: x\n"])

ANSWERS = {
    "not-found": (grpc.StatusCode.NOT_FOUND, 'function "x" not found'),
    "binary": (grpc.StatusCode.INTERNAL, 'Failed to execute function "x": exit status 1 (the log)'),
    "wrapper": (
        grpc.StatusCode.INTERNAL,
        'failed to evaluate function "x" with structured results: [error] bad and stderr: the log',
    ),
    "garbage": (grpc.StatusCode.INTERNAL, 'failed to parse the output of function "x"'),
    "transport": (grpc.StatusCode.INTERNAL, "Received RST_STREAM with error code 2"),
    "pod": (grpc.StatusCode.UNKNOWN, "unable to get the grpc client to the pod for x"),
    "busy": (grpc.StatusCode.RESOURCE_EXHAUSTED, "too many requests"),
    "large": (grpc.StatusCode.RESOURCE_EXHAUSTED, "grpc: received message larger than max (9 vs. 6)"),
    "large-answer": (grpc.StatusCode.RESOURCE_EXHAUSTED, "grpc: trying to send message larger than max (9 vs. 6)"),
    "old": (grpc.StatusCode.UNIMPLEMENTED, "unknown service"),
}


class Porch(evaluator_pb2_grpc.FunctionEvaluatorServicer):
    async def EvaluateFunction(self, request: Any, context: Any) -> evaluator_pb2.EvaluateFunctionResponse:  # noqa: N802
        if request.image in ANSWERS:
            await context.abort(*ANSWERS[request.image])
        return evaluator_pb2.EvaluateFunctionResponse(resource_list=request.resource_list[::-1], log=b"log")


@pytest.fixture
async def evaluate() -> AsyncIterator[GrpcEvaluator]:
    server = grpc.aio.server()
    evaluator_pb2_grpc.add_FunctionEvaluatorServicer_to_server(Porch(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with GrpcEvaluator(f"127.0.0.1:{port}", max_message_size=1000, deadline=20) as client:
        yield client
    await server.stop(None)


async def test_an_answer(evaluate: GrpcEvaluator) -> None:
    evaluation = await evaluate("ok", b"abc")
    assert (evaluation.resource_list, evaluation.log) == (b"cba", b"log")


@pytest.mark.parametrize(
    ("image", "kind", "said"),
    [
        ("not-found", FunctionNotFound, 'function "not-found" not found'),
        ("binary", FunctionFailed, "exit status 1 (the log)"),
        ("wrapper", FunctionFailed, "[error] bad"),
        ("garbage", FunctionFailed, "failed to parse"),
        ("transport", RunnerUnavailable, "INTERNAL: Received RST_STREAM"),
        ("pod", RunnerUnavailable, "UNKNOWN: unable to get"),
        ("busy", RunnerUnavailable, "RESOURCE_EXHAUSTED: too many"),
        ("large", MessageTooLarge, "the request of function 'large' is too large: 9 bytes, the limit is 6 bytes;"),
        (
            "large-answer",
            MessageTooLarge,
            "the answer of function 'large-answer' is too large: 9 bytes, the limit is 6 bytes;",
        ),
        ("old", RunnerUnavailable, "UNIMPLEMENTED: what answers there is no function runner (unknown service)"),
    ],
)
async def test_what_porchs_statuses_mean(evaluate: GrpcEvaluator, image: str, kind: type[Exception], said: str) -> None:
    with pytest.raises(kind) as raised:
        await evaluate(image, b"")
    assert type(raised.value) is kind
    assert said in str(raised.value)


async def test_the_log_is_found_in_the_message(evaluate: GrpcEvaluator) -> None:
    for image in ("wrapper", "binary"):
        with pytest.raises(FunctionFailed) as raised:
            await evaluate(image, b"")
        assert raised.value.stderr == "the log"


async def test_a_runner_that_is_pinged_too_often_is_pinged_less(
    wrapper_binary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Porch's runner and its wrapper server are gRPC servers of the same making."""
    monkeypatch.setattr("porchflow.functions.calls.client._PING_MS", 30)
    script, go = tmp_path / "function", tmp_path / "go"
    script.write_text(f"#!/bin/sh\ncat > {tmp_path}/in\nwhile [ ! -e {go} ]; do sleep 0.05; done\ncat {tmp_path}/in\n")
    script.chmod(0o755)
    port = free_port()
    server = await asyncio.create_subprocess_exec(wrapper_binary, "--port", str(port), "--", script)
    try:
        async with GrpcEvaluator(f"127.0.0.1:{port}", max_message_size=1000, deadline=60) as evaluate:
            await eventually(lambda: _is_disconnected(evaluate))
            call = asyncio.create_task(evaluate("slow", LIST))
            # Many times as long as what it did not bear before.
            await asyncio.wait({call}, timeout=2)
            go.touch()
            assert (await call).resource_list == LIST
    finally:
        await end_child(server)


async def _is_disconnected(evaluate: GrpcEvaluator) -> bool:
    with pytest.raises(RunnerUnavailable) as raised:
        await evaluate("slow", LIST)
    return "too_many_pings" in str(raised.value)
