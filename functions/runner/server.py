"""The function runner: a gRPC service that runs KRM functions for porchflow's workers or for Porch."""

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from porchflow.functions.builtin.pool import DEFAULT_MEMORY_LIMIT, BuiltinRuntime, WorkerPool
from porchflow.functions.calls import failure_details
from porchflow.functions.calls.status_words import too_large
from porchflow.functions.calls.tls import Identity, server_credentials
from porchflow.functions.configs import FunctionConfigs
from porchflow.functions.function_errors import IMAGES_RUN, FunctionNotFound, FunctionUnavailable, MessageTooLarge
from porchflow.functions.proto import evaluator_pb2, evaluator_pb2_grpc
from porchflow.functions.runner.call_metrics import RunnerMetrics
from porchflow.functions.runner.draining import CallsUnderWay, drain
from porchflow.functions.runner.evaluators import Chain, FunctionRuntime
from porchflow.functions.runner_settings import CallSettings, RunnerListenSettings
from porchflow.functions.slots import METADATA_KEY, on_behalf_of
from porchflow.kpt.package_errors import FunctionFailed
from porchflow.kpt.render.evaluation import Evaluation

DEFAULT_GRACE = 30.0
"""Seconds for calls under way to end when the runner stops."""

_SERVICE = evaluator_pb2.DESCRIPTOR.services_by_name["FunctionEvaluator"].full_name
_log = logging.getLogger(__name__)

_Context = grpc.aio.ServicerContext[evaluator_pb2.EvaluateFunctionRequest, evaluator_pb2.EvaluateFunctionResponse]


class EvaluatorService(evaluator_pb2_grpc.FunctionEvaluatorServicer):
    """Answers `EvaluateFunction` through a chain of runtimes.

    Attributes:
        calls: The calls under way.
    """

    def __init__(
        self,
        runtime: FunctionRuntime,
        settings: CallSettings,
        configs: FunctionConfigs,
        metrics: RunnerMetrics,
    ) -> None:
        self.calls = CallsUnderWay()
        self._runtime = runtime
        self._configs = configs
        self._metrics = metrics
        self._max_message_size = settings.max_grpc_message_size
        self._time_limit = settings.function_timeout

    async def EvaluateFunction(  # noqa: N802 - the name of the method in the protocol
        self, request: evaluator_pb2.EvaluateFunctionRequest, context: _Context
    ) -> evaluator_pb2.EvaluateFunctionResponse:
        """Run one function. When the caller goes away or its deadline passes, gRPC cancels this coroutine.

        The cancellation kills the function.
        """
        if self.calls.refused:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "it takes no more calls, as it is being stopped")
        with self.calls.call():
            return await self._evaluate(request, context)

    async def _evaluate(
        self, request: evaluator_pb2.EvaluateFunctionRequest, context: _Context
    ) -> evaluator_pb2.EvaluateFunctionResponse:
        try:
            with self._metrics.call(request.image), on_behalf_of(_tenant_of(context)):
                evaluation = await self._runtime.evaluate(
                    request.image, request.resource_list, self._limit(context.time_remaining())
                )
                answer = self._answer(request.image, evaluation)
        except FunctionNotFound as error:
            if not self._configs.complete:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "the FunctionConfigs are not listed yet")
            await context.abort(grpc.StatusCode.NOT_FOUND, error.message)
        except FunctionUnavailable as error:
            _log.warning("%s", error)
            await context.abort(grpc.StatusCode.UNAVAILABLE, error.reason)
        except MessageTooLarge as error:
            _log.info("%s", error.message)
            said = too_large(error.size, error.limit) if error.size else error.message
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, said)
        except FunctionFailed as failure:
            _log.info("function %s failed: %s", failure.image, failure.message)
            details = ((failure_details.METADATA_KEY, failure_details.encode(failure)),)
            await context.abort(grpc.StatusCode.INTERNAL, failure_details.status_message(failure), details)
        return answer

    def _answer(self, image: str, evaluation: Evaluation) -> evaluator_pb2.EvaluateFunctionResponse:
        answer = evaluator_pb2.EvaluateFunctionResponse(resource_list=evaluation.resource_list, log=evaluation.log)
        size = answer.ByteSize()
        if size > self._max_message_size:
            raise MessageTooLarge(image, "answer", size=size, limit=self._max_message_size)
        return answer

    def _limit(self, remaining: float | None) -> float:
        return min(self._time_limit, remaining) if remaining is not None else self._time_limit


def _tenant_of(context: _Context) -> str:
    found = (value for key, value in context.invocation_metadata() or () if key == METADATA_KEY)
    return str(next(found, ""))


async def serve(
    listen: RunnerListenSettings,
    calls: CallSettings,
    *,
    processes: int,
    memory_limit: int = DEFAULT_MEMORY_LIMIT,
    grace: float = DEFAULT_GRACE,
    configs: FunctionConfigs | None = None,
    runtimes: Sequence[FunctionRuntime] = (),
    runs_images: bool = False,
    metrics: RunnerMetrics | None = None,
    stop: asyncio.Event | None = None,
    ready: Callable[[int], None] | None = None,
) -> None:
    """Run the function runner until it is stopped.

    On SIGTERM, SIGINT or `stop` its health service reports `NOT_SERVING`. The runner then refuses further calls and
    lets those under way end.

    Args:
        listen: Its address and certificates; without any, connections are neither encrypted nor authenticated.
        calls: Limits of a call, and the registry whose images the built-in functions stand for.
        processes: Processes for built-in functions.
        memory_limit: Bytes of address space of a process that runs built-in functions; 0 for none.
        grace: Seconds for calls under way when stopping.
        configs: FunctionConfigs, which name further images that the built-in functions stand for.
        runtimes: Further runtimes; an image goes to the built-in functions first, then to these in order.
        runs_images: Whether one of them runs any image.
        metrics: Counts the calls.
        stop: Stops the runner when set.
        ready: Called with the port once the runner answers calls.

    Raises:
        OSError: The address cannot be bound.
        CertificateError: A certificate cannot be read.
    """
    stop, configs = stop or asyncio.Event(), configs or FunctionConfigs(calls.default_image_prefix)
    identity = Identity(listen.tls_cert, listen.tls_key, listen.client_ca)
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(WorkerPool(processes, memory_limit=memory_limit))
        builtins = BuiltinRuntime(pool, calls.image_prefixes, configs, most_seconds=calls.builtin_function_timeout)
        chain = Chain([builtins, *runtimes], hint="" if runs_images else IMAGES_RUN)
        server = grpc.aio.server(options=_options(calls.max_grpc_message_size))
        service = EvaluatorService(chain, calls, configs, metrics or RunnerMetrics())
        evaluator_pb2_grpc.add_FunctionEvaluatorServicer_to_server(service, server)  # type: ignore[no-untyped-call]  # generated
        report_stopping = await _add_health(server)
        names = (_SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)
        port = _bind(server, listen.listen, server_credentials(identity) if identity.is_secure else None)
        await server.start()
        _stop_on_signals(stop)
        _log.info("function runner answers on port %d", port)
        if ready:
            ready(port)
        await stop.wait()
        service.calls.refused = True
        await report_stopping()
        await drain(server, service.calls, grace)


async def _add_health(server: grpc.aio.Server) -> Callable[[], Awaitable[None]]:
    """Add the health service.

    Returns:
        A function that makes it report `NOT_SERVING` for good.
    """
    checker = health.aio.HealthServicer()  # type: ignore[attr-defined]  # the stubs leave it out
    health_pb2_grpc.add_HealthServicer_to_server(checker, server)
    for name in (health.OVERALL_HEALTH, _SERVICE):
        await checker.set(name, health_pb2.HealthCheckResponse.SERVING)
    return checker.enter_graceful_shutdown  # type: ignore[no-any-return]  # a coroutine function


def _bind(server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials | None) -> int:
    try:
        if credentials is None:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise OSError(f"function runner: cannot listen on {address}: {error}") from None
    if port == 0:
        raise OSError(f"function runner: cannot listen on {address}")
    return port


def _options(max_message_size: int) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", max_message_size),
        ("grpc.max_send_message_length", max_message_size),
        # Otherwise two runners could share a port by accident, and each would get some of the calls.
        ("grpc.so_reuseport", 0),
        # Clients ping to keep idle connections alive; by default the server disconnects them for it.
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
    ]


def _stop_on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, stop.set)
        except (NotImplementedError, RuntimeError, ValueError):
            # Not the main thread: its caller stops the runner through `stop`.
            return
