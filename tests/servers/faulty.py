"""The Git server of the embedded stack with what a forge has besides: credentials, TLS, and bad days."""

import asyncio
import base64
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

from porchflow.devstack.git.gitserver import GitServer


class Faults:
    """Faults that a test switches on.

    Attributes:
        requests: Requests that arrived, failed ones included.
        refuse_auth: Answer 401 whatever the credentials.
        on_request: Awaited before each request is served.
    """

    def __init__(self) -> None:
        self.requests = 0
        self.refuse_auth = False
        self.on_request: Callable[[web.Request], Awaitable[None]] | None = None
        self._failures = 0
        self._status = 500
        self._gate = asyncio.Event()
        self._gate.set()

    def fail_next(self, count: int, status: int = 500) -> None:
        """Answer the next `count` requests with an HTTP status instead of serving them."""
        self._failures, self._status = count, status

    def hang(self) -> None:
        """Hold every request until `release`."""
        self._gate.clear()

    def release(self) -> None:
        """Serve the requests that hang, and those to come."""
        self._gate.set()

    async def apply(self, request: web.Request) -> None:
        """Do to a request what was asked for; raises the HTTP error to answer with."""
        self.requests += 1
        await self._gate.wait()
        if self._failures:
            self._failures -= 1
            raise _http_error(self._status)
        if self.on_request:
            await self.on_request(request)


class FaultyGitServer(GitServer):
    """A Git server that asks for credentials, serves HTTPS and fails, as a test wants.

    Attributes:
        faults: What goes wrong; nothing at first.
    """

    def __init__(
        self,
        root: Path,
        *,
        username: str | None = None,
        password: str = "",
        bearer_token: str | None = None,
        tls: ssl.SSLContext | None = None,
        faults: Faults | None = None,
    ) -> None:
        """Prepare a server.

        Args:
            root: Folder of the bare repositories.
            username: Switches basic authentication on, for reads and writes.
            password: Its password.
            bearer_token: A token that may be shown in place of them.
            tls: Serve HTTPS with this.
            faults: What goes wrong.
        """
        super().__init__(root)
        self.faults = faults or Faults()
        self.scheme = "https" if tls else "http"
        self._tls = tls
        self._accepted: set[str] = set()
        if username is not None:
            self._accepted.add(_basic(username, password))
        if bearer_token is not None:
            self._accepted.add(f"Bearer {bearer_token}")

    def site(self, runner: web.AppRunner) -> web.TCPSite:
        return web.TCPSite(runner, self.host, self.port, ssl_context=self._tls)

    async def admit(self, request: web.Request) -> None:
        await self.faults.apply(request)
        shown = request.headers.get("Authorization")
        if self.faults.refuse_auth or (self._accepted and shown not in self._accepted):
            raise web.HTTPUnauthorized(
                headers={"WWW-Authenticate": 'Basic realm="git"'}, text="wrong or missing username and password\n"
            )

    async def stop(self) -> None:
        self.faults.release()
        await super().stop()


def _basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def _http_error(status: int) -> web.HTTPException:
    error = web.HTTPInternalServerError(text="a fault that a test asked for\n")
    error.set_status(status)
    return error
