"""One repository, its address spelled in several ways: one cache, one queue of pushes; the wire as it was written."""

import asyncio
import gc
import weakref
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from porchflow.gitrepo.errors import GitAuthError, GitNotFound
from porchflow.gitrepo.git_store import GitStore
from porchflow.gitrepo.push.connections import Connections
from porchflow.gitrepo.remote.call import Timeouts
from porchflow.gitrepo.remote.remote import Remote, SshKey
from porchflow.gitrepo.store.folders import CacheFolder
from porchflow.gitrepo.store.transition import Step
from tests.gitrepo.conftest import Served, files, init, location, proposed


def spelled(remote: Remote) -> list[Remote]:
    """Return the remote in three ways."""
    plain = remote.url.removesuffix(".git")
    return [replace(remote, url=url) for url in (f"{plain}.git", plain, plain.replace("http://", "HTTP://") + "/")]


async def test_spellings_share_a_cache(ready: Served, store: GitStore) -> None:
    first, *others = spelled(ready.remote)
    draft = await init(store, first, location())
    for other in others:
        assert await store.read_package(other, draft.commit, "app") == files()
    assert store.stats.fetches == 0, "what was made for one spelling is there for all"
    assert len(list(store.cache_path.glob("*.git"))) == 1
    await store.forget(others[0].url)
    assert not list(store.cache_path.glob("*.git"))


async def test_each_spelling_goes_over_the_wire_as_it_was_written(ready: Served, store: GitStore) -> None:
    asked: set[str] = set()

    async def note(request: web.Request) -> None:
        asked.add(request.path.removesuffix("/info/refs").removesuffix("/git-receive-pack"))

    ready.faults.on_request = note
    remotes = spelled(ready.remote)[:2]
    places = [location(f"app-{number}") for number in range(8)]
    await asyncio.gather(*(init(store, remotes[number % 2], place) for number, place in enumerate(places)))
    name = f"/{ready.path.name.removesuffix('.git')}"
    assert asked == {name, f"{name}.git"}
    assert all(place.draft_ref in ready.refs() for place in places)


async def test_merges_of_two_spellings_do_not_race(ready: Served, store: GitStore) -> None:
    """Each merge builds on the one before it: built side by side, the second would be refused and built again."""
    places = [location(f"app-{number}") for number in range(6)]
    for place in places:
        await proposed(store, ready.remote, place)
    await asyncio.gather(
        *(
            store.transition(spelled(ready.remote)[number % 2], "main", place, lambda *_: Step.PUBLISH)
            for number, place in enumerate(places)
        )
    )
    assert all(place.tag_ref(1) in ready.refs() for place in places)
    assert store.stats.retries == 0


async def test_a_spelling_that_the_server_does_not_know_hurts_no_other(ready: Served, store: GitStore) -> None:
    right = ready.remote
    wrong = replace(right, url=f"{right.url}/.git")
    assert wrong.place == right.place
    results = await asyncio.gather(
        *(init(store, remote, location(f"app-{number}")) for number, remote in enumerate([wrong, right, wrong, right])),
        return_exceptions=True,
    )
    assert [isinstance(result, GitNotFound) for result in results] == [True, False, True, False]


async def test_refused_credentials_wait_for_all_spellings(ready: Served, store: GitStore) -> None:
    ready.faults.refuse_auth = True
    first, second, _ = spelled(ready.remote)
    for remote in (first, second):
        with pytest.raises(GitAuthError, match="refused the credentials"):
            await store.list_refs(remote)
    ready.faults.requests = 0
    with pytest.raises(GitAuthError, match="not asked again"):
        await store.list_refs(first)
    assert ready.faults.requests == 0


def test_who_logs_in_over_ssh_is_part_of_the_account_alone() -> None:
    key = SshKey("key", "hosts")
    alice, bob = (Remote(f"ssh://{user}@h/srv/x", key) for user in ("alice", "bob"))
    assert alice.place == bob.place
    assert alice.account != bob.account


def test_a_token_in_the_query_is_part_of_the_account() -> None:
    one, other = (Remote(f"https://h/x?token={word}") for word in "ab")
    assert one.place == other.place
    assert one.account != other.account


def test_what_is_written_down_holds_no_query() -> None:
    remote = Remote("https://me:word@h/x.git?token=word")
    assert (remote.written, remote.display) == ("https://h/x.git", "https://h/x.git")


def test_caches_of_earlier_versions_are_removed(tmp_path: Path) -> None:
    folder = CacheFolder(tmp_path)
    kept, outdated = folder.repository("https://h:443/x"), folder.path / f"{'0' * 24}.git"
    for path in (kept, outdated, folder.path / "home"):
        path.mkdir(parents=True)
    folder.close()
    again = CacheFolder(tmp_path)
    assert sorted(path.name for path in again.path.iterdir()) == sorted([kept.name, "home"])
    again.close()


async def test_credentials_that_change_leave_nothing_behind(
    ready: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Credentials that are renewed, and other spellings, are another connection each time."""
    monkeypatch.setattr("porchflow.gitrepo.push.connections._MOST_CONNECTIONS", 3)
    now = [0.0]
    connections = Connections(
        tmp_path / "cache", threads=1, network_threads=1, group_limit=1, timeouts=Timeouts(), clock=lambda: now[0]
    )
    made = []
    for number in range(6):
        remote = replace(ready.remote, url=f"{ready.remote.url}?renewed={number}")
        connection = connections.to(remote)
        made.append(weakref.ref(connection))
        await connection.refs()
        now[0] += 3600
        del connection
    gc.collect()
    assert [each() is not None for each in made] == [False, False, False, True, True, True]
    await connections.aclose()
