"""Decrypts payloads for one browser: the remote codec of the Temporal UI, on the loopback interface alone.

Source of the protocol: docs/reference/temporal-codec.md, "Remote codec".
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from aiohttp import web
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from temporalio.api.common.v1 import Payloads

from porchflow.api.limits import CODEC_BYTES
from porchflow.cli.processes.temporal.payload_encryption import EncryptionCodec
from porchflow.workflows.converter import UnreadablePayloadError

HOST: Final = "127.0.0.1"
"""Where it listens: there is no other check of who asks than that a program of this machine does."""

_PRIVATE_NETWORK: Final = "Access-Control-Request-Private-Network"
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class CodecServer:
    """Answers `/decode` for pages of one origin, and for programs that are no browser."""

    def __init__(self, codec: EncryptionCodec, origin: str, port: int) -> None:
        """Answer with what a codec decrypts.

        Args:
            codec: Has the keys.
            origin: Scheme, host and port of the Temporal UI, as browsers send it.
            port: Port that it is served at.
        """
        self._codec = codec
        self._origin = origin
        self._hosts = {f"{HOST}:{port}", f"localhost:{port}"}

    def app(self) -> web.Application:
        """Return the server's application."""
        app = web.Application(client_max_size=CODEC_BYTES, middlewares=[self._guarded])
        app.router.add_post("/decode", self._decode)
        app.router.add_options("/decode", self._preflight)
        return app

    @web.middleware
    async def _guarded(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Refuse other pages, also such whose name leads to this machine; let the one page read the answer."""
        origin = request.headers.get("Origin", self._origin)
        if origin != self._origin or request.host not in self._hosts:
            why = f"pages of {origin!r} get no answers at {request.host!r}: start the server with --origin {origin}"
            return web.json_response({"message": why}, status=403)
        try:
            answer = await handler(request)
        except web.HTTPException as refusal:
            answer = web.json_response({"message": refusal.reason}, status=refusal.status)
        answer.headers.update(self._readable())
        return answer

    def _readable(self) -> Mapping[str, str]:
        return {
            "Access-Control-Allow-Origin": self._origin,
            "Access-Control-Allow-Credentials": "true",
            "Vary": "Origin",
            "Cache-Control": "no-store",
        }

    async def _preflight(self, request: web.Request) -> web.Response:
        wanted = {"Access-Control-Allow-Methods": "POST"}
        if headers := request.headers.get("Access-Control-Request-Headers"):
            wanted["Access-Control-Allow-Headers"] = headers
        if _PRIVATE_NETWORK in request.headers:
            wanted["Access-Control-Allow-Private-Network"] = "true"
        return web.Response(status=204, headers=wanted)

    async def _decode(self, request: web.Request) -> web.Response:
        try:
            content = json.loads(await request.read())
            given = ParseDict({"payloads": content["payloads"]}, Payloads(), ignore_unknown_fields=True)
            decoded = Payloads(payloads=await self._codec.decode(given.payloads))
        except (ValueError, ParseError, AttributeError, TypeError, KeyError, RecursionError):
            why = 'the body must be JSON: {"payloads": [{"metadata": {"encoding": BASE64}, "data": BASE64}]}'
            return web.json_response({"message": why}, status=400)
        except UnreadablePayloadError as error:
            return web.json_response({"message": str(error)}, status=400)
        return web.json_response(MessageToDict(decoded))


async def serve_codec(codec: EncryptionCodec, origin: str, port: int) -> web.AppRunner:
    """Serve on the loopback interface until the result is cleaned up.

    Args:
        codec: Has the keys.
        origin: Scheme, host and port of the Temporal UI.
        port: Where.

    Raises:
        OSError: The port cannot be used.
    """
    runner = web.AppRunner(CodecServer(codec, origin, port).app(), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, port).start()
    except BaseException:
        await runner.cleanup()
        raise
    return runner
