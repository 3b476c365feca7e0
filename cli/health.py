"""HTTP /healthz and /readyz of the long-running processes."""

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from aiohttp import web

Readiness = Callable[[], tuple[bool, Mapping[str, Any]]]
"""Says whether the process can do its work, and what it knows about that."""


@contextlib.asynccontextmanager
async def serve_health(address: str, readiness: Readiness) -> AsyncIterator[None]:
    """Serve health on host:port while the context is open; on no port when the address is empty."""
    if not address:
        yield
        return
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    app = web.Application()
    app.router.add_get("/healthz", _alive)
    app.router.add_get("/readyz", lambda _: _ready(readiness))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host or None, int(port)).start()
        yield
    finally:
        await runner.cleanup()


async def _alive(_: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


async def _ready(readiness: Readiness) -> web.Response:
    ready, detail = readiness()
    return web.json_response({"ready": ready, **detail}, status=200 if ready else 503)
