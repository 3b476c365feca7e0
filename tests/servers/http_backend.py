"""Git's own server for HTTP, `git http-backend`, behind a small one that runs it for each request."""

import asyncio
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from aiohttp import web

_ENVIRONMENT = ("PATH", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM")


class HttpBackend:
    """Serves the bare repositories below a folder to everybody; an asynchronous context manager.

    Attributes:
        requests: Method, path and body's first bytes of each request so far.
    """

    def __init__(self, root: Path, *, version_2: bool = True) -> None:
        """Prepare a server; `version_2` tells git of the protocol's version that clients ask for."""
        self._root = root
        self._version_2 = version_2
        self._runner: web.AppRunner | None = None
        self.requests: list[tuple[str, str, bytes]] = []

    def url(self, name: str) -> str:
        assert self._runner
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}/{name}"

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", "/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._runner
        await self._runner.cleanup()

    async def _serve(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.requests.append((request.method, request.path, body[:200]))
        backend = await asyncio.create_subprocess_exec(
            "git",
            "http-backend",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=self._environment(request, len(body)),
        )
        said, _ = await backend.communicate(body)
        head, _, content = said.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
        status = int(headers.pop("Status", "200").split()[0])
        return web.Response(status=status, body=content, headers=headers)

    def _environment(self, request: web.Request, length: int) -> dict[str, str]:
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ} | {
            "GIT_PROJECT_ROOT": str(self._root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REMOTE_USER": "somebody",
            "REMOTE_ADDR": "127.0.0.1",
            "REQUEST_METHOD": request.method,
            "PATH_INFO": request.path,
            "QUERY_STRING": request.query_string,
            "CONTENT_TYPE": request.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(length),
        }
        if self._version_2 and "Git-Protocol" in request.headers:
            environment["GIT_PROTOCOL"] = request.headers["Git-Protocol"]
        return environment
