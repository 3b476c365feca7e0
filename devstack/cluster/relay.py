"""Ports of the host's loopback interface that lead into the cluster's network.

A socket belongs to the network namespace in which it was made. So the starter makes the listening sockets outside, and
the supervisor, which inherits them, accepts there and connects inside. No interface of the host is needed.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Mapping

from porchflow.devstack.cluster.layout import NODE_ADDRESS
from porchflow.devstack.processes import HOST

_CHUNK = 256 * 1024


def listening_socket() -> socket.socket:
    """Return a socket that listens on a free port of the loopback interface."""
    listening = socket.socket()
    listening.bind((HOST, 0))
    listening.listen()
    listening.set_inheritable(True)
    return listening


@contextlib.asynccontextmanager
async def relaying(targets: Mapping[int, int]) -> AsyncIterator[None]:
    """Serve connections while the context is open.

    Args:
        targets: The port of the node, by the file descriptor of a listening socket.
    """
    async with contextlib.AsyncExitStack() as stack:
        for descriptor, port in targets.items():
            server = await asyncio.start_server(_Handler(port), sock=socket.socket(fileno=descriptor))
            stack.callback(server.close)
        yield


class _Handler:
    """Carries the bytes of one connection to a port and back."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            there = await asyncio.open_connection(NODE_ADDRESS, self._port)
            await asyncio.gather(_copy(reader, there[1]), _copy(there[0], writer))
        writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
        # The other direction goes on: HTTP clients half-close.
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        writer.close()
