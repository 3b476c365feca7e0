"""OpenTelemetry (OTLP) spans, configured by OpenTelemetry's own variables. A workflow run is one trace."""

import asyncio
import contextlib
import os
import uuid
from collections.abc import AsyncIterator, Sequence
from contextvars import ContextVar
from importlib.metadata import version
from typing import Final

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Status, StatusCode
from opentelemetry.util.types import AttributeValue
from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from porchflow.kpt.render.evaluation import Evaluation, Evaluator

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

_run: ContextVar[int | None] = ContextVar("run", default=None)

_tracer = trace.get_tracer("porchflow")


@contextlib.asynccontextmanager
async def exporting_spans(process: str) -> AsyncIterator[bool]:
    """Export spans while the context is open, if an endpoint is set; its end flushes them.

    Args:
        process: Name of the process. Spans are of the service `porchflow-<process>`, or of OTEL_SERVICE_NAME.

    Yields:
        Whether spans are exported.
    """
    if not any(os.environ.get(name) for name in _ENDPOINTS):
        yield False
        return
    named = {"service.name": f"porchflow-{process}", "service.version": version("porchflow")}
    if os.environ.get("OTEL_SERVICE_NAME"):
        del named["service.name"]
    provider = TracerProvider(resource=Resource.create(named), id_generator=_RunIds())
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    try:
        yield True
    finally:
        await asyncio.to_thread(provider.shutdown)


class _RunIds(RandomIdGenerator):
    """Uses the id of the workflow run as the trace id, so that spans of all workers form one trace."""

    def generate_trace_id(self) -> int:
        return _run.get() or super().generate_trace_id()


class ActivitySpans(Interceptor):
    """A span for each attempt of an activity."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002 - Temporal's
        """Return an interceptor that makes a span of every activity."""
        return _Traced(next)


class _Traced(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> object:  # noqa: A002 - Temporal's
        info = activity.info()
        attributes: dict[str, AttributeValue] = {
            "temporal.workflow.id": info.workflow_id or "",
            "temporal.run.id": info.workflow_run_id or "",
            "temporal.activity.attempt": info.attempt,
            "temporal.activity.local": info.is_local,
        }
        token = _run.set(uuid.UUID(info.workflow_run_id).int if info.workflow_run_id else None)
        try:
            with _tracer.start_as_current_span(
                info.activity_type, attributes=attributes, record_exception=False, set_status_on_exception=False
            ) as span:
                try:
                    return await super().execute_activity(input)
                except ApplicationError as error:
                    span.set_status(Status(StatusCode.ERROR, f"{error.type}: {error.message}"))
                    raise
                except BaseException as error:
                    span.set_status(Status(StatusCode.ERROR, type(error).__name__))
                    raise
        finally:
            _run.reset(token)


def interceptors(*, exporting: bool) -> Sequence[Interceptor]:
    """Return the interceptor that makes spans of activities; none where spans are not exported."""
    return [ActivitySpans()] if exporting else []


def traced(evaluate: Evaluator) -> Evaluator:
    """Return an evaluator that makes a span of each call."""

    async def call(image: str, resource_list: bytes) -> Evaluation:
        attributes: dict[str, AttributeValue] = {
            "porchflow.function.image": image,
            "porchflow.function.bytes": len(resource_list),
        }
        with _tracer.start_as_current_span("function", attributes=attributes, record_exception=False):
            return await evaluate(image, resource_list)

    return call
