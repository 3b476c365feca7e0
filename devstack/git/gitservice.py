"""Answers requests of Git's smart HTTP protocol with git itself, so hooks and protocol are the real ones.

One git process for each request, without `git-http-backend` between: that costs as much as the process it starts. See
gitprotocol-http(5).
"""

import asyncio
import contextlib
import logging
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from aiohttp import web

from porchflow.functions.children import end_child

logger = logging.getLogger(__name__)

GIT_ENVIRONMENT = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"}
"""Git reads neither the user's configuration nor the system's."""

SERVICES = ("git-upload-pack", "git-receive-pack")
"""Fetch and push."""

LISTS = web.RequestKey("lists", bool)
"""Key of a served request: whether it only lists refs, which version 2 of the protocol does by the service of fetches.
"""

HEAD = web.RequestKey("head", bytes)
"""Key of a served request: the beginning of its body."""

_LIST_COMMAND = b"command=ls-refs"
_LONGEST_COMMAND = 64
_CHUNK = 64 * 1024
_UNCACHED = {"Cache-Control": "no-cache, max-age=0, must-revalidate", "Pragma": "no-cache"}


async def advertise(request: web.Request, repository: Path) -> web.StreamResponse:
    """Answer with the refs or capabilities of a repository: the first request of every fetch and push.

    Args:
        request: `GET <repository>/info/refs?service=<one of SERVICES>`.
        repository: Its folder.

    Raises:
        web.HTTPException: The request is not one of the smart protocol, or git failed.
    """
    service = request.query.get("service", "")
    if service not in SERVICES:
        raise web.HTTPForbidden(text="only Git's smart HTTP protocol is served here\n")
    if request.method != "GET":
        raise web.HTTPMethodNotAllowed(request.method, ["GET"])
    # Version 2 is for fetches alone, and has no service line.
    newest = service == "git-upload-pack" and "version=2" in request.headers.get("Git-Protocol", "").split(":")
    process = await _git(request, service, "--advertise-refs", str(repository))
    return await _relay(
        request, process, f"application/x-{service}-advertisement", b"" if newest else _service_line(service)
    )


async def serve(request: web.Request, repository: Path, service: str) -> web.StreamResponse:
    """Answer the second request of a fetch or push.

    Args:
        request: `POST <repository>/<service>`; its body goes to git as it arrives.
        repository: Its folder.
        service: One of `SERVICES`.

    Raises:
        web.HTTPException: The request is not one of the smart protocol, or git failed.
    """
    if request.method != "POST":
        raise web.HTTPMethodNotAllowed(request.method, ["POST"])
    if request.content_type != f"application/x-{service}-request":
        raise web.HTTPUnsupportedMediaType(text=f"a {service} request must say so in its Content-Type\n")
    process = await _git(request, service, str(repository))
    return await _relay(request, process, f"application/x-{service}-result")


def _service_line(service: str) -> bytes:
    line = f"# service={service}\n"
    return f"{len(line) + 4:04x}{line}0000".encode()


async def _git(request: web.Request, service: str, *arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *("git", service.removeprefix("git-"), "--stateless-rpc", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=_CHUNK,
        env=_environment(request),
    )


def _environment(request: web.Request) -> dict[str, str]:
    client = request.remote or ""
    environment = {
        **GIT_ENVIRONMENT,
        "PATH": os.environ.get("PATH", os.defpath),
        "REMOTE_ADDR": client,
        "REMOTE_USER": "porchflow",
        # For the reflog, where a repository keeps one.
        "GIT_COMMITTER_NAME": "porchflow",
        "GIT_COMMITTER_EMAIL": f"porchflow@http.{client}",
    }
    protocol = request.headers.get("Git-Protocol")
    return environment | ({"GIT_PROTOCOL": protocol} if protocol else {})


async def _relay(
    request: web.Request, process: asyncio.subprocess.Process, content_type: str, head: bytes = b""
) -> web.StreamResponse:
    """Feed the request to git and stream its answer back; the process never outlives the request."""
    assert process.stdin is not None  # noqa: S101 - for the type checker: all three are pipes
    assert process.stdout is not None  # noqa: S101
    assert process.stderr is not None  # noqa: S101
    feed = asyncio.create_task(_feed(request, process))
    errors = asyncio.create_task(process.stderr.read())
    try:
        first = await process.stdout.read(_CHUNK)
        if not first and await process.wait():
            raise web.HTTPInternalServerError(text=f"git failed: {_text(await errors)}\n")
        response = web.StreamResponse(headers={**_UNCACHED, "Content-Type": content_type})
        if not await _stream(request, response, (head, first), process.stdout):
            # git waits for somebody to read the rest. It is not killed: a push would leave locks of refs behind.
            while await process.stdout.read(_CHUNK):
                pass
        _acknowledge_at_once(request)
        if said := _text(await errors):
            logger.info("%s %s: %s", request.method, request.path, said)
        return response
    finally:
        feed.cancel()
        errors.cancel()
        if process.stdout.at_eof():
            # The answer is complete; git ends by itself.
            await asyncio.shield(asyncio.gather(process.wait(), feed, errors, return_exceptions=True))
        await asyncio.shield(asyncio.gather(end_child(process), feed, errors, return_exceptions=True))


async def _stream(
    request: web.Request, response: web.StreamResponse, first: Sequence[bytes], stdout: asyncio.StreamReader
) -> bool:
    """Stream git's answer; return False when the client has gone, and needs no more."""
    with contextlib.suppress(ConnectionError):
        await response.prepare(request)
        await response.write(b"".join(first))
        while chunk := await stdout.read(_CHUNK):
            await response.write(chunk)
        await response.write_eof()
        return True
    return False


def _acknowledge_at_once(request: web.Request) -> None:
    """Make the kernel acknowledge the next packet of the connection at once, without its usual delay.

    Some clients send the head of a push or fetch over the connection that they used for the refs, and the rest only
    after the head is acknowledged: 40 ms later, otherwise.
    """
    connection = request.get_extra_info("socket")
    if connection is not None and sys.platform == "linux":
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


async def _feed(request: web.Request, process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None  # noqa: S101 - for the type checker
    whole = False
    try:
        async for chunk in request.content.iter_chunked(_CHUNK):
            request.setdefault(LISTS, _LIST_COMMAND in chunk[:_LONGEST_COMMAND])
            if len(head := request.get(HEAD, b"")) < _CHUNK:
                request[HEAD] = (head + chunk)[:_CHUNK]
            if not await _write(process.stdin, chunk):
                break
        whole = True
    finally:
        if not whole:
            # An incomplete body must not look complete to git.
            _kill(process)
        process.stdin.close()


async def _write(stdin: asyncio.StreamWriter, chunk: bytes) -> bool:
    """Write to git; return False when it reads no more: it has enough, or has refused the request."""
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        stdin.write(chunk)
        await stdin.drain()
        return True
    return False


def _kill(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()


def _text(said: bytes) -> str:
    return said.decode(errors="replace").strip()
