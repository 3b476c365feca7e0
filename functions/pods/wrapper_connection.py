"""The connection to the wrapper server of one pod."""

import asyncio

import grpc

from porchflow.functions.calls.client import failure_of
from porchflow.functions.calls.status_words import sizes_in
from porchflow.functions.function_errors import MessageTooLarge
from porchflow.functions.proto import evaluator_pb2, evaluator_pb2_grpc
from porchflow.kpt.package_errors import FunctionFailed
from porchflow.kpt.render.evaluation import Evaluation

_OPTIONS = [
    # A pod can have the address of a deleted one: it must not inherit that one's connection or backoff.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # No keepalive: Go's gRPC servers, such as Porch's wrapper server, disconnect clients that ping more often than
    # every five minutes. The API server reports a pod that is gone.
]


class PodLost(Exception):  # noqa: N818 - the name states the problem
    """The pod went away during a call, or does not answer; the call may succeed in another pod."""


class PodConnection:
    """Calls the function of one pod. Create and use it in one event loop."""

    def __init__(self, address: str, port: int, max_message_size: int) -> None:
        """Create a connection, which `open` opens.

        Args:
            address: IP address of the pod; IPv6 without brackets.
            port: Port of its wrapper server.
            max_message_size: Bytes of an answer at most.
        """
        target = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        sizes = [("grpc.max_receive_message_length", max_message_size), ("grpc.max_send_message_length", -1)]
        self.target = target
        self._channel = grpc.aio.insecure_channel(target, options=[*_OPTIONS, *sizes])
        self._stub = evaluator_pb2_grpc.FunctionEvaluatorStub(self._channel)  # type: ignore[no-untyped-call]  # generated
        self._lost = False

    async def open(self) -> None:
        """Connect; try again until it succeeds."""
        await self._channel.channel_ready()

    async def evaluate(self, image: str, resource_list: bytes, time_limit: float) -> Evaluation:
        """Run the function once.

        Args:
            image: Full name of the function.
            resource_list: A serialised ResourceList.
            time_limit: Seconds after which the function is killed.

        Raises:
            FunctionFailed: The function ran and failed, or did not end in time.
            PodLost: The pod is gone, or does not answer.
        """
        request = evaluator_pb2.EvaluateFunctionRequest(resource_list=resource_list, image=image)
        try:
            answer = await self._stub.EvaluateFunction(request, timeout=time_limit)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if self._lost and task is not None and not task.cancelling():
                raise PodLost("it is gone") from None
            raise
        except grpc.aio.AioRpcError as error:
            raise _translated(image, error, time_limit) from None
        return Evaluation(answer.resource_list, answer.log)

    async def lose(self) -> None:
        """Close the connection of a pod that is gone; calls under way raise `PodLost`."""
        self._lost = True
        await self._channel.close(None)


def _translated(image: str, error: grpc.aio.AioRpcError, time_limit: float) -> Exception:
    code, text = error.code(), error.details() or ""
    if code == grpc.StatusCode.DEADLINE_EXCEEDED:
        return FunctionFailed(image, f"function {image!r} was killed after {time_limit:g} s")
    if code == grpc.StatusCode.RESOURCE_EXHAUSTED:
        size, limit = sizes_in(text)
        return MessageTooLarge(image, "answer", size=size, limit=limit, detail=text)
    return failure_of(image, error) or PodLost(f"{code.name}: {text}" if text else code.name)
