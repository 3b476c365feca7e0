"""An HTTP server that says what a test tells it to: for answers that a healthy API server never gives."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class ScriptedServer:
    """Answers lists and watches, each from its own script; the last answer of a script is given for ever."""

    lists: list[Answer] = field(default_factory=list)
    watches: list[Answer] = field(default_factory=list)
    requests: list[web.Request] = field(default_factory=list)
    url: str = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        script = self.watches if request.query.get("watch") else self.lists
        answer = script.pop(0) if len(script) > 1 else script[0]
        return await answer(request)

    def watched_from(self) -> list[str]:
        return [r.query.get("resourceVersion", "") for r in self.requests if r.query.get("watch")]

    @property
    def listed(self) -> int:
        return sum(1 for r in self.requests if not r.query.get("watch"))


@contextlib.asynccontextmanager
async def scripted_server() -> AsyncIterator[ScriptedServer]:
    server = ScriptedServer()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    server.url = f"http://{host}:{port}"
    try:
        yield server
    finally:
        await runner.cleanup()


def obj(name: str, version: int, **fields: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "test", "name": name, "resourceVersion": str(version)}, **fields}


def listing(version: int, *items: dict[str, Any], token: str = "") -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response({"metadata": {"resourceVersion": str(version), "continue": token}, "items": items})

    return answer


def failing(code: int, reason: str = "", *, headers: dict[str, str] | None = None, **status: Any) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        body = {"kind": "Status", "code": code, "reason": reason, "message": f"scripted {code}", **status}
        return web.json_response(body, status=code, headers=headers)

    return answer


async def not_served(_: web.Request) -> web.StreamResponse:
    """Answer as the API server does where a CustomResourceDefinition is missing: without a Status."""
    return web.Response(status=404, text="404 page not found\n")


def watching(*lines: dict[str, Any] | bytes, stay: bool = False) -> Answer:
    """Send events, or bytes as they are; then end the answer, or keep it open."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for line in lines:
            await response.write(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n")
        if stay:
            await asyncio.Event().wait()
        return response

    return answer


def event(kind: str, body: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "object": body}


EXPIRED = event("ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"})
