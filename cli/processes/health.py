"""HTTP /healthz, /readyz and /metrics of the long-running processes."""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from porchflow.cli.processes.listening import host_and_port

Readiness = Callable[[], tuple[bool, Mapping[str, Any]]]
"""Says whether the process can do its work, and what it knows about that."""


@contextlib.asynccontextmanager
async def serve_health(address: str, readiness: Readiness, registry: CollectorRegistry) -> AsyncIterator[None]:
    """Serve health and metrics on host:port while the context is open; on no port when the address is empty."""
    if not address:
        yield
        return
    host, port = host_and_port(address)
    app = web.Application()
    app.router.add_get("/healthz", _alive)
    app.router.add_get("/readyz", lambda _: _ready(readiness))
    app.router.add_get("/metrics", lambda _: _metrics(registry))
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
