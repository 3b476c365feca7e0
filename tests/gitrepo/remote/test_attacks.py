"""What a hostile or broken Git server can do to the process that asks it: nothing but cost a bounded time."""

import asyncio
import hashlib
import os
import subprocess
import sys
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from bench.packs import entry, pack_with, varint
from porchflow.api.limits import GIT_WORDS_CHARACTERS, MIB
from porchflow.gitrepo.errors import (
    GitAuthError,
    GitCertificateError,
    GitError,
    GitNotFound,
    GitQuotaExceeded,
    GitUnavailable,
    GitUnsupported,
)
from porchflow.gitrepo.git_store import GitStore
from porchflow.gitrepo.refs import InvalidName
from porchflow.gitrepo.remote.call import Call, Timeouts
from porchflow.gitrepo.remote.dialing import Names
from porchflow.gitrepo.remote.http.http_channel import HttpChannel
from porchflow.gitrepo.remote.http.http_client import IdleClients
from porchflow.gitrepo.remote.http.server_certificates import trust
from porchflow.gitrepo.remote.protocol.pkt_lines import FLUSH, pkt_line
from porchflow.gitrepo.remote.protocol.wire import UPLOAD_PACK
from porchflow.gitrepo.remote.remote import BearerToken, Remote
from porchflow.gitrepo.remote.transport import Transport

OID = "1" * 40
_TREE, _BLOB, _DELTA = 2, 3, 7
_COPIED = 0xFFFFFF
"""Bytes that one copy instruction takes at most."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def answering(answer: Handler) -> AsyncIterator[str]:
    """Serve any path with a handler; give the address."""
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/r.git"
    finally:
        await runner.cleanup()


def git_answer(service: str, body: bytes, what: str = "advertisement") -> web.Response:
    return web.Response(body=body, content_type=f"application/x-{service}-{what}")


def advertised(*capabilities: str) -> bytes:
    """The first words of a server of version 2."""
    return (
        b"".join(pkt_line(line.encode()) for line in ("version 2\n", *(f"{each}\n" for each in capabilities))) + FLUSH
    )


def sending(pack: bytes, refs: bytes = b"") -> Handler:
    """A server of version 2 that answers every fetch with a pack."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/info/refs"):
            return git_answer("git-upload-pack", advertised("ls-refs", "fetch"))
        if b"command=ls-refs" in await request.read():
            return git_answer("git-upload-pack", refs + FLUSH, "result")
        parts = [pkt_line(b"\1" + pack[at : at + 65_000]) for at in range(0, len(pack), 65_000)]
        return git_answer("git-upload-pack", pkt_line(b"packfile\n") + b"".join(parts) + FLUSH, "result")

    return answer


def delta_bomb(copies: int) -> bytes:
    """16 KB that grow to 16 MiB for each copy instruction."""
    base = bytes(16 * MIB)
    oid = hashlib.sha1(b"blob %d\0" % len(base) + base).digest()
    delta = varint(len(base)) + varint(copies * _COPIED) + copies * (bytes([0x80 | 0x70]) + b"\xff\xff\xff")
    return pack_with(
        entry(_BLOB, len(base), zlib.compress(base)), entry(_DELTA, len(delta), oid + zlib.compress(delta))
    )


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    path = tmp_path / "local.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(path)], check=True)
    return path


@pytest.fixture
def transport(tmp_path: Path) -> Transport:
    return Transport(tmp_path / "connections")


async def fetched(transport: Transport, url: str, repository: Path, call: Call | None = None) -> None:
    await asyncio.to_thread(transport.fetch, Remote(url), [OID], haves=[], repository=repository, call=call)


async def listed(transport: Transport, url: str, call: Call | None = None) -> dict[str, object]:
    return dict(await asyncio.to_thread(transport.list_refs, Remote(url), call=call))


def left_behind(repository: Path) -> list[str]:
    return [path.name for path in [*repository.glob("incoming-*"), *repository.glob("objects/pack/*")]]


@pytest.mark.parametrize("copies", [70, 130])
async def test_a_delta_bomb_is_refused_and_leaves_nothing(transport: Transport, repository: Path, copies: int) -> None:
    async with answering(sending(delta_bomb(copies))) as url:
        with pytest.raises(GitQuotaExceeded, match="cannot be unpacked within 512 MiB of memory"):
            await fetched(transport, url, repository)
    assert left_behind(repository) == []


def test_a_delta_bomb_takes_no_memory_of_the_process(tmp_path: Path) -> None:
    """In a process of its own, whose largest size tells."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.gitrepo.bombed", str(tmp_path)],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) < 64 * MIB


async def test_a_large_blob_is_refused(transport: Transport, repository: Path) -> None:
    """Without its threshold for large files git would stream it past the limit of memory."""
    blob = bytes(600 * MIB)
    async with answering(sending(pack_with(entry(_BLOB, len(blob), zlib.compress(blob))))) as url:
        with pytest.raises(GitQuotaExceeded, match="cannot be unpacked"):
            await fetched(transport, url, repository)
    assert left_behind(repository) == []


async def test_a_pack_is_bounded(transport: Transport, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("porchflow.gitrepo.remote.protocol.wire.GIT_PACK_BYTES", MIB)
    async with answering(sending(os.urandom(2 * MIB))) as url:
        with pytest.raises(GitQuotaExceeded, match=r"more than 1,048,576 bytes \(the limit\)"):
            await fetched(transport, url, repository)
    assert left_behind(repository) == []


@pytest.mark.parametrize("pack", [b"", b"PACK", b"no pack at all", pack_with()[:-1] + b"x"])
async def test_a_damaged_pack_is_refused(transport: Transport, repository: Path, pack: bytes) -> None:
    async with answering(sending(pack)) as url:
        with pytest.raises(GitUnavailable, match="damaged pack"):
            await fetched(transport, url, repository)
    assert left_behind(repository) == []


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/x-git-upload-pack-advertisement"})
    await response.prepare(request)
    await response.write(pkt_line(b"# service=git-upload-pack\n") + FLUSH)
    number = 0
    while True:
        lines = (pkt_line(f"{OID} refs/heads/b{number + each}\n".encode()) for each in range(1000))
        await response.write(b"".join(lines))
        number += 1000


async def test_an_endless_list_of_refs_is_refused(transport: Transport) -> None:
    async with answering(endless) as url:
        with pytest.raises(GitQuotaExceeded, match=r"more than 200,000 refs \(the limit\)"):
            await listed(transport, url)


async def test_a_list_of_refs_has_a_size(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("porchflow.gitrepo.remote.http.http_channel.GIT_LISTING_BYTES", 100_000)
    async with answering(endless) as url:
        with pytest.raises(GitQuotaExceeded, match=r"more than 100,000 bytes \(the limit\)"):
            await listed(transport, url)


class Dripping:
    """A server that says a byte at a time and never comes to an end, in its header or after it."""

    def __init__(self, begin: bytes) -> None:
        self._begin = begin
        self.asked = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._drip, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/r.git"

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        assert self._server
        self._server.close()

    async def _drip(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(self._begin)
            self.asked.set()
            while True:
                writer.write(b"a")
                await writer.drain()
                await asyncio.sleep(0.05)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()


_HEADER = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\n"
drips = pytest.mark.parametrize("begin", [b"HTTP/1.1 200 OK\r\nX-A: ", _HEADER + b"\r\nfff0"])


@drips
async def test_a_server_that_drips_meets_the_limit_of_the_whole_request(tmp_path: Path, begin: bytes) -> None:
    transport = Transport(tmp_path / "connections", Timeouts(silence=30, whole=1))
    async with Dripping(begin) as url:
        with pytest.raises(GitUnavailable, match=r"took longer than 1 s \(the limit\)"):
            await listed(transport, url)


@drips
async def test_a_request_ends_when_it_is_told_to(transport: Transport, begin: bytes) -> None:
    server, call = Dripping(begin), Call()
    async with server as url:
        asking = asyncio.create_task(listed(transport, url, call))
        await server.asked.wait()
        call.end()
        with pytest.raises(GitUnavailable, match="nobody waits"):
            await asking


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, GitAuthError), (403, GitAuthError), (404, GitNotFound), (413, GitQuotaExceeded), (429, GitUnavailable)],
)
async def test_a_server_s_words_reach_the_error(transport: Transport, status: int, kind: type[GitError]) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(
            status=status, text="ask alice about https://u:s3cr3t@h/x?token=hidden\x1b[31m\n" + "z" * 9000
        )

    async with answering(answer) as url:
        with pytest.raises(kind, match=r"z{100}") as caught:
            await listed(transport, url)
    told = str(caught.value)
    assert "s3cr3t" not in told
    assert "hidden" not in told
    assert "\x1b" not in told
    assert len(told) < GIT_WORDS_CHARACTERS + 300


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"zzzz", b"0000", b"0003", b"fffff", pkt_line(b"hello"), pkt_line(b"version 2\n")]
)
async def test_what_is_not_git_s_protocol_is_unavailable_or_empty(transport: Transport, body: bytes) -> None:
    async def answer(_: web.Request) -> web.Response:
        return git_answer("git-upload-pack", body)

    async with answering(answer) as url:
        try:
            assert await listed(transport, url) == {}
        except GitUnavailable as error:
            assert url.partition("/r.git")[0] in str(error)  # noqa: PT017 - either is right


async def test_a_repository_with_ids_of_sha256_is_refused_for_good(transport: Transport) -> None:
    async def answer(_: web.Request) -> web.Response:
        return git_answer("git-upload-pack", advertised("ls-refs", "fetch", "object-format=sha256"))

    async with answering(answer) as url:
        with pytest.raises(GitUnsupported, match="'sha256'"):
            await listed(transport, url)


async def test_an_error_in_the_protocol_is_the_server_s_own(transport: Transport, repository: Path) -> None:
    async def answer(request: web.Request) -> web.Response:
        if request.path.endswith("/info/refs"):
            return git_answer("git-upload-pack", advertised("ls-refs", "fetch"))
        return git_answer("git-upload-pack", pkt_line(b"ERR the archive is closed today\n"), "result")

    async with answering(answer) as url:
        with pytest.raises(GitUnavailable, match="the archive is closed today"):
            await listed(transport, url)
        with pytest.raises(GitUnavailable, match="the archive is closed today"):
            await fetched(transport, url, repository)


async def test_a_store_gives_up_a_listing_that_nobody_waits_for(tmp_path: Path) -> None:
    server = Dripping(_HEADER + b"\r\nfff0")
    async with server as url, GitStore(tmp_path / "cache", network_threads=1) as store:
        asking = asyncio.create_task(store.list_refs(Remote(url)))
        await server.asked.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        # The only thread is free again.
        with pytest.raises(GitUnavailable, match="refused"):
            await asyncio.wait_for(store.list_refs(Remote("http://127.0.0.1:1/x")), 20)


async def test_faults_that_git_only_warns_of_hold_nothing_up(transport: Transport, repository: Path) -> None:
    blob = b"x"
    oid = hashlib.sha1(b"blob 1\0" + blob).digest()
    # A warning for each, together longer than a pipe holds.
    trees = [b"120000 .gitignore\0" + oid + b"100644 a%05d\0" % number + oid for number in range(3000)]
    pack = pack_with(
        entry(_BLOB, len(blob), zlib.compress(blob)), *(entry(_TREE, len(tree), zlib.compress(tree)) for tree in trees)
    )
    async with answering(sending(pack)) as url:
        await fetched(transport, url, repository)
    assert len(left_behind(repository)) == 2, "a pack and its index"


async def test_an_id_that_is_none_is_the_servers_fault(transport: Transport, repository: Path) -> None:
    refs = pkt_line(b"z" * 40 + b" refs/heads/main\n")
    async with answering(sending(b"", refs)) as url:
        with pytest.raises(GitUnavailable, match="zzzz"):
            await listed(transport, url)


async def test_a_pack_without_what_it_builds_on_is_no_damage_of_ours(transport: Transport, repository: Path) -> None:
    tree = b"100644 a\0" + b"\1" * 20
    async with answering(sending(pack_with(entry(_TREE, len(tree), zlib.compress(tree))))) as url:
        with pytest.raises(GitUnavailable, match="lacks objects"):
            await fetched(transport, url, repository)


async def test_the_end_of_a_call_is_none_of_the_next_one_on_its_connection() -> None:
    idle = IdleClients()

    async def answer(_: web.Request) -> web.Response:
        return git_answer("git-upload-pack", advertised("ls-refs", "fetch"))

    def ask(url: str, call: Call) -> None:
        with HttpChannel(Remote(url), UPLOAD_PACK, call=call, timeouts=Timeouts(), idle=idle, names=Names()) as channel:
            assert channel.advertisement().version == 2

    async with answering(answer) as url:
        first = Call()
        await asyncio.to_thread(ask, url, first)
        first.end("too late")
        await asyncio.to_thread(ask, url, Call())
    idle.close()


async def test_capabilities_without_an_end_are_refused(transport: Transport, repository: Path) -> None:
    async def answer(_: web.Request) -> web.Response:
        return git_answer("git-upload-pack", advertised(*(f"a{number}" for number in range(20_000))))

    async with answering(answer) as url:
        with pytest.raises(GitQuotaExceeded):
            await listed(transport, url)


def test_a_bundle_may_have_comments_in_any_language() -> None:
    pem = trustme.CA().cert_pem.bytes().decode()
    assert len(trust(f"# Főtanúsítvány\n{pem}# második\n{pem}").get_ca_certs()) >= 1
    with pytest.raises(GitCertificateError, match=r"correct ca\.crt"):
        trust("# Főtanúsítvány, and no certificate")


def test_a_token_that_no_header_takes_is_refused_without_showing_it() -> None:
    with pytest.raises(InvalidName, match="no header takes") as raised:
        Remote("https://git.example.com/r.git", BearerToken("secret-word\u200b"))
    assert "secret-word" not in str(raised.value)


async def test_a_pack_in_very_many_packets_is_refused(
    transport: Transport, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each costs the worker's processor as much as a full one; empty ones and progress are packets too."""
    monkeypatch.setattr("porchflow.gitrepo.remote.protocol.wire.GIT_PACKETS", 1000)
    for packet in (pkt_line(b"\1a"), pkt_line(b"\1"), pkt_line(b"\2."), pkt_line(b"NAK\n")):

        async def answer(request: web.Request, packet: bytes = packet) -> web.StreamResponse:
            if request.path.endswith("/info/refs"):
                return git_answer("git-upload-pack", advertised("ls-refs", "fetch"))
            return git_answer("git-upload-pack", pkt_line(b"packfile\n") + 1001 * packet + FLUSH, "result")

        async with answering(answer) as url:
            with pytest.raises(GitQuotaExceeded, match=r"more than 1,000 packets \(the limit\)"):
                await fetched(transport, url, repository)
    assert left_behind(repository) == []
