"""The relay between two parts: what passes, and what does not."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from porchflow.devstack.processes import HOST
from soak.trouble.relay import Mode, Relay


@pytest.fixture
async def relay() -> AsyncIterator[Relay]:
    """A relay to a server that answers each line with the same line."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    server = await asyncio.start_server(serve, HOST, 0)
    async with Relay(server.sockets[0].getsockname()[1]) as relay:
        yield relay
    server.close()


async def ask(relay: Relay, text: bytes = b"hello\n") -> bytes:
    reader, writer = await asyncio.open_connection(HOST, relay.port)
    try:
        writer.write(text)
        return await reader.readline()
    finally:
        writer.close()


async def test_everything_passes_at_first(relay: Relay) -> None:
    assert await ask(relay) == b"hello\n"


async def test_what_is_refused_is_reset_and_passes_again_later(relay: Relay) -> None:
    reader, writer = await asyncio.open_connection(HOST, relay.port)
    writer.write(b"one\n")
    assert await reader.readline() == b"one\n"
    relay.set(Mode.REFUSE)
    with pytest.raises(ConnectionResetError):
        await reader.readexactly(1)
    writer.close()
    with pytest.raises(ConnectionResetError):
        await ask(relay)
    relay.set(Mode.PASS)
    assert await ask(relay) == b"hello\n"


async def test_what_hangs_passes_later(relay: Relay) -> None:
    relay.set(Mode.HANG)
    asking = asyncio.create_task(ask(relay))
    # The relay itself answers nothing while it hangs, whatever the machine does meanwhile.
    done, _ = await asyncio.wait({asking}, timeout=0.2)
    assert not done
    relay.set(Mode.PASS)
    assert await asking == b"hello\n"


async def test_a_server_with_an_error_answers_500(relay: Relay) -> None:
    relay.set(Mode.ERROR)
    assert await ask(relay, b"GET / HTTP/1.1\r\nHost: git\r\n\r\n") == b"HTTP/1.1 500 Internal Server Error\r\n"
