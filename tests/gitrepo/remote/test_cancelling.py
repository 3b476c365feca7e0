"""A request that nobody waits for ends wherever it is: each test would otherwise wait for limits of ten minutes.

Nothing here is timed. The limits of `PATIENT` are longer than a test may last, so a request that ends was ended.
"""

import asyncio
import contextlib
import os
import socket
import stat
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiohttp import web

from porchflow.gitrepo.errors import GitUnavailable
from porchflow.gitrepo.remote.call import Call, Timeouts
from porchflow.gitrepo.remote.incoming import Unpacking
from porchflow.gitrepo.remote.remote import Remote, SshKey
from porchflow.gitrepo.remote.transport import Refs, Transport
from porchflow.gitrepo.store.cache import RepositoryCache
from tests.gitrepo.remote.test_attacks import OID, answering, pack_with, sending
from tests.servers.waiting import eventually

PATIENT = Timeouts(connect=600.0, silence=600.0, whole=600.0)
LOST = "nobody waits for it any more"


@pytest.fixture
def transport(tmp_path: Path) -> Iterator[Transport]:
    transport = Transport(tmp_path / "connections", PATIENT)
    yield transport
    transport.close()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    path = tmp_path / "local.git"
    path.mkdir()
    return path


def left_behind(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def ended(asking: "asyncio.Task[object]", call: Call) -> None:
    """End a call, and wait until its thread is free."""
    assert not asking.done()
    call.end()
    with pytest.raises(GitUnavailable, match=LOST):
        await asyncio.wait_for(asking, 60)


def listing(transport: Transport, remote: Remote, call: Call) -> "asyncio.Task[object]":
    return asyncio.create_task(asyncio.to_thread(transport.list_refs, remote, call=call))


async def test_while_the_name_is_resolved(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, release = threading.Event(), threading.Event()

    def hang(*_: object) -> list[object]:
        begun.set()
        release.wait()
        return []

    monkeypatch.setattr("porchflow.gitrepo.remote.dialing.socket.getaddrinfo", hang)
    call = Call()
    asking = listing(transport, Remote("http://git.example.com/r.git"), call)
    await asyncio.to_thread(begun.wait)
    await ended(asking, call)
    release.set()


@contextlib.contextmanager
def deaf() -> Iterator[int]:
    """A port that neither accepts nor refuses: its queue is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


async def test_while_it_connects(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = threading.Event()
    connect_ex = socket.socket.connect_ex

    class Seen(socket.socket):
        def connect_ex(self, address: object) -> int:  # type: ignore[override]  # as it is given
            code = connect_ex(self, address)  # type: ignore[arg-type]
            begun.set()
            return code

    with deaf() as port:
        monkeypatch.setattr("porchflow.gitrepo.remote.dialing.socket.socket", Seen)
        call = Call()
        asking = listing(transport, Remote(f"http://127.0.0.1:{port}/r.git"), call)
        await asyncio.to_thread(begun.wait)
        await ended(asking, call)


async def test_before_it_connects(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end comes between the making of the socket and its use."""
    call = Call()
    connect_ex = socket.socket.connect_ex

    class Late(socket.socket):
        def connect_ex(self, address: object) -> int:  # type: ignore[override]  # as it is given
            call.end()
            return connect_ex(self, address)  # type: ignore[arg-type]

    with deaf() as port:
        monkeypatch.setattr("porchflow.gitrepo.remote.dialing.socket.socket", Late)
        with pytest.raises(GitUnavailable, match=LOST):
            await asyncio.wait_for(listing(transport, Remote(f"http://127.0.0.1:{port}/r.git"), call), 60)


@contextlib.asynccontextmanager
async def silent(begin: bytes = b"") -> AsyncIterator[tuple[int, asyncio.Event, asyncio.Event]]:
    """A port that takes what comes, and says `begin` and nothing more; the events: somebody spoke, somebody left."""
    spoken, left = asyncio.Event(), asyncio.Event()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            writer.write(begin)
            while await reader.read(1 << 16):
                spoken.set()
        left.set()
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], spoken, left


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_while_the_server_is_silent(transport: Transport, scheme: str) -> None:
    """In the answer, and in the handshake of TLS."""
    async with silent() as (port, spoken, left):
        call = Call()
        asking = listing(transport, Remote(f"{scheme}://127.0.0.1:{port}/r.git"), call)
        await spoken.wait()
        await ended(asking, call)
        await asyncio.wait_for(left.wait(), 60)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_while_the_proxy_is_silent(transport: Transport, scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with silent() as (port, spoken, left):
        monkeypatch.setenv(f"{scheme}_proxy", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("no_proxy", "")
        call = Call()
        asking = listing(transport, Remote(f"{scheme}://git.example.com/r.git"), call)
        await spoken.wait()
        await ended(asking, call)
        await asyncio.wait_for(left.wait(), 60)


async def test_while_a_fetch_waits_for_the_pack(transport: Transport, repository: Path) -> None:
    asked, over = asyncio.Event(), asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/info/refs"):
            return await sending(b"")(request)
        response = web.StreamResponse(headers={"Content-Type": "application/x-git-upload-pack-result"})
        await response.prepare(request)
        await response.write(b"000dpackfile\n")
        asked.set()
        await over.wait()
        return response

    async with answering(answer) as url:
        call = Call()
        asking: asyncio.Task[object] = asyncio.create_task(
            asyncio.to_thread(transport.fetch, Remote(url), [OID], haves=[], repository=repository, call=call)
        )
        await asked.wait()
        await ended(asking, call)
        over.set()
    assert left_behind(repository) == [], "no quarantine is left"


@contextlib.contextmanager
def instead_of(program: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Put a program before another one that tells its process id in a file, and then hangs."""
    folder.mkdir()
    told = folder / "pid"
    script = folder / program
    script.write_text(f"#!/bin/sh\necho $$ > {told}.new\nmv {told}.new {told}\nexec sleep 600\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    yield told


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def test_ends_the_child_of_ssh(
    transport: Transport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ssh_key: SshKey
) -> None:
    with instead_of("ssh", tmp_path / "bin", monkeypatch) as told:
        call = Call()
        asking = listing(transport, Remote("ssh://git@git.example.com/r.git", ssh_key), call)
        await eventually(told.exists, what="ssh runs")
        await ended(asking, call)
        assert is_gone(int(told.read_text()))
    assert left_behind(tmp_path / "connections") == [], "no key is left"


async def test_ends_the_child_that_unpacks(
    transport: Transport, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with answering(sending(pack_with())) as url:
        with instead_of("git", tmp_path / "bin", monkeypatch) as told:
            call = Call()
            asking: asyncio.Task[object] = asyncio.create_task(
                asyncio.to_thread(transport.fetch, Remote(url), [OID], haves=[], repository=repository, call=call)
            )
            await eventually(told.exists, what="git runs")
            await ended(asking, call)
            assert is_gone(int(told.read_text()))
    assert left_behind(repository) == []


async def test_while_others_unpack(transport: Transport, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unpacking = Unpacking(most=1)
    monkeypatch.setattr(transport, "_unpacking", unpacking)
    waits = threading.Event()
    turn = Call.turn

    def seen(call: Call, lock: object) -> object:
        waits.set()
        return turn(call, lock)  # type: ignore[arg-type]  # as it is given

    async with answering(sending(pack_with())) as url:
        with Call().turn(unpacking._free):
            monkeypatch.setattr(Call, "turn", seen)
            call = Call()
            asking: asyncio.Task[object] = asyncio.create_task(
                asyncio.to_thread(transport.fetch, Remote(url), [OID], haves=[], repository=repository, call=call)
            )
            await asyncio.to_thread(waits.wait)
            await ended(asking, call)


async def test_while_another_fetch_holds_the_cache(transport: Transport, tmp_path: Path) -> None:
    cache = RepositoryCache(tmp_path / "cache.git", transport)
    waits = threading.Event()

    def wanted() -> Iterator[str]:
        yield OID

    def fetch(call: Call) -> None:
        waits.set()
        cache.run(lambda repo: cache.fetch(repo, Remote("http://127.0.0.1:1/r.git"), Refs({}), wanted(), call=call))

    with Call().turn(cache.network):
        call = Call()
        asking: asyncio.Task[object] = asyncio.create_task(asyncio.to_thread(fetch, call))
        await asyncio.to_thread(waits.wait)
        await ended(asking, call)


@pytest.mark.parametrize(
    "begin",
    [
        b"HTTP/1.1 500 Failed\r\nContent-Type: text/html\r\nContent-Length: 1000000\r\n\r\nsorry",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\n\r\nthis is no line",
    ],
)
async def test_an_answer_that_is_not_read_to_its_end_keeps_no_connection(transport: Transport, begin: bytes) -> None:
    async with silent(begin) as (port, _, left):
        with pytest.raises(GitUnavailable):
            await asyncio.to_thread(transport.list_refs, Remote(f"http://127.0.0.1:{port}/r.git"))
        await asyncio.wait_for(left.wait(), 60)
