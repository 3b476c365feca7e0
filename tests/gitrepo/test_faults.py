import asyncio
import shutil
from pathlib import Path

import pytest
from aiohttp import web

from porchflow.api.models.packagerevision import Lifecycle
from porchflow.devstack.git.gitserver import GitServer, create_bare_repository
from porchflow.gitrepo.errors import GitAuthError, GitError, GitNotFound, GitUnavailable
from porchflow.gitrepo.git_store import GitStore
from porchflow.gitrepo.push.connection import PROOF_SECONDS
from porchflow.gitrepo.refs import InvalidName
from porchflow.gitrepo.remote.remote import BasicAuth, BearerToken, Remote
from tests.gitrepo.conftest import (
    PASSWORD,
    USER,
    Served,
    files,
    given_up,
    init,
    little_patience,
    location,
    proposed,
)
from tests.gitrepo.steps import propose, publish
from tests.servers.waiting import eventually


@pytest.mark.parametrize(
    "credentials", [None, BasicAuth(USER, "wrong-password"), BearerToken("wrong-password"), BasicAuth("", "")]
)
async def test_refused_credentials_are_said_at_once(
    ready: Served, store: GitStore, credentials: BasicAuth | BearerToken | None
) -> None:
    remote = Remote(ready.remote.url, credentials)
    ready.faults.requests = 0
    for call in (init(store, remote, location()), store.state(remote, "main", location()), store.list_refs(remote)):
        with pytest.raises(GitAuthError) as caught:
            await call
        assert "wrong-password" not in str(caught.value)
        assert remote.display in str(caught.value)
    assert ready.faults.requests <= 3


async def test_credentials_in_the_url_work_and_stay_secret(ready: Served, store: GitStore) -> None:
    url = ready.remote.url.replace("://", f"://{USER}:{PASSWORD}@")
    await init(store, Remote(url), location())
    with pytest.raises(GitNotFound) as caught:
        await store.list_refs(Remote(url.replace("repo", "none")))
    assert PASSWORD not in str(caught.value)


async def test_revoked_credentials_are_noticed(ready: Served, store: GitStore) -> None:
    await init(store, ready.remote, location())
    ready.faults.refuse_auth = True
    with pytest.raises(GitAuthError):
        await propose(store, ready.remote, location())
    ready.faults.refuse_auth = False
    assert (await propose(store, ready.remote, location())).lifecycle is Lifecycle.PROPOSED


async def test_what_others_fetched_is_not_read_without_credentials(ready: Served, store: GitStore) -> None:
    draft = await init(store, ready.remote, location())
    assert await store.read_package(ready.remote, draft.commit, "app") == files()
    with pytest.raises(GitAuthError):
        await store.read_package(Remote(ready.remote.url), draft.commit, "app")


async def test_a_hanging_server_is_unavailable_after_the_timeout(ready: Served, store: GitStore) -> None:
    ready.faults.hang()
    with little_patience(store):
        results = await asyncio.wait_for(
            asyncio.gather(
                store.list_refs(ready.remote),
                store.list_refs(ready.remote),
                init(store, ready.remote, location()),
                return_exceptions=True,
            ),
            timeout=30,
        )
    assert [type(result) for result in results] == [GitUnavailable] * 3
    ready.faults.release()
    await init(store, ready.remote, location())


async def test_a_hanging_server_does_not_block_another(ready: Served, store: GitStore, tmp_path: Path) -> None:
    create_bare_repository(tmp_path / "second", "repo", durable=False)
    async with GitServer(tmp_path / "second") as server:
        other = Remote(server.repository_url("repo"))
        ready.faults.hang()
        stuck = asyncio.create_task(store.list_refs(ready.remote))
        assert await store.list_refs(other) == {}
        assert not stuck.done()
        ready.faults.release()
        await stuck


@pytest.mark.parametrize("status", [500, 502, 503, 429])
async def test_server_errors_are_unavailable(ready: Served, store: GitStore, status: int) -> None:
    ready.faults.fail_next(1, status)
    with pytest.raises(GitUnavailable, match=str(status)):
        await store.list_refs(ready.remote)
    ready.faults.fail_next(1, status)
    with pytest.raises(GitUnavailable, match=str(status)):
        await init(store, ready.remote, location())
    await init(store, ready.remote, location())


async def test_an_error_between_listing_and_push_is_unavailable(ready: Served, store: GitStore) -> None:
    async def on_request(request: object) -> None:
        if getattr(request, "path", "").endswith("/git-receive-pack"):
            ready.faults.on_request = None
            ready.faults.fail_next(1)
            await ready.faults.apply(request)  # type: ignore[arg-type]  # it is the server's own request

    ready.faults.on_request = on_request
    with pytest.raises(GitUnavailable):
        await init(store, ready.remote, location())
    assert not (await init(store, ready.remote, location())).existing


async def test_absent_repositories_and_servers(ready: Served, store: GitStore) -> None:
    with pytest.raises(GitNotFound, match="404"):
        await store.list_refs(Remote(ready.server.repository_url("none"), ready.remote.credentials))
    with pytest.raises(GitUnavailable, match="refused"):
        await store.list_refs(Remote("http://127.0.0.1:1/x"))
    with pytest.raises(GitUnavailable, match="resolve"):
        await store.list_refs(Remote("http://none.invalid/x"))


async def test_revoked_credentials_read_from_the_cache_for_minutes_only(ready: Served, tmp_path: Path) -> None:
    now = 0.0
    async with GitStore(tmp_path / "clocked", clock=lambda: now) as store:
        draft = await init(store, ready.remote, location())
        ready.faults.refuse_auth = True
        now = PROOF_SECONDS - 1
        assert await store.read_package(ready.remote, draft.commit, "app") == files()
        now = PROOF_SECONDS
        with pytest.raises(GitAuthError):
            await store.read_package(ready.remote, draft.commit, "app")
        ready.faults.refuse_auth = False
        assert await store.read_package(ready.remote, draft.commit, "app") == files()
        ready.faults.refuse_auth = True
        with pytest.raises(GitAuthError):
            await store.list_refs(ready.remote)
        now += 1
        with pytest.raises(GitAuthError):
            await store.read_package(ready.remote, draft.commit, "app")


async def _redirecting(target: str) -> tuple[web.AppRunner, list[str]]:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=302, headers={"Location": target})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, asked


async def test_a_redirect_to_another_host_gets_no_credentials(ready: Served, store: GitStore) -> None:
    elsewhere = ready.remote.url.replace("127.0.0.1", "localhost")
    runner, asked = await _redirecting(f"{elsewhere}/info/refs?service=git-upload-pack")
    ready.faults.requests = 0
    with pytest.raises(GitNotFound, match="redirects to"):
        await store.list_refs(Remote(f"http://127.0.0.1:{runner.addresses[0][1]}/x", ready.remote.credentials))
    assert asked == ["/x/info/refs"]
    assert ready.faults.requests == 0
    await runner.cleanup()


@pytest.mark.parametrize("service", ["git-upload-pack", "git-receive-pack"])
async def test_a_redirect_to_another_port_gets_no_credentials(ready: Served, store: GitStore, service: str) -> None:
    """The same host, and a server that is not the one that the credentials are for."""
    runner, asked = await _redirecting(f"{ready.remote.url}/info/refs?service={service}")
    ready.faults.requests = 0
    remote = Remote(f"http://127.0.0.1:{runner.addresses[0][1]}/x", ready.remote.credentials)
    with pytest.raises(GitNotFound, match="has moved") as raised:
        await (store.list_refs(remote) if service == "git-upload-pack" else init(store, remote, location()))
    assert f"redirects to {ready.remote.url}," in str(raised.value)
    assert "spec.git.repo" in str(raised.value)
    assert PASSWORD not in str(raised.value)
    assert set(asked) == {"/x/info/refs"}
    assert ready.faults.requests == 0, "not asked without the header either"
    await runner.cleanup()


@pytest.mark.parametrize("absolute", [True, False])
async def test_a_redirect_within_an_origin_is_followed(ready: Served, store: GitStore, absolute: bool) -> None:
    name = ready.path.name

    async def moved(request: web.Request) -> None:
        if request.path.startswith("/old/"):
            where = str(request.rel_url).replace("/old/", f"/{name}/", 1)
            raise web.HTTPMovedPermanently(f"{ready.server.url if absolute else ''}{where}")

    ready.faults.on_request = moved
    remote = Remote(f"{ready.server.url}/old", ready.remote.credentials)
    assert "refs/heads/main" in await store.list_refs(remote)
    draft = await init(store, remote, location())
    assert ready.refs()[location().draft_ref] == draft.commit
    assert await store.read_package(remote, ready.commit(location().draft_ref), "app") == files()


async def test_redirects_end(ready: Served, store: GitStore) -> None:
    async def moved(request: web.Request) -> None:
        raise web.HTTPFound(f"/x{request.rel_url}")

    ready.faults.on_request = moved
    with pytest.raises(GitNotFound, match="without an end"):
        await store.list_refs(ready.remote)


async def test_a_commit_of_another_worker_is_fetched(ready: Served, store: GitStore, tmp_path: Path) -> None:
    async with GitStore(tmp_path / "other") as other:
        draft = await init(other, ready.remote, location())
        newer = ready.commit(location().draft_ref)
        assert await store.read_package(ready.remote, draft.commit, "app") == files()
        assert await store.read_package(ready.remote, newer, "app") == files()
        with pytest.raises(GitNotFound, match="no directory 'none'"):
            await store.read_package(ready.remote, newer, "none")


@pytest.mark.parametrize("allowed", ["true", "false"])
async def test_a_commit_whose_branch_moved_on_is_read(
    ready: Served, store: GitStore, tmp_path: Path, allowed: str
) -> None:
    ready.git("config", "uploadpack.allowAnySHA1InWant", allowed)
    async with GitStore(tmp_path / "other") as other:
        draft = await init(other, ready.remote, location())
        ready.commit(location().draft_ref)
        assert await store.read_package(ready.remote, draft.commit, "app") == files()
        for unknown in ("0" * 40, "not-an-id", draft.commit[:10]):
            with pytest.raises(GitNotFound):
                await store.read_package(ready.remote, unknown, "app")


async def test_nothing_is_fetched_twice_and_listings_are_shared(ready: Served, store: GitStore, tmp_path: Path) -> None:
    async with GitStore(tmp_path / "other") as other:
        places = [location(f"p{n}") for n in range(10)]
        for place in places:
            await init(other, ready.remote, place)
            await publish(other, ready.remote, place)
    listings = store.stats.listings
    states = await asyncio.gather(*(store.state(ready.remote, "main", place) for place in places))
    assert {state.lifecycle for state in states} == {Lifecycle.PUBLISHED}
    assert store.stats.fetches == 1
    assert store.stats.listings == listings + 1
    await asyncio.gather(*(store.state(ready.remote, "main", place) for place in places))
    assert store.stats.fetches == 1


async def test_what_was_pushed_need_not_be_fetched(ready: Served, store: GitStore) -> None:
    await proposed(store, ready.remote, location())
    state = await publish(store, ready.remote, location())
    await store.state(ready.remote, "main", location())
    assert await store.read_package(ready.remote, state.commit, "app") == files()
    assert store.stats.fetches == 0


async def test_a_deleted_cache_recovers(ready: Served, store: GitStore) -> None:
    draft = await init(store, ready.remote, location())
    folder = store.cache_path
    for call in (
        lambda: store.read_package(ready.remote, draft.commit, "app"),
        lambda: store.state(ready.remote, "main", location()),
        lambda: init(store, ready.remote, location("second")),
        lambda: propose(store, ready.remote, location()),
        lambda: publish(store, ready.remote, location()),
    ):
        shutil.rmtree(folder)
        await call()
    assert "refs/tags/app/v1" in ready.refs()


@pytest.mark.parametrize("damage", ["objects", "truncated", "head", "config"])
async def test_a_damaged_cache_is_made_again(ready: Served, tmp_path: Path, damage: str) -> None:
    async with GitStore(tmp_path / "before") as store:
        draft = await init(store, ready.remote, location())
        (cache,) = store.cache_path.glob("*.git")
    match damage:
        case "objects":
            shutil.rmtree(cache / "objects")
        case "truncated":
            for file in (cache / "objects").glob("??/*"):
                file.chmod(0o644)
                file.write_bytes(b"")
        case "head":
            (cache / "HEAD").write_bytes(b"\0\0")
        case "config":
            (cache / "config").write_text("[core\n")
    async with GitStore(tmp_path / "before") as store:
        assert await store.read_package(ready.remote, draft.commit, "app") == files()
        state = await publish(store, ready.remote, location())
        assert state.revision == 1


async def test_stale_local_refs_are_not_in_the_way(ready: Served, store: GitStore, tmp_path: Path) -> None:
    """A branch `a` that went leaves room for `a/b`, here as at the server."""
    await init(store, ready.remote, location("app", "sub"))
    async with GitStore(tmp_path / "other") as other:
        await other.delete(ready.remote, "main", location("app", "sub"))
        draft = await init(other, ready.remote, location("app/sub", "v1"))
    assert await store.read_package(ready.remote, draft.commit, "app/sub") == files()


async def test_an_unusable_ca_bundle_is_said(ready: Served, store: GitStore) -> None:
    remote = Remote(ready.remote.url, ready.remote.credentials, ca_bundle="no certificate")
    with pytest.raises(GitError, match="CA bundle"):
        await store.list_refs(remote)


async def test_closing_drops_what_waits(ready: Served, tmp_path: Path) -> None:
    store = GitStore(tmp_path / "other", server_timeout=2)
    ready.faults.hang()
    before = ready.faults.requests
    tasks = [asyncio.create_task(init(store, ready.remote, location(f"p{n}"))) for n in range(3)]
    await eventually(lambda: ready.faults.requests > before)
    await asyncio.wait_for(store.aclose(), timeout=60)
    assert all(isinstance(r, BaseException) for r in await asyncio.gather(*tasks, return_exceptions=True))


async def test_bad_paths_reach_nobody(ready: Served, store: GitStore) -> None:
    draft = await init(store, ready.remote, location())
    with pytest.raises((InvalidName, GitNotFound)):
        await store.read_package(ready.remote, draft.commit, "../etc")


async def test_a_push_whose_answer_was_lost_is_recognized(ready: Served, store: GitStore) -> None:
    landed, gate = ready.path / "landed", ready.path / "gate"
    ready.hook("post-receive", f"touch {landed}; until [ -e {gate} ]; do sleep 0.02; done")
    await given_up(store, lambda: init(store, ready.remote, location()), landed)
    draft = await init(store, ready.remote, location())
    assert draft.existing
    landed.unlink()
    await given_up(store, lambda: publish(store, ready.remote, location()), landed)
    gate.touch()
    state = await publish(store, ready.remote, location(), commit_hint=draft.commit)
    assert (state.revision, state.changed) == (1, False)


async def test_a_bloated_cache_is_made_again(
    ready: Served, store: GitStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("porchflow.gitrepo.store.cache._UPKEEP_INTERVAL", 2)
    monkeypatch.setattr("porchflow.gitrepo.store.cache._MOST_PACKS", 3)
    async with GitStore(tmp_path / "other") as other:
        for number in range(8):
            draft = await init(other, ready.remote, location(f"p{number}"))
            assert await store.read_package(ready.remote, draft.commit, f"p{number}") == files()
            (cache,) = store.cache_path.glob("*.git")
            assert len(list(cache.glob("objects/pack/*.pack"))) <= 4
