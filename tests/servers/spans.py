"""Where OpenTelemetry's exporter sends spans: the OTLP receiver of a collector, which keeps them for the test."""

import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from porchflow.devstack.processes import HOST


@dataclass
class Spans:
    """What was received."""

    endpoint: str
    services: set[str] = field(default_factory=set)
    spans: list[Span] = field(default_factory=list)

    async def receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        message = ExportTraceServiceRequest.FromString(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body)
        for resource in message.resource_spans:
            self.services |= {a.value.string_value for a in resource.resource.attributes if a.key == "service.name"}
            self.spans += [span for scope in resource.scope_spans for span in scope.spans]
        answer = ExportTraceServiceResponse().SerializeToString()
        return web.Response(body=answer, content_type="application/x-protobuf")

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]

    def below(self, parent: Span) -> set[str]:
        """The names of all spans below one."""
        children = [span for span in self.spans if span.parent_span_id == parent.span_id]
        return {span.name for span in children}.union(*map(self.below, children))


def attribute(span: Span, key: str) -> str:
    [value] = [attribute.value.string_value for attribute in span.attributes if attribute.key == key]
    return value


@asynccontextmanager
async def receiving_spans() -> AsyncIterator[Spans]:
    """Receive spans while the context is open."""
    received = Spans(endpoint="")
    app = web.Application()
    app.router.add_post("/v1/traces", received.receive)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, HOST, 0).start()
    received.endpoint = f"http://{HOST}:{runner.addresses[0][1]}"
    try:
        yield received
    finally:
        await runner.cleanup()
