"""What the function runner counts of each function."""

from typing import Any

import pytest

from porchflow.functions.configs import FunctionConfigs
from porchflow.functions.function_errors import FunctionNotFound, FunctionUnavailable
from porchflow.functions.proto import evaluator_pb2
from porchflow.functions.runner.call_metrics import RunnerMetrics
from porchflow.functions.runner.server import EvaluatorService
from porchflow.functions.runner_settings import CallSettings
from porchflow.kpt.package_errors import FunctionFailed
from porchflow.kpt.render.evaluation import Evaluation

LIMIT = 1024
OUTCOMES: dict[str, tuple[Exception | bytes, str, str]] = {
    "r.io/fine:v1": (b"x", "fine", "succeeded"),
    "r.io/large:v1": (b"x" * LIMIT, "large", "failed"),
    "r.io/bad:v1": (FunctionFailed("bad", "broke"), "bad", "failed"),
    "r.io/absent:v1": (FunctionNotFound("absent"), "other", "not_found"),
    "r.io/away:v1": (FunctionUnavailable("away", "no room"), "away", "unavailable"),
}


class _Aborted(Exception):  # noqa: N818
    """As gRPC raises it."""


class _Context:
    """A call without a deadline."""

    def time_remaining(self) -> None:
        return None

    def invocation_metadata(self) -> None:
        return None

    async def abort(self, *_: Any) -> None:
        raise _Aborted


class _Runtime:
    async def evaluate(self, image: str, resource_list: bytes, time_limit: float) -> Evaluation:
        answer = OUTCOMES[image][0]
        if isinstance(answer, Exception):
            raise answer
        return Evaluation(answer, b"")


@pytest.mark.parametrize("image", OUTCOMES)
async def test_each_call_counts_once_as_what_its_caller_gets(image: str) -> None:
    metrics = RunnerMetrics()
    calls = CallSettings(max_grpc_message_size=LIMIT)
    service = EvaluatorService(_Runtime(), calls, FunctionConfigs(), metrics)
    answer, function, outcome = OUTCOMES[image]
    try:
        await service.EvaluateFunction(evaluator_pb2.EvaluateFunctionRequest(image=image), _Context())  # type: ignore[arg-type]  # what it uses of one
    except _Aborted:
        assert answer != b"x"
    counted = [
        sample
        for metric in metrics.registry.collect()
        for sample in metric.samples
        if sample.name == "porchflow_function_calls_total"
    ]
    assert [(sample.labels, sample.value) for sample in counted] == [({"function": function, "outcome": outcome}, 1)]
