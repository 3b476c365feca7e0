"""Real Git servers of several kinds, each from an empty repository to a published package."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import ClientSession, web

from porchflow.devstack.git.gitserver import create_bare_repository
from porchflow.gitrepo.errors import GitHookDeclined, GitUnavailable, GitUnsupported
from porchflow.gitrepo.git_store import GitStore
from porchflow.gitrepo.remote.remote import BasicAuth, Remote
from porchflow.gitrepo.remote.transport import Transport
from tests.gitrepo.conftest import PASSWORD, USER, Served, files, init, location, proposed
from tests.gitrepo.steps import propose, publish
from tests.gitrepo.walks import list_many_tags, publish_from_nothing
from tests.servers.faulty import Faults
from tests.servers.git import GitRepository
from tests.servers.http_backend import HttpBackend


@dataclass
class Server:
    """A repository on a server of some kind."""

    repository: GitRepository
    backend: HttpBackend
    version_2: bool

    @property
    def remote(self) -> Remote:
        return Remote(self.repository.url)


@pytest.fixture(params=["version 2", "version 0", "without atomic"])
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Server]:
    path = await asyncio.to_thread(create_bare_repository, tmp_path / "git", "repo", durable=False)
    version_2 = request.param != "version 0"
    async with HttpBackend(tmp_path / "git", version_2=version_2) as backend:
        repository = GitRepository(path, backend.url("repo.git"))
        repository.git("config", "receive.advertiseAtomic", str(request.param != "without atomic").lower())
        yield Server(repository, backend, version_2)


async def test_a_package_from_an_empty_repository_to_published(server: Server, store: GitStore, tmp_path: Path) -> None:
    await publish_from_nothing(store, server.remote, server.repository, tmp_path / "other")
    assert any(b"command=fetch" in body for _, _, body in server.backend.requests) is server.version_2


async def test_what_is_pushed_is_whole(server: Server, store: GitStore) -> None:
    """Git's own check finds every object, and none that was there before comes again."""
    await store.ensure_branch(server.remote, "main", create_branch=True)
    for number in range(3):
        await init(store, server.remote, location(f"p{number}"))
        await propose(store, server.remote, location(f"p{number}"))
        await publish(store, server.remote, location(f"p{number}"))
    server.repository.git("fsck", "--full", "--strict")


async def test_thousands_of_refs(server: Server, store: GitStore) -> None:
    await list_many_tags(store, server.remote, server.repository)


async def test_a_head_on_a_missing_branch_and_other_refs_are_no_matter(server: Server, store: GitStore) -> None:
    await store.ensure_branch(server.remote, "main", create_branch=True)
    server.repository.git("symbolic-ref", "HEAD", "refs/heads/none")
    server.repository.git("update-ref", "refs/merge-requests/1/head", "refs/heads/main")
    server.repository.git("tag", "--annotate", "--message=x", "annotated", "refs/heads/main")
    assert set(await store.list_refs(server.remote)) == {"refs/heads/main", "refs/tags/annotated"}


async def test_a_shallow_repository_is_refused_for_good(server: Server, store: GitStore, tmp_path: Path) -> None:
    """What is merged into its branch needs history that it does not have."""
    await store.ensure_branch(server.remote, "main", create_branch=True)
    await init(store, server.remote, location())
    tip = server.repository.refs()[location().draft_ref]
    (server.repository.path / "shallow").write_text(f"{tip}\n")
    async with GitStore(tmp_path / "other") as other:
        with pytest.raises(GitUnsupported, match="it is a shallow repository"):
            await other.snapshot(server.remote, tip, "app")
        (server.repository.path / "shallow").unlink()
        assert (await other.snapshot(server.remote, tip, "app")).commit == tip


async def test_a_refusal_has_the_words_of_the_hook(server: Server, store: GitStore) -> None:
    await store.ensure_branch(server.remote, "main", create_branch=True)
    server.repository.hook(
        "update", "printf 'counting: 1%%\\rcounting: 9%%\\r' >&2; echo 'ask alice first' >&2; exit 1"
    )
    with pytest.raises(GitHookDeclined, match="the server says: ask alice first"):
        await init(store, server.remote, location())


async def test_a_listing_of_some_refs(server: Server, store: GitStore, tmp_path: Path) -> None:
    await store.ensure_branch(server.remote, "main", create_branch=True)
    await init(store, server.remote, location())
    transport = Transport(tmp_path / "connections")
    refs = await asyncio.to_thread(transport.list_refs, server.remote, ["refs/heads/drafts/app/"])
    assert set(refs) == ({location().draft_ref} if server.version_2 else {"refs/heads/main", location().draft_ref})


async def test_a_known_server_is_asked_once_for_a_listing(server: Server, tmp_path: Path) -> None:
    transport = Transport(tmp_path / "connections")
    for _ in range(3):
        await asyncio.to_thread(transport.list_refs, server.remote)
    methods = [method for method, _, _ in server.backend.requests]
    assert methods == (["GET", "POST", "POST", "POST"] if server.version_2 else ["GET"] * 3)


async def test_words_of_the_server_at_a_push(ready: Served, store: GitStore, faults: Faults) -> None:
    async def refuse(request: web.Request) -> None:
        if request.path.endswith("/git-receive-pack"):
            raise web.HTTPServiceUnavailable(text="back at noon\n")

    faults.on_request = refuse
    with pytest.raises(GitUnavailable, match=r"503 .*: back at noon"):
        await init(store, ready.remote, location())


async def test_the_output_of_hooks_is_kept_at_large_pushes(ready: Served, store: GitStore) -> None:
    """From 100 objects on git shows progress, unless it is asked not to."""
    ready.hook("update", "echo 'not on a Friday' >&2; exit 1")
    many = files(**{f"f{number}.txt": str(number) for number in range(300)})
    with pytest.raises(GitHookDeclined, match="the server says: not on a Friday"):
        await init(store, ready.remote, location(), many)


async def test_a_proxy_of_the_environment(ready: Served, store: GitStore, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def forward(request: web.Request) -> web.Response:
        asked.append(request.raw_path)
        headers = {name: value for name, value in request.headers.items() if name not in {"Host", "Connection"}}
        async with (
            ClientSession(auto_decompress=False) as session,
            session.request(request.method, request.raw_path, headers=headers, data=await request.read()) as answer,
        ):
            kind = {"Content-Type": answer.headers["Content-Type"]}
            return web.Response(status=answer.status, body=await answer.read(), headers=kind)

    runner = web.ServerRunner(web.Server(forward))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{runner.addresses[0][1]}")
    await init(store, Remote(ready.remote.url, BasicAuth(USER, PASSWORD), secret="one"), location())
    assert asked[0].startswith(f"{ready.remote.url}/info/refs")
    seen = len(asked)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    other = Remote(ready.remote.url, BasicAuth(USER, PASSWORD), secret="another")
    await store.list_refs(other)
    assert len(asked) == seen
    await runner.cleanup()


async def test_a_publish_waits_for_no_pack_of_what_is_there(server: Server, store: GitStore) -> None:
    """What a merge adds is small, however large the package is: its files came with the draft."""
    await store.ensure_branch(server.remote, "main", create_branch=True)
    await proposed(store, server.remote, location())
    before = server.repository.git("count-objects", "-v")
    await publish(store, server.remote, location())
    assert _objects(server.repository.git("count-objects", "-v")) - _objects(before) <= 1


def _objects(counted: str) -> int:
    numbers = dict(line.split(": ") for line in counted.splitlines())
    return int(numbers["count"]) + int(numbers["in-pack"])
