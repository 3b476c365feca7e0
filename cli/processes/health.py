"""HTTP /healthz, /readyz and /metrics of the long-running processes."""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from porchflow.api.host_port import host_and_port

Readiness = Callable[[], tuple[bool, Mapping[str, Any]]]
"""Returns whether the process is ready, and details for the JSON of /readyz."""


class ProcessHealth:
    """State of a process for probes: alive from the start, ready when it serves."""

    def __init__(self) -> None:
        self._waiting_for = ""
        self._serves: Mapping[str, Any] | None = None

    def waits_for(self, what: str) -> None:
        """Record what the start waits for."""
        self._waiting_for = what

    def serves(self, **what: Any) -> None:  # noqa: ANN401 - JSON
        """Record that the process serves, with details for the JSON of /readyz."""
        self._serves = what

    def readiness(self) -> tuple[bool, Mapping[str, Any]]:
        """Return whether the process serves, and the details or what it waits for."""
        if self._serves is None:
            return False, {"waitingFor": self._waiting_for or "the start"}
        return True, self._serves


def serve_health(
    address: str, readiness: Readiness, registry: CollectorRegistry
) -> contextlib.AbstractAsyncContextManager[None]:
    """Serve health and metrics on host:port while the context is open; nowhere when the address is empty."""
    return _serve(
        address,
        web.get("/healthz", _alive),
        web.get("/readyz", lambda _: _ready(readiness)),
        web.get("/metrics", lambda _: _metrics(registry)),
    )


def serve_metrics(address: str, registry: CollectorRegistry) -> contextlib.AbstractAsyncContextManager[None]:
    """Serve metrics alone, as `serve_health` does."""
    return _serve(address, web.get("/metrics", lambda _: _metrics(registry)))


@contextlib.asynccontextmanager
async def _serve(address: str, *routes: web.RouteDef) -> AsyncIterator[None]:
    if not address:
        yield
        return
    host, port = host_and_port(address)
    app = web.Application()
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host or None, port).start()
        yield
    finally:
        await runner.cleanup()


async def _alive(_: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


async def _ready(readiness: Readiness) -> web.Response:
    ready, detail = readiness()
    return web.json_response({"ready": ready, **detail}, status=200 if ready else 503)


async def _metrics(registry: CollectorRegistry) -> web.Response:
    return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})
