"""A frontend with TLS and API keys before a real Temporal server, whose development server has neither."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc

from tests.servers.authority import Pair


@dataclass
class Gate(grpc.GenericRpcHandler):
    """Hands every call on to a server, where its API key is one of those that are good now.

    Attributes:
        keys: Good API keys; None lets everybody in.
        refused: Calls that had none of them.
    """

    keys: set[str] | None = None
    refused: int = 0
    address: str = ""
    upstream: Any = field(default=None, repr=False)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        method = handler_call_details.method

        async def forward(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
            metadata = [
                (key, value) for key, value in context.invocation_metadata() or () if not key.startswith("grpc-")
            ]
            keys = {str(value).removeprefix("Bearer ") for key, value in metadata if key == "authorization"}
            if self.keys is not None and not keys & self.keys:
                self.refused += 1
                await context.abort(grpc.StatusCode.UNAUTHENTICATED, "Request unauthorized.")
            call = self.upstream.unary_unary(method)
            try:
                answer: bytes = await call(request, metadata=metadata, timeout=context.time_remaining())
            except grpc.aio.AioRpcError as error:
                await context.abort(error.code(), error.details() or "", tuple(error.trailing_metadata()))
            return answer

        return grpc.unary_unary_rpc_method_handler(forward)


@asynccontextmanager
async def running_gate(
    upstream: str, serving: Pair | None = None, *, clients: str = "", keys: set[str] | None = None
) -> AsyncIterator[Gate]:
    """Serve on a free port.

    Args:
        upstream: host:port of the real server.
        serving: Certificate of the gate; None serves plain text.
        clients: PEM of the CA that clients' certificates need; empty asks for none.
        keys: Good API keys; None lets everybody in.
    """
    gate = Gate(keys)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((gate,))
    if serving is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        credentials = grpc.ssl_server_credentials(
            [(serving.key.read_bytes(), serving.certificate.read_bytes())],
            root_certificates=clients.encode() or None,
            require_client_auth=bool(clients),
        )
        port = server.add_secure_port("127.0.0.1:0", credentials)
    gate.address = f"127.0.0.1:{port}"
    async with grpc.aio.insecure_channel(upstream, options=[("grpc.enable_http_proxy", 0)]) as gate.upstream:
        await server.start()
        try:
            yield gate
        finally:
            await server.stop(None)
