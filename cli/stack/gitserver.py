"""A small Git server: bare repositories below a folder, over smart HTTP.

aiohttp speaks HTTP; the Git side is git's own CGI program `git-http-backend`, so hooks, access rules and protocol are
the real ones. See gitprotocol-http(5) and git-http-backend(1).
"""

import argparse
import asyncio
import base64
import contextlib
import functools
import logging
import os
import ssl
import subprocess
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from aiohttp import web

from cli.process import run_process

logger = logging.getLogger(__name__)

STATISTICS_PATH = "/-/statistics"
"""Answers with the pushes and fetches of each repository so far, as JSON; no repository's requests have this path."""

_CHUNK = 64 * 1024
_PUSHES_PER_PACKING = 20
_SERVICES = ("/info/refs", "/git-upload-pack", "/git-receive-pack")
_GIT_ENVIRONMENT = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
_BARE_CONFIGURATION = {
    "http.receivepack": "true",
    # Garbage collection in the middle of a burst of pushes costs seconds and frees little.
    "receive.autogc": "false",
    "gc.auto": "0",
    # A commit stays fetchable by its id after its draft branch has gone.
    "uploadpack.allowAnySHA1InWant": "true",
}


class Faults:
    """Faults that a test switches on in a server of its own process."""

    def __init__(self) -> None:
        self.requests = 0
        """Requests that arrived, failed ones included."""
        self.refuse_auth = False
        """Answer 401 whatever the credentials."""
        self.on_request: Callable[[web.Request], Awaitable[None]] | None = None
        """Awaited before each request is served."""
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


class GitServer:
    """Serves the bare repositories below `root`; an asynchronous context manager.

    A repository `a/b.git` answers to `/a/b.git` and to `/a/b`.
    """

    def __init__(
        self,
        root: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        username: str | None = None,
        password: str | None = None,
        bearer_token: str | None = None,
        tls: ssl.SSLContext | None = None,
        faults: Faults | None = None,
    ) -> None:
        """Prepare a server.

        Args:
            root: Folder of the bare repositories.
            host: Address to listen on.
            port: Port to listen on; 0 takes a free one, see `port`.
            username: Switches basic authentication on, for reads and writes.
            password: Its password.
            bearer_token: A token that may be shown in place of them.
            tls: Serve HTTPS with this.
            faults: What a test wants to go wrong.
        """
        self.host = host
        self.port = port
        self.faults = faults
        self._root = root.resolve()
        self._tls = tls
        self._accepted: set[str] = set()
        if username is not None:
            self._accepted.add(_basic(username, password or ""))
        if bearer_token is not None:
            self._accepted.add(f"Bearer {bearer_token}")
        self._runner: web.AppRunner | None = None
        self._pushes: Counter[str] = Counter()
        self._fetches: Counter[str] = Counter()
        self._packing: dict[str, asyncio.Task[None]] = {}

    @property
    def url(self) -> str:
        """Address of the server, without a final slash."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}"

    def repository_url(self, name: str) -> str:
        """Address of the repository `name`."""
        return f"{self.url}/{name.removesuffix('.git')}.git"

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: The address is in use or not ours.
        """
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._serve)
        # Bodies go to git as they came: it unpacks gzip itself, told by HTTP_CONTENT_ENCODING.
        runner = web.AppRunner(app, auto_decompress=False, access_log=None, shutdown_timeout=2)
        await runner.setup()
        try:
            await web.TCPSite(runner, self.host, self.port, ssl_context=self._tls).start()
        except OSError:
            await runner.cleanup()
            raise
        self.port = int(runner.addresses[0][1])
        self._runner = runner

    async def stop(self) -> None:
        """Stop listening and end the requests in flight."""
        if self.faults:
            self.faults.release()
        if self._runner:
            await self._runner.cleanup()
            self._runner = None
        await asyncio.gather(*self._packing.values())

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if self.faults:
            await self.faults.apply(request)
        self._authenticate(request)
        if request.path == STATISTICS_PATH:
            return web.json_response({"pushes": self._pushes, "fetches": self._fetches})
        repository, service = self._locate(request.path)
        environment = self._environment(request, repository, service)
        process = await asyncio.create_subprocess_exec(
            _http_backend(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_CHUNK,
            env=environment,
        )
        response = await _relay(request, process)
        if request.method == "POST" and service == "/git-receive-pack":
            self._count_push(repository)
        if request.method == "POST" and service == "/git-upload-pack":
            self._fetches[repository] += 1
        return response

    def _count_push(self, repository: str) -> None:
        """Pack tags now and then: with a thousand of them in files of their own, every request takes 50 ms longer."""
        self._pushes[repository] += 1
        if self._pushes[repository] % _PUSHES_PER_PACKING == 0 and repository not in self._packing:
            task = asyncio.create_task(_pack_tags(self._root / repository))
            self._packing[repository] = task
            task.add_done_callback(lambda _: self._packing.pop(repository))

    def _authenticate(self, request: web.Request) -> None:
        refused = self.faults is not None and self.faults.refuse_auth
        if refused or (self._accepted and request.headers.get("Authorization") not in self._accepted):
            raise web.HTTPUnauthorized(
                headers={"WWW-Authenticate": 'Basic realm="git"'}, text="wrong or missing username and password\n"
            )

    def _locate(self, path: str) -> tuple[str, str]:
        """Split a request's path into the repository's folder below root and the Git service."""
        for service in _SERVICES:
            if path.endswith(service):
                name = path.removesuffix(service).strip("/").removesuffix(".git")
                for candidate in (f"{name}.git", name):
                    if self._is_repository(candidate):
                        return candidate, service
                raise web.HTTPNotFound(text=f"there is no repository {name!r} here\n")
        raise web.HTTPNotFound(text="only Git's smart HTTP protocol is served here\n")

    def _is_repository(self, name: str) -> bool:
        if not name or any(part in {"", ".", ".."} for part in name.split("/")) or "\0" in name:
            return False
        return (self._root / name / "HEAD").is_file()

    def _environment(self, request: web.Request, repository: str, service: str) -> dict[str, str]:
        environment = {
            **_GIT_ENVIRONMENT,
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self._root),
            "GIT_PROJECT_ROOT": str(self._root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_HTTP_MAX_REQUEST_BUFFER": "100M",
            "REQUEST_METHOD": request.method,
            "PATH_INFO": f"/{repository}{service}",
            "QUERY_STRING": request.query_string,
            "CONTENT_TYPE": request.headers.get("Content-Type", ""),
            "REMOTE_ADDR": request.remote or "",
            # receive-pack is allowed only to a named user.
            "REMOTE_USER": "porchflow",
        }
        optional = {
            "CONTENT_LENGTH": "Content-Length",
            "HTTP_CONTENT_ENCODING": "Content-Encoding",
            "GIT_PROTOCOL": "Git-Protocol",
        }
        return environment | {key: request.headers[name] for key, name in optional.items() if name in request.headers}


def create_bare_repository(root: Path, name: str, default_branch: str = "main", *, durable: bool = True) -> Path:
    """Make an empty bare repository that can be pushed to over HTTP.

    Args:
        root: Folder of the repositories.
        name: Name of the new one, with or without `.git`.
        default_branch: Branch that its HEAD names.
        durable: Whether Git forces packs to the disk. Without it a power cut, not a crash, can lose the last pushes.

    Returns:
        The repository's folder. One that exists already is kept, and gets today's configuration.
    """
    path = root / f"{name.removesuffix('.git')}.git"
    path.parent.mkdir(parents=True, exist_ok=True)
    _git("init", "--quiet", "--bare", f"--initial-branch={default_branch}", "--template=", str(path))
    settings = _BARE_CONFIGURATION | ({} if durable else {"core.fsync": "none"})
    for key, value in settings.items():
        _git("-C", str(path), "config", key, value)
    return path


def _git(*arguments: str) -> str:
    environment = {**os.environ, **_GIT_ENVIRONMENT}
    done = subprocess.run(["git", *arguments], check=True, capture_output=True, text=True, env=environment)
    return done.stdout.strip()


async def _pack_tags(path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        "git", "-C", str(path), "pack-refs", env={**os.environ, **_GIT_ENVIRONMENT}, stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    if process.returncode:
        # A push held the lock; the next packing takes these tags along.
        logger.debug("cannot pack the tags of %s: %s", path, said.decode(errors="replace").strip())


@functools.cache
def _http_backend() -> str:
    # Started directly: the `git` front command would cost one more exec for each request.
    return str(Path(_git("--exec-path")) / "git-http-backend")


def _basic(username: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def _http_error(status: int) -> web.HTTPException:
    error = web.HTTPInternalServerError(text="a fault that a test asked for\n")
    error.set_status(status)
    return error


async def _relay(request: web.Request, process: asyncio.subprocess.Process) -> web.StreamResponse:
    """Feed the request to the CGI process and stream its answer back; the process never outlives the request."""
    assert process.stdin is not None  # noqa: S101 - for the type checker: all three are pipes
    assert process.stdout is not None  # noqa: S101
    assert process.stderr is not None  # noqa: S101
    feed = asyncio.create_task(_feed(request, process.stdin))
    errors = asyncio.create_task(process.stderr.read())
    try:
        response = await _headers(process.stdout)
        await _stream(request, response, process.stdout)
        if said := (await errors).decode(errors="replace").strip():
            logger.info("%s %s: %s", request.method, request.path, said)
        return response
    finally:
        feed.cancel()
        errors.cancel()
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                if not process.stdout.at_eof():
                    process.kill()
        await asyncio.shield(process.wait())


async def _stream(request: web.Request, response: web.StreamResponse, stdout: asyncio.StreamReader) -> None:
    with contextlib.suppress(ConnectionError):  # the client has gone; nobody waits for the rest
        await response.prepare(request)
        while chunk := await stdout.read(_CHUNK):
            await response.write(chunk)
        await response.write_eof()


async def _feed(request: web.Request, stdin: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        async for chunk in request.content.iter_chunked(_CHUNK):
            stdin.write(chunk)
            await stdin.drain()
    stdin.close()


async def _headers(stdout: asyncio.StreamReader) -> web.StreamResponse:
    """Read the CGI header block. An answer without one is a failed backend: 500."""
    response = web.StreamResponse()
    seen = False
    while line := (await stdout.readline()).decode("latin-1").strip():
        seen = True
        name, _, value = line.partition(":")
        if name.lower() == "status":
            response.set_status(int(value.split()[0]))
        else:
            response.headers[name] = value.strip()
    if not seen:
        raise web.HTTPInternalServerError(text="git-http-backend gave no answer\n")
    return response


async def _serve_for_ever(root: Path, host: str, port: int, username: str | None) -> None:
    password = os.environ.get("PORCHFLOW_GIT_PASSWORD")
    async with GitServer(root, host=host, port=port, username=username, password=password) as server:
        logger.info("serving the Git repositories below %s at %s", root, server.url)
        await asyncio.Event().wait()


def main() -> None:
    """Serve until a signal arrives."""
    parser = argparse.ArgumentParser(description="Serve bare Git repositories over HTTP.")
    parser.add_argument("--root", type=Path, required=True, help="folder of the bare repositories")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free port")
    parser.add_argument("--username", help="ask for this user and the password in PORCHFLOW_GIT_PASSWORD")
    parser.add_argument("--log-level", default="INFO")
    options = parser.parse_args()
    options.root.mkdir(parents=True, exist_ok=True)
    run_process(
        _serve_for_ever(options.root, options.host, options.port, options.username), log_level=options.log_level
    )


if __name__ == "__main__":
    main()
