"""The connection to the wrapper server of one pod."""

import asyncio

import grpc

from porchflow.functions.client import failure_of
from porchflow.functions.function_errors import MessageTooLarge
from porchflow.functions.proto import evaluator_pb2, evaluator_pb2_grpc
from porchflow.functions.status_words import sizes_in
from porchflow.kpt.package_errors import FunctionFailed
from porchflow.kpt.render.evaluation import Evaluation

_OPTIONS = [
    # A new pod can have the address of one that is gone: it must not inherit its connection, or its backoff.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # No keepalive: Go's gRPC servers, such as Porch's wrapper server, disconnect who pings more often than every five
    # minutes. That a pod is gone is told by the API server.
]


class PodLost(Exception):  # noqa: N818 - says what is the matter
    """The pod went away over a call, or does not answer; another pod may."""


class PodConnection:
    """Calls the function of one pod. Make and use it in one event loop."""

    def __init__(self, address: str, port: int, max_message_size: int) -> None:
        """Take the address of the pod, and the most bytes of a request or an answer."""
        target = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
        sizes = [("grpc.max_receive_message_length", max_message_size), ("grpc.max_send_message_length", -1)]
        self.target = target
        self._channel = grpc.aio.insecure_channel(target, options=[*_OPTIONS, *sizes])
        self._stub = evaluator_pb2_grpc.FunctionEvaluatorStub(self._channel)  # type: ignore[no-untyped-call]  # generated
        self._lost = False

    async def open(self) -> None:
        """Connect, trying until it works."""
        await self._channel.channel_ready()

    async def evaluate(self, image: str, resource_list: bytes, time_limit: float) -> Evaluation:
        """Run the function once.

        Args:
            image: full name of the function.
            resource_list: serialised ResourceList.
            time_limit: seconds after which the function is killed.

        Raises:
            FunctionFailed: it ran and failed, or did not end in time.
            PodLost: the pod is not there any more.
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
