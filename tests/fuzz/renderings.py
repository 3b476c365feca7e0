"""Targets: what a function runner answers over gRPC, as a worker takes it."""

import asyncio

import grpc

from porchflow.functions.calls import failure_details
from porchflow.functions.calls.client import failure_of
from porchflow.functions.calls.status_words import describe
from porchflow.functions.proto import evaluator_pb2
from porchflow.kpt.package_errors import FunctionFailed
from porchflow.kpt.render.evaluation import Evaluation, Evaluator
from tests.fuzz.targets import Target, text_of
from tests.kpt.hostile import account, package

_CODES = tuple(grpc.StatusCode)


def _answer(data: bytes) -> None:
    """Render with an answer that is any list of resources."""

    async def answering(_image: str, _resource_list: bytes) -> Evaluation:
        return Evaluation(data, data[-40:])

    _check(answering)


def _message(data: bytes) -> None:
    """Render with any message of the protocol that can be read, as an answer or as the details of a failure."""
    failure = data[:1] < b"\x80"
    kind = evaluator_pb2.FunctionFailure if failure else evaluator_pb2.EvaluateFunctionResponse
    try:
        made = kind.FromString(data[1:])
    except Exception:  # noqa: BLE001 - of the library: what it cannot read reaches nobody
        made = kind(resource_list=data[1:])

    async def answering(image: str, _resource_list: bytes) -> Evaluation:
        if isinstance(made, evaluator_pb2.EvaluateFunctionResponse):
            return Evaluation(made.resource_list, made.log)
        raise _failed(image, grpc.StatusCode.INTERNAL, text_of(data), made.SerializeToString())

    _check(answering)


def _status(data: bytes) -> None:
    """Read a status with any code, words and trailing metadata."""
    words, _, details = data[1:].partition(b"\n")
    code = _CODES[data[0] % len(_CODES)] if data else grpc.StatusCode.UNKNOWN
    failure = _failed("i", code, text_of(words), details)
    assert isinstance(str(failure), str)
    describe(code, text_of(words), secure=bool(details))


def _failed(image: str, code: grpc.StatusCode, words: str, details: bytes) -> FunctionFailed:
    metadata = grpc.aio.Metadata((failure_details.METADATA_KEY, details))
    error = grpc.aio.AioRpcError(code, grpc.aio.Metadata(), metadata, details=words)
    return failure_of(image, error) or FunctionFailed(image, words, ran=False)


def _check(evaluate: Evaluator) -> None:
    came = asyncio.run(account(package(), evaluate))
    if came["ok"]:
        return
    assert came["message"], "a failure says why"
    assert (came["changed"], came["new"]) == ([], {}), "a failure leaves the files"


TARGETS = {
    "runner-answer": Target(_answer),
    "runner-message": Target(_message),
    "runner-status": Target(_status),
}
