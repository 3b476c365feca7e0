"""A TCP relay between two parts of the stack, which can fail as a network and a forge do."""

import asyncio
import contextlib
import socket
import struct
from enum import StrEnum
from types import TracebackType
from typing import Self

from porchflow.devstack.processes import HOST

_CHUNK = 65_536
_HEAD_SECONDS = 5.0
_ERROR = (
    b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: text/plain\r\nContent-Length: 20\r\nConnection: close\r\n\r\n"
    b"a fault of the soak\n"
)


class Mode(StrEnum):
    """What becomes of a connection."""

    PASS = "pass"  # noqa: S105 - no secret
    REFUSE = "refuse"
    """Open ones are reset, and new ones at once."""
    HANG = "hang"
    """Nothing passes; everything passes later."""
    ERROR = "error"
    """Open ones are reset; each request of new ones is answered with HTTP's 500."""


class Relay:
    """Hands connections on to a server; an asynchronous context manager.

    Attributes:
        port: Where it listens.
    """

    def __init__(self, server_port: int) -> None:
        """Create a relay to a port of this machine, where nothing has to listen yet."""
        self.port = 0
        self._server_port = server_port
        self._mode = Mode.PASS
        self._flows = asyncio.Event()
        self._flows.set()
        self._listener: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        """Its address, as `host:port`."""
        return f"{HOST}:{self.port}"

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._accept, HOST, 0)
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._listener:
            self._listener.close()
        self._reset()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def set(self, mode: Mode) -> None:
        """Treat all connections so from now on."""
        self._mode = mode
        (self._flows.clear if mode is Mode.HANG else self._flows.set)()
        if mode in {Mode.REFUSE, Mode.ERROR}:
            self._reset()

    def _reset(self) -> None:
        for writer in self._open:
            _reset(writer)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            await self._flows.wait()
            if self._mode is Mode.REFUSE:
                _reset(writer)
            elif self._mode is Mode.ERROR:
                await _answer_with_error(reader, writer)
            else:
                await self._hand_on(reader, writer)
        except OSError:
            writer.transport.abort()
        finally:
            self._open.discard(writer)
            writer.close()

    async def _hand_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection(HOST, self._server_port)
        self._open.add(to_server)
        try:
            await asyncio.gather(self._pump(reader, to_server), self._pump(from_server, writer))
        finally:
            self._open.discard(to_server)
            to_server.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            await self._flows.wait()
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    connection: socket.socket | None = writer.get_extra_info("socket")
    if connection is not None and not writer.transport.is_closing():
        # Without lingering the peer gets a reset, and no orderly end.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _answer_with_error(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        async with asyncio.timeout(_HEAD_SECONDS):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(_ERROR)
            writer.write_eof()
            # A connection that is closed before its request was read is reset, and the answer is lost with it.
            while await reader.read(_CHUNK):
                continue
