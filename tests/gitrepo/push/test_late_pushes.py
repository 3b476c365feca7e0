"""A push that its server holds up can land long after its worker gave up or died: it must find nothing to do then."""

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from porchflow.api.models.packagerevision import Lifecycle
from porchflow.gitrepo.git_store import GitStore
from tests.gitrepo.conftest import Served, given_up, init, location, proposed
from tests.gitrepo.steps import propose, propose_deletion, publish, reject
from tests.servers.waiting import eventually

MAIN = "refs/heads/main"
Land = Callable[[], Awaitable[None]]


@pytest.fixture(params=["as a whole", "one by one"])
def server(request: pytest.FixtureRequest, ready: Served) -> Served:
    """A server that takes pushes as a whole, and one that cannot."""
    if request.param == "one by one":
        ready.git("config", "receive.advertiseAtomic", "false")
    return ready


@pytest.fixture
async def late(tmp_path: Path) -> AsyncIterator[GitStore]:
    """Another worker."""
    async with GitStore(tmp_path / "late") as store:
        yield store


async def _given_up(served: Served, store: GitStore, pushing: Callable[[], Awaitable[object]]) -> Land:
    """Have a push arrive that its worker gives up; returns what lets it land, or fail, at the server."""
    here, gate = served.path / "here", served.path / "gate"
    held = f"until [ -e {gate} ]; do sleep 0.02; done"
    served.hook("pre-receive", f"[ ! -e {here} ] || exit 0; echo $PPID >{here}; {held}")
    await given_up(store, pushing, here)
    receiving = int(here.read_text())

    async def land() -> None:
        gate.touch()
        await eventually(lambda: not _runs(receiving))

    return land


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_late_publish_takes_neither_number_nor_proposal(
    server: Served, store: GitStore, late: GitStore
) -> None:
    """The branch went on: what the late one merged is no part of it."""
    place = location()
    commit = await proposed(store, server.remote, place)
    land = await _given_up(server, late, lambda: publish(late, server.remote, place))
    server.commit(MAIN, "somebody was faster")
    before = server.refs()
    await land()
    assert server.refs() == before
    state = await publish(store, server.remote, place, commit_hint=commit)
    assert server.subjects("main")[:2] == ["Approving package revision app/1", "somebody was faster"]
    assert server.refs() == {MAIN: state.commit, place.tag_ref(1): state.commit}


async def test_a_late_publish_brings_back_nothing_that_was_deleted(
    server: Served, store: GitStore, late: GitStore
) -> None:
    place = location()
    await proposed(store, server.remote, place)
    land = await _given_up(server, late, lambda: publish(late, server.remote, place))
    for step in (publish, propose_deletion):
        await step(store, server.remote, place)
    await store.delete(server.remote, "main", place, revision=1)
    before = server.refs()
    await land()
    assert server.refs() == before
    assert set(before) == {MAIN}


async def test_a_late_publish_is_no_second_revision(server: Served, store: GitStore, late: GitStore) -> None:
    """The number that it chose was taken by another workspace, whose tag went."""
    mine, other = location("app", "mine"), location("app", "other")
    for place in (mine, other):
        await proposed(store, server.remote, place)
    land = await _given_up(server, late, lambda: publish(late, server.remote, mine))
    await publish(store, server.remote, other)
    server.git("tag", "-d", "app/v1")
    state = await publish(store, server.remote, mine)
    assert state.revision == 2
    await land()
    assert set(server.refs()) == {MAIN, mine.tag_ref(2)}


async def test_a_late_proposal_does_not_undo_what_came_after(server: Served, store: GitStore, late: GitStore) -> None:
    place = location()
    await init(store, server.remote, place)
    land = await _given_up(server, late, lambda: propose(late, server.remote, place))
    await propose(store, server.remote, place)
    await publish(store, server.remote, place)
    before = server.refs()
    await land()
    if server.git("config", "--default", "true", "receive.advertiseAtomic") == "false":
        # The next look finds what is left over, and removes it.
        assert set(server.refs()) - set(before) == {place.proposed_ref}
        state = await store.state(server.remote, "main", place)
        assert (state.lifecycle, state.complete) == (Lifecycle.PUBLISHED, False)
        await publish(store, server.remote, place)
    assert server.refs() == before


async def test_a_late_proposal_is_finished_or_taken_back_by_who_looks_next(
    server: Served, store: GitStore, late: GitStore
) -> None:
    """Nothing tells that a push is still to come: but once it landed, the next look sees it."""
    place = location()
    draft = await init(store, server.remote, place)
    land = await _given_up(server, late, lambda: propose(late, server.remote, place))
    assert (await store.state(server.remote, "main", place)).lifecycle is Lifecycle.DRAFT
    await land()
    assert (await store.state(server.remote, "main", place)).lifecycle is Lifecycle.PROPOSED
    await reject(store, server.remote, place)
    assert server.refs()[place.draft_ref] == draft.commit


async def test_workers_that_publish_the_same_at_once_approve_it_once(
    server: Served, store: GitStore, tmp_path: Path
) -> None:
    """Slow updates let the workers' pushes run into one another, ref by ref."""
    places = [location("app", f"w{number}") for number in range(6)]
    commits = await asyncio.gather(*(proposed(store, server.remote, place) for place in places))
    server.hook("update", "sleep 0.0$(($$ % 10))")
    async with GitStore(tmp_path / "second") as second, GitStore(tmp_path / "third") as third:

        async def publish_all(worker: GitStore) -> None:
            for number in random.sample(range(len(places)), len(places)):
                expected = commits[number]
                await publish(worker, server.remote, places[number], commit_hint=expected)

        await asyncio.gather(*map(publish_all, (store, second, third)))
    approvals = Counter(server.parents(commit)[1] for commit in server.git("rev-list", "--merges", "main").split())
    assert approvals == Counter(commits)
    assert set(server.refs()) == {MAIN, *(f"refs/tags/app/v{number}" for number in range(1, len(places) + 1))}
