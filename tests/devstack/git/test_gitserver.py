import asyncio
import base64
import gzip
import os
import socket
import subprocess
import sys
from pathlib import Path

import aiohttp
import psutil
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import given
from hypothesis import strategies as st

from porchflow.devstack.git.gitserver import STATISTICS_PATH, EmbeddedGitServer, GitServer, create_bare_repository
from porchflow.devstack.git.gitupkeep import PUSHES
from porchflow.devstack.git.push_notices import PushNotices, pushed_refs
from porchflow.gitrepo.remote.http.agent import USER_AGENT
from porchflow.gitrepo.remote.protocol.pkt_lines import pkt_line
from porchflow.watcher.webhooks.payloads import Push, authenticate, read_push
from tests.servers.faulty import Faults, FaultyGitServer
from tests.servers.waiting import eventually

ENVIRONMENT = {
    **os.environ,
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    **{f"GIT_{who}_{what}": "x@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}


def basic(login: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(login.encode()).decode()}


def children() -> set[str]:
    return {process.name() for process in psutil.Process().children()}


async def git(*arguments: str, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        subprocess.run, ["git", *arguments], cwd=cwd, check=check, capture_output=True, text=True, env=ENVIRONMENT
    )


async def clone_with_commit(url: str, folder: Path, data: bytes = b"x") -> Path:
    await git("clone", "-q", url, "clone", cwd=folder)
    clone = folder / "clone"
    (clone / "file").write_bytes(data)
    await git("add", "file", cwd=clone)
    await git("commit", "-q", "-m", "one", cwd=clone)
    return clone


@pytest.fixture
def root(tmp_path: Path) -> Path:
    create_bare_repository(tmp_path / "git", "team/repo")
    return tmp_path / "git"


async def test_pushes_are_counted_for_each_repository(root: Path, tmp_path: Path) -> None:
    async with GitServer(root) as server, aiohttp.ClientSession() as session:

        async def pushes() -> dict[str, int]:
            answer = await session.get(server.url + STATISTICS_PATH, raise_for_status=True)
            counted: dict[str, int] = (await answer.json())["pushes"]
            return counted

        assert await pushes() == {}
        clone = await clone_with_commit(f"{server.url}/team/repo", tmp_path)
        await git("push", "-q", "origin", "HEAD:main", cwd=clone)
        await git("push", "-q", "origin", "HEAD:one", "HEAD:two", cwd=clone)
        await git("fetch", "-q", cwd=clone)
        assert await pushes() == {"team/repo.git": 2}


class Hook:
    """Takes notices as the watcher does, and keeps them."""

    def __init__(self) -> None:
        self.pushes: list[Push] = []

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        authenticate(request.headers, body, ["a-secret-of-the-stack"])
        push = read_push(request.headers, body)
        assert push is not None
        self.pushes.append(push)
        return web.Response()


async def test_pushes_of_people_are_told_ref_by_ref(root: Path, tmp_path: Path) -> None:
    hook, app = Hook(), web.Application()
    app.router.add_post("/webhooks", hook.take)
    async with (
        TestServer(app) as watcher,
        PushNotices(str(watcher.make_url("/webhooks")), "a-secret-of-the-stack") as notices,
        EmbeddedGitServer(root, notices=notices) as server,
    ):
        clone = await clone_with_commit(f"{server.url}/team/repo", tmp_path)
        await git("push", "-q", "origin", "HEAD:main", "HEAD:drafts/a/v1", cwd=clone)
        await git("tag", "a/v1", cwd=clone)
        # The second request of a large push comes in parts, after a first attempt without content.
        await git("-c", "http.postBuffer=1", "push", "-q", "origin", "a/v1", cwd=clone)
        await git("fetch", "-q", cwd=clone)
        await git("-c", f"http.userAgent={USER_AGENT}", "push", "-q", "origin", "HEAD:own", cwd=clone)
        wanted = ["refs/heads/main", "refs/heads/drafts/a/v1", "refs/tags/a/v1"]
        await eventually(lambda: len(hook.pushes) >= len(wanted), what="the pushes are told")
        assert sorted(push.ref for push in hook.pushes) == sorted(wanted), "porchflow's own push is not"
        assert {f"{server.url}/team/repo.git", f"http://localhost:{server.port}/team/repo.git"} <= set(
            hook.pushes[0].addresses
        )


async def test_a_push_is_taken_though_nobody_hears_of_it(root: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unheard:
        port = unheard.getsockname()[1]
    async with (
        PushNotices(f"http://127.0.0.1:{port}/webhooks", "a-secret-of-the-stack") as notices,
        EmbeddedGitServer(root, notices=notices) as server,
    ):
        clone = await clone_with_commit(f"{server.url}/team/repo", tmp_path)
        await git("push", "-q", "origin", "HEAD:main", cwd=clone)
        assert "refs/heads/main" in (await git("ls-remote", "origin", cwd=clone)).stdout


@given(st.binary(max_size=300))
def test_the_beginning_of_any_request_is_read(head: bytes) -> None:
    assert all(ref.startswith("refs/") for ref in pushed_refs(head))


@given(st.lists(st.from_regex(r"refs/heads/[a-z/0-9]{1,20}", fullmatch=True), unique=True), st.integers(0, 400))
def test_the_refs_of_a_push_are_those_of_its_whole_lines(refs: list[str], cut: int) -> None:
    lines = [
        f"{'0' * 40} {'1' * 40} {ref}" + ("\0 report-status agent=git/2" if not n else "") for n, ref in enumerate(refs)
    ]
    head = b"".join(pkt_line(line.encode()) for line in lines) + b"0000PACK"
    assert pushed_refs(head) == refs
    assert pushed_refs(head[:cut]) == refs[: len(pushed_refs(head[:cut]))]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can be told to")
async def test_what_follows_on_a_connection_is_acknowledged_at_once(root: Path) -> None:
    """Some clients send the second half of a push only then; the kernel would wait for 40 ms."""
    async with GitServer(root) as server, aiohttp.ClientSession() as session:
        url = f"{server.url}/team/repo/info/refs?service=git-receive-pack"
        for _ in range(3):
            async with session.get(url, raise_for_status=True) as answer:
                await answer.read()
        assert server._runner is not None
        assert server._runner.server is not None
        [connection] = server._runner.server.connections
        assert connection.transport is not None
        kept = connection.transport.get_extra_info("socket")
        assert kept.getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK) == 1


@pytest.mark.parametrize("suffix", ["", ".git"])
async def test_clone_and_push_with_git_itself(root: Path, tmp_path: Path, suffix: str) -> None:
    async with GitServer(root) as server:
        clone = await clone_with_commit(f"{server.url}/team/repo{suffix}", tmp_path)
        await git("push", "-q", "origin", "HEAD:main", cwd=clone)
        heads = await git("ls-remote", "--symref", "origin", cwd=clone)
        assert "refs/heads/main\tHEAD" in heads.stdout
        commit = (await git("rev-parse", "HEAD", cwd=clone)).stdout.strip()
        await git("commit", "-q", "--amend", "-m", "two", cwd=clone)
        await git("push", "-q", "-f", "origin", "HEAD:main", cwd=clone)
        await git("init", "-q", "other", cwd=tmp_path)
        await git("fetch", "-q", f"{server.url}/team/repo", commit, cwd=tmp_path / "other")


async def test_large_bodies_stream_both_ways(root: Path, tmp_path: Path) -> None:
    data = os.urandom(8_000_000)
    async with GitServer(root) as server:
        clone = await clone_with_commit(server.repository_url("team/repo"), tmp_path, data)
        await git("-c", "http.postBuffer=65536", "push", "-q", "origin", "HEAD:main", cwd=clone)
        await git("clone", "-q", server.repository_url("team/repo"), "again", cwd=tmp_path)
    assert (tmp_path / "again" / "file").read_bytes() == data


async def test_a_compressed_request_reaches_git(root: Path) -> None:
    async with GitServer(root) as server, aiohttp.ClientSession() as session:
        body = gzip.compress(b"0014command=ls-refs\n0000")
        headers = {
            "Content-Type": "application/x-git-upload-pack-request",
            "Content-Encoding": "gzip",
            "Git-Protocol": "version=2",
        }
        url = f"{server.url}/team/repo/git-upload-pack"
        async with session.post(url, data=body, headers=headers) as answer:
            assert (answer.status, await answer.read()) == (200, b"0000")


@pytest.mark.parametrize("version", [0, 1, 2])
async def test_every_version_of_the_protocol(root: Path, tmp_path: Path, version: int) -> None:
    protocol = ("-c", f"protocol.version={version}")
    async with GitServer(root) as server:
        clone = await clone_with_commit(server.repository_url("team/repo"), tmp_path)
        await git(*protocol, "push", "-q", "origin", "HEAD:main", "HEAD:refs/tags/one", cwd=clone)
        await git("commit", "-q", "--allow-empty", "-m", "two", cwd=clone)
        await git(*protocol, "push", "-q", "origin", "HEAD:main", cwd=clone)
        await git(*protocol, "clone", "-q", "--depth=1", server.repository_url("team/repo"), "shallow", cwd=tmp_path)
        shallow = tmp_path / "shallow"
        assert (await git("log", "--format=%s", cwd=shallow)).stdout == "two\n"
        await git(*protocol, "fetch", "-q", "--unshallow", "--tags", cwd=shallow)
        assert (await git("log", "--format=%s", cwd=shallow)).stdout == "two\none\n"
        assert (await git("log", "--format=%s", "one", cwd=shallow)).stdout == "one\n"


@pytest.mark.parametrize(
    ("method", "path", "content_type", "status"),
    [
        ("GET", "info/refs", "", 403),
        ("GET", "info/refs?service=git-upload-archive", "", 403),
        ("POST", "info/refs?service=git-upload-pack", "", 405),
        ("GET", "git-upload-pack", "", 405),
        ("POST", "git-upload-pack", "text/plain", 415),
        ("POST", "git-receive-pack", "application/x-git-upload-pack-request", 415),
    ],
)
async def test_what_is_not_the_smart_protocol_is_refused(
    root: Path, method: str, path: str, content_type: str, status: int
) -> None:
    async with GitServer(root) as server, aiohttp.ClientSession() as session:
        headers = {"Content-Type": content_type} if content_type else {}
        async with session.request(method, f"{server.url}/team/repo/{path}", headers=headers) as answer:
            assert answer.status == status


async def test_a_repository_that_git_cannot_read_is_an_error(root: Path) -> None:
    (root / "team/repo.git/config").write_text("[core\n")
    async with GitServer(root) as server, aiohttp.ClientSession() as session:
        answer = await session.get(f"{server.url}/team/repo/info/refs?service=git-upload-pack")
        assert answer.status == 500
        assert "config" in await answer.text()


async def test_nothing_is_done_for_a_push_that_does_not_arrive_whole(root: Path, tmp_path: Path) -> None:
    async with GitServer(root) as server:
        clone = await clone_with_commit(server.repository_url("team/repo"), tmp_path)
        await git("push", "-q", "origin", "HEAD:main", "HEAD:gone", cwd=clone)
        commit = (await git("rev-parse", "HEAD", cwd=clone)).stdout.strip()
        order = f"{commit} {'0' * 40} refs/heads/gone\0report-status"
        # A deletion, whole to its last byte; only the end of the compressed body is missing.
        body = gzip.compress(f"{len(order) + 4:04x}{order}0000".encode())[:-4]
        head = (
            "POST /team/repo/git-receive-pack HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\n"
            f"Content-Type: application/x-git-receive-pack-request\r\nContent-Length: {len(body) + 4}\r\n\r\n"
        )
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()
        await writer.wait_closed()
    assert "refs/heads/gone" in (await git("for-each-ref", cwd=root / "team/repo.git")).stdout
    assert "git" not in await asyncio.to_thread(children)


async def test_tags_and_objects_get_packed_and_nothing_is_lost(root: Path, tmp_path: Path) -> None:
    bare = root / "team/repo.git"
    async with GitServer(root) as server:
        clone = await clone_with_commit(server.repository_url("team/repo"), tmp_path)
        await git("push", "-q", "origin", "HEAD:main", "HEAD:refs/tags/t/v0", cwd=clone)
        await git("commit", "-q", "--allow-empty", "-m", "of a draft", cwd=clone)
        draft = (await git("rev-parse", "HEAD", cwd=clone)).stdout.strip()
        await git("push", "-q", "origin", "HEAD:drafts/a/v1", cwd=clone)
        await git("push", "-q", "origin", ":drafts/a/v1", cwd=clone)
        for number in range(3, PUSHES):
            await git("push", "-q", "origin", f"HEAD~:refs/tags/t/v{number}", cwd=clone)
    assert not [file for file in (bare / "refs/tags").rglob("*") if file.is_file()]
    assert "count: 0\n" in (await git("count-objects", "-v", cwd=bare)).stdout
    async with GitServer(root) as server:
        await git("init", "-q", "other", cwd=tmp_path)
        await git("fetch", "-q", server.repository_url("team/repo"), draft, cwd=tmp_path / "other")
        heads = (await git("ls-remote", server.repository_url("team/repo"), cwd=tmp_path)).stdout
    assert heads.count("refs/tags/t/v") == PUSHES - 2
    assert "refs/heads/main" in heads


async def test_hooks_run_and_their_words_arrive(root: Path, tmp_path: Path) -> None:
    hook = root / "team/repo.git/hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho not today >&2\nexit 1\n")
    hook.chmod(0o755)
    async with GitServer(root) as server:
        clone = await clone_with_commit(server.repository_url("team/repo"), tmp_path)
        done = await git("push", "origin", "HEAD:main", cwd=clone, check=False)
    assert done.returncode != 0
    assert "not today" in done.stderr


async def test_basic_authentication(root: Path, tmp_path: Path) -> None:
    async with FaultyGitServer(root, username="me", password="p:w") as server, aiohttp.ClientSession() as session:
        url = f"{server.url}/team/repo/info/refs?service=git-upload-pack"
        async with session.get(url) as answer:
            assert answer.status == 401
            assert answer.headers["WWW-Authenticate"].startswith("Basic")
        async with session.get(url, headers=basic("me:wrong")) as answer:
            assert answer.status == 401
        async with session.get(url, headers=basic("me:p:w")) as answer:
            assert answer.status == 200


@pytest.mark.parametrize(
    "path",
    [
        "team/none/info/refs",
        "../git/team/repo/info/refs",
        "%2e%2e/git/team/repo/info/refs",
        "info/refs",
        "team/repo/HEAD",
        "",
        "team/info/refs",
    ],
)
async def test_what_is_no_repository_is_not_found(root: Path, path: str) -> None:
    async with GitServer(root) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(f"GET /{path}?service=git-upload-pack HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        status = await reader.readline()
        writer.close()
    assert b" 404 " in status


async def test_faults(root: Path) -> None:
    faults = Faults()
    async with FaultyGitServer(root, faults=faults) as server, aiohttp.ClientSession() as session:
        url = f"{server.url}/team/repo/info/refs?service=git-upload-pack"

        async def status() -> int:
            async with session.get(url) as answer:
                return answer.status

        faults.fail_next(2, 503)
        assert [await status() for _ in range(3)] == [503, 503, 200]
        faults.refuse_auth = True
        assert await status() == 401
        faults.refuse_auth = False
        faults.hang()
        waiting = asyncio.create_task(status())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(waiting), 0.2)
        faults.release()
        assert await waiting == 200
        assert faults.requests == 5


async def test_a_server_far_away_takes_its_time(root: Path) -> None:
    """No answer comes sooner: how much later one does is the machine's affair."""
    loop = asyncio.get_running_loop()
    async with EmbeddedGitServer(root, latency=200) as server, aiohttp.ClientSession() as session:
        before = loop.time()
        async with session.get(f"{server.url}/team/repo/info/refs?service=git-upload-pack") as answer:
            assert (answer.status, loop.time() - before >= 0.2) == (200, True)


async def test_a_port_in_use_is_said(root: Path) -> None:
    async with GitServer(root) as server:
        with pytest.raises(OSError, match="in use"):
            await GitServer(root, port=server.port).start()


async def test_a_client_that_goes_leaves_no_process(root: Path) -> None:
    async with GitServer(root) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        head = "POST /team/repo/git-upload-pack HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n"
        writer.write(f"{head}Content-Type: application/x-git-upload-pack-request\r\n\r\n0014".encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()
    assert "git" not in await asyncio.to_thread(children)


async def test_a_client_that_goes_in_the_middle_of_an_answer_leaves_no_process(root: Path, tmp_path: Path) -> None:
    """git waits then for somebody who reads the rest, with an answer that is longer than all that is buffered."""
    async with GitServer(root) as server:
        clone = await clone_with_commit(server.repository_url("team/repo"), tmp_path, os.urandom(32_000_000))
        await git("push", "-q", "origin", "HEAD:main", cwd=clone)
        commit = (await git("rev-parse", "HEAD", cwd=clone)).stdout.strip()
        request = f"0032want {commit}\n00000009done\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        head = f"POST /team/repo/git-upload-pack HTTP/1.1\r\nHost: x\r\nContent-Length: {len(request)}\r\n"
        writer.write(f"{head}Content-Type: application/x-git-upload-pack-request\r\n\r\n{request}".encode())
        await reader.readuntil(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()
        await eventually(_no_git_runs, what="git ends")


async def _no_git_runs() -> bool:
    return "git" not in await asyncio.to_thread(children)


def test_making_a_repository_again_keeps_it(root: Path) -> None:
    path = create_bare_repository(root, "team/repo.git")
    (path / "marker").touch()
    assert create_bare_repository(root, "team/repo") == path
    assert (path / "marker").exists()


async def test_the_process_serves_until_it_is_stopped(root: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "porchflow.devstack.git.gitserver", "--root", str(root), stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    line = (await asyncio.wait_for(process.stderr.readline(), 30)).decode()
    url = line.rsplit(" at ", 1)[1].strip()
    try:
        heads = await git("ls-remote", f"{url}/team/repo", cwd=root)
        assert heads.returncode == 0
    finally:
        process.terminate()
        await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0
