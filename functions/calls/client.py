import asyncio
from types import TracebackType
from typing import Self

import grpc

from porchflow.functions.calls import failure_details, porch_failures
from porchflow.functions.calls.status_words import describe, sizes_in
from porchflow.functions.calls.tls import PLAINTEXT, ClientCredentials, Identity
from porchflow.functions.function_errors import FunctionNotFound, MessageTooLarge, RunnerUnavailable
from porchflow.functions.proto import evaluator_pb2, evaluator_pb2_grpc
from porchflow.functions.slots import METADATA_KEY, tenant
from porchflow.kpt.package_errors import FunctionFailed
from porchflow.kpt.render.evaluation import Evaluation

_TOO_LARGE = "larger than max"
_OF_ANSWERS = ("sent message", "trying to send")
"""Phrases by which our runner and Porch's say that their answer is too large, and not the request."""
_PING_MS = 20_000
_SELDOM_PING_MS = 330_000
"""Interval for runners that disconnect clients for more than a ping in five minutes, as Go's servers do by default."""
_TOO_MANY_PINGS = "too_many_pings"
_GRACE_SECONDS = 1.0

_OPTIONS = [
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_metadata_size", failure_details.MAX_METADATA_SIZE),
    ("grpc.absolute_max_metadata_size", failure_details.MAX_METADATA_SIZE),
    # A headless Service has an address for each runner, and each gets its share of the calls.
    ("grpc.lb_policy_name", "round_robin"),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 5_000),
]


class GrpcEvaluator:
    """Runs functions through a function runner, ours or Porch's. Create and use it in one event loop."""

    def __init__(self, address: str, *, max_message_size: int, deadline: float, identity: Identity = PLAINTEXT) -> None:
        """Create an evaluator; it connects when the first call needs it.

        Args:
            address: `host:port` of the runner, or any name that gRPC resolves.
            max_message_size: Bytes of a request or an answer; the runner has the same setting.
            deadline: Seconds for one call, including the wait for the connection.
            identity: CA of the runner's certificate, and the client's certificate where the runner requires one.
                Without any file, connections are not encrypted. Changed files take effect at the next call.

        Raises:
            CertificateError: A certificate cannot be read.
        """
        self._address = address
        self._max_message_size = max_message_size
        self._deadline = deadline
        self._credentials = ClientCredentials(identity) if identity.is_secure else None
        self._pings = _PING_MS
        self._channel, self._stub = self._connect()
        self._replaced: dict[asyncio.Task[None], grpc.aio.Channel] = {}

    async def __aenter__(self) -> Self:
        """Do nothing: the first call connects."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        await self.close()

    async def close(self) -> None:
        """Close the connection; calls under way are cancelled."""
        for ending, channel in list(self._replaced.items()):
            ending.cancel()
            await channel.close(None)
        await self._channel.close(None)

    async def __call__(self, image: str, resource_list: bytes) -> Evaluation:
        """Run one function; see `Evaluator`. Cancelling the call kills the function in the runner.

        Raises:
            MessageTooLarge: The request or the answer exceeds the message size.
            FunctionNotFound: The runner does not know the image.
            FunctionFailed: The function ran and failed.
            RunnerUnavailable: The runner cannot be reached or did not answer in time.
        """
        request = evaluator_pb2.EvaluateFunctionRequest(resource_list=resource_list, image=image)
        size = request.ByteSize()
        if size > self._max_message_size:
            raise MessageTooLarge(image, "request", size=size, limit=self._max_message_size)
        if self._credentials is not None and self._credentials.renew():
            self._connect_anew()
        try:
            metadata = ((METADATA_KEY, tenant()),) if tenant() else ()
            answer = await self._stub.EvaluateFunction(request, timeout=self._deadline, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            raise self._translated(image, error) from None
        return Evaluation(answer.resource_list, answer.log)

    def _connect(self) -> tuple[grpc.aio.Channel, evaluator_pb2_grpc.FunctionEvaluatorStub]:
        options = [
            *_OPTIONS,
            ("grpc.keepalive_time_ms", self._pings),
            ("grpc.max_receive_message_length", self._max_message_size),
            ("grpc.max_send_message_length", self._max_message_size),
        ]
        if self._credentials is None:
            channel = grpc.aio.insecure_channel(self._address, options=options)
        else:
            channel = grpc.aio.secure_channel(self._address, self._credentials.for_channel(), options=options)
        return channel, evaluator_pb2_grpc.FunctionEvaluatorStub(channel)  # type: ignore[no-untyped-call]  # generated

    def _connect_anew(self) -> None:
        ending = asyncio.create_task(self._end(self._channel))
        self._replaced[ending] = self._channel
        ending.add_done_callback(self._replaced.pop)
        self._channel, self._stub = self._connect()

    async def _end(self, channel: grpc.aio.Channel) -> None:
        """Close a replaced connection once the deadline of the last call in it has passed."""
        # gRPC's own grace period is no way: `close` could not cut it short.
        await asyncio.sleep(self._deadline + _GRACE_SECONDS)
        await channel.close(None)

    def _ping_seldom(self) -> None:
        if self._pings != _SELDOM_PING_MS:
            self._pings = _SELDOM_PING_MS
            self._connect_anew()

    def _translated(self, image: str, error: grpc.aio.AioRpcError) -> Exception:
        code, text = error.code(), error.details() or ""
        if code == grpc.StatusCode.NOT_FOUND:
            return FunctionNotFound(image, text.partition("not found; ")[2])
        if code == grpc.StatusCode.RESOURCE_EXHAUSTED and _TOO_LARGE in text.lower():
            what = (
                "answer" if text.startswith("CLIENT") or any(say in text.lower() for say in _OF_ANSWERS) else "request"
            )
            size, limit = sizes_in(text)
            return MessageTooLarge(image, what, size=size, limit=limit, detail=text)
        if code == grpc.StatusCode.DEADLINE_EXCEEDED:
            return RunnerUnavailable(self._address, image, f"no answer within {self._deadline:g} s")
        failure = failure_of(image, error)
        if failure is not None:
            return failure
        if _TOO_MANY_PINGS in text:
            self._ping_seldom()
        return RunnerUnavailable(self._address, image, describe(code, text, secure=self._credentials is not None))


def failure_of(image: str, error: grpc.aio.AioRpcError) -> FunctionFailed | None:
    """Return the failure of the function that a status reports; None if it reports none."""
    text = error.details() or ""
    if error.code() == grpc.StatusCode.INVALID_ARGUMENT:
        return FunctionFailed(image, text, ran=False)
    if error.code() != grpc.StatusCode.INTERNAL:
        return None
    details = failure_details.decode(error.trailing_metadata() or ())
    if details is not None:
        stderr = details.stderr.decode(errors="replace")
        return FunctionFailed(image, text, stderr, details.exit_code, details.resource_list or None)
    return porch_failures.read(image, text)
