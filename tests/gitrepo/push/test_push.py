import asyncio
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import pygit2
import pytest
from aiohttp import web

from porchflow.gitrepo.errors import GitConflict, GitHookDeclined, GitNotFound, GitQuotaExceeded
from porchflow.gitrepo.git_store import GitStore, PackageState, Step
from porchflow.gitrepo.remote.transport import RefUpdate
from porchflow.gitrepo.store.commit_messages import TaskType, approval_message
from porchflow.gitrepo.store.commits import DEFAULT_AUTHOR, create_commit
from porchflow.gitrepo.store.drafts import CreateDraft
from porchflow.gitrepo.store.publishing import Publish
from porchflow.gitrepo.store.ref_view import RefView
from porchflow.gitrepo.store.transition import TaskOf
from porchflow.gitrepo.store.trees import File, write_files
from tests.gitrepo.conftest import Served, files, init, location, proposed
from tests.gitrepo.steps import publish
from tests.servers.waiting import eventually

MAIN = "refs/heads/main"


@dataclass
class Scripted:
    """A change made of a function, for what the facade never asks for."""

    make: Callable[[pygit2.Repository, RefView], Sequence[RefUpdate]]
    built: int = 0
    moves_branch: bool = True
    reads: list[str] = field(default_factory=list)

    def needs(self, _: RefView) -> Iterable[str]:
        return self.reads

    def build(self, repo: pygit2.Repository, refs: RefView) -> Sequence[RefUpdate]:
        self.built += 1
        return self.make(repo, refs)


def _commit(repo: pygit2.Repository, *parents: pygit2.Oid, name: str = "x") -> pygit2.Oid:
    return create_commit(repo, tree=write_files(repo, {name: File(b"x")}), parents=parents, message=name)


def _append(name: str, ref: str = MAIN, *extra: str) -> Scripted:
    def make(repo: pygit2.Repository, refs: RefView) -> Sequence[RefUpdate]:
        tip = refs.get(ref)
        assert tip is not None
        commit = _commit(repo, tip, name=name)
        return [RefUpdate(ref, tip, commit), *(RefUpdate(other, None, commit) for other in extra)]

    return Scripted(make, reads=[ref])


async def _all(store: GitStore, served: Served, *changes: Scripted) -> list[object]:
    return await asyncio.gather(*(store._push(served.remote, change) for change in changes), return_exceptions=True)


async def test_a_group_is_one_push_and_its_changes_chain(ready: Served, store: GitStore) -> None:
    tip = ready.refs()[MAIN]
    pushes, refs = store.stats.pushes, store.stats.refs
    results = await _all(store, ready, *(_append(f"c{n}", MAIN, f"refs/tags/t/{n}") for n in range(20)))
    assert not [result for result in results if isinstance(result, Exception)]
    assert (store.stats.pushes, store.stats.refs) == (pushes + 1, refs + 21)
    assert ready.git("rev-list", "--count", f"{tip}..main") == "20"
    assert ready.subjects("main")[:20] == [f"c{n}" for n in reversed(range(20))]


async def test_nothing_to_do_is_no_push(ready: Served, store: GitStore) -> None:
    pushes = store.stats.pushes
    (result,) = await _all(store, ready, Scripted(lambda _repo, _refs: []))
    assert result.updates == ()  # type: ignore[attr-defined]  # an exception has none, and fails the test
    assert store.stats.pushes == pushes


async def test_a_ref_made_and_deleted_in_one_group_is_never_sent(ready: Served, store: GitStore) -> None:
    ref = "refs/heads/short"
    made = Scripted(lambda repo, _: [RefUpdate(ref, None, _commit(repo))])
    gone = Scripted(lambda _, refs: [RefUpdate(ref, refs.get(ref), None)])
    pushes = store.stats.pushes
    results = await _all(store, ready, made, gone)
    assert not [result for result in results if isinstance(result, Exception)]
    assert store.stats.pushes == pushes


async def test_one_bad_change_fails_alone(ready: Served, store: GitStore) -> None:
    def broken(_repo: pygit2.Repository, _refs: RefView) -> Sequence[RefUpdate]:
        raise ZeroDivisionError("a bug")

    def backwards(repo: pygit2.Repository, refs: RefView) -> Sequence[RefUpdate]:
        return [RefUpdate(MAIN, refs.get(MAIN), _commit(repo, name="unrelated"))]

    def wrong(repo: pygit2.Repository, _refs: RefView) -> Sequence[RefUpdate]:
        return [RefUpdate(MAIN, None, _commit(repo))]

    results = await _all(
        store, ready, _append("a"), Scripted(broken), _append("b"), Scripted(backwards), Scripted(wrong), _append("c")
    )
    kinds = [type(result) if isinstance(result, Exception) else None for result in results]
    assert kinds == [None, ZeroDivisionError, None, GitConflict, GitConflict, None]
    assert "no fast-forward" in str(results[3])
    assert ready.subjects("main")[:3] == ["c", "b", "a"]


async def test_a_hook_that_refuses_one_ref_fails_one_change(ready: Served, store: GitStore) -> None:
    ready.hook("update", 'case "$1" in *bad*) echo "no bad names here" >&2; exit 1;; esac')
    places = [location(name) for name in ("one", "bad", "two")]
    results = await asyncio.gather(*(init(store, ready.remote, place) for place in places), return_exceptions=True)
    assert isinstance(results[1], GitHookDeclined)
    assert "drafts/bad/v1" in str(results[1])
    assert "no bad names here" in str(results[1])
    assert [isinstance(result, Exception) for result in results] == [False, True, False]
    assert set(ready.refs()) == {MAIN, places[0].draft_ref, places[2].draft_ref}


async def test_a_hook_that_refuses_the_whole_push_fails_only_the_change_it_means(
    ready: Served, store: GitStore
) -> None:
    ready.hook("pre-receive", 'while read old new ref; do case "$ref" in *bad*) echo "bad is bad"; exit 1;; esac; done')
    names = [f"p{n}" for n in range(9)] + ["bad"] + [f"q{n}" for n in range(9)]
    results = await asyncio.gather(
        *(init(store, ready.remote, location(name)) for name in names), return_exceptions=True
    )
    failed = [name for name, result in zip(names, results, strict=True) if isinstance(result, Exception)]
    assert failed == ["bad"]
    assert isinstance(results[9], GitHookDeclined)
    assert "bad is bad" in str(results[9])
    assert len(ready.refs()) == 1 + 18
    assert store.stats.pushes < 15


async def test_content_that_the_server_does_not_store_fails_only_its_change(ready: Served, store: GitStore) -> None:
    """`receive.fsckObjects`, as most hosts have it: the whole pack is refused, and would be each time."""
    ready.git("config", "receive.fsckObjects", "true")
    bad = files() | {".gitmodules": File(b'[submodule "x"]\n\tpath = x\n\turl = -u./x\n')}
    contents = [files(), files(), bad, files(), files()]
    results = await asyncio.gather(
        *(init(store, ready.remote, location(f"p{n}"), each) for n, each in enumerate(contents)), return_exceptions=True
    )
    assert [isinstance(result, Exception) for result in results] == [False, False, True, False, False]
    assert isinstance(results[2], GitHookDeclined), "it is for good"
    assert "gitmodulesUrl" in str(results[2]), "the server's words"
    assert len(ready.refs()) == 1 + 4


async def test_a_refused_branch_fails_every_publish_and_changes_nothing(ready: Served, store: GitStore) -> None:
    places = [location(name) for name in ("one", "two")]
    for place in places:
        await proposed(store, ready.remote, place)
    before = ready.refs()
    ready.hook("update", f'[ "$1" != {MAIN} ] || {{ echo "main is protected" >&2; exit 1; }}')
    results = await asyncio.gather(*(publish(store, ready.remote, place) for place in places), return_exceptions=True)
    for result in results:
        assert isinstance(result, GitHookDeclined)
        assert "main: hook declined" in str(result)
        assert "main is protected" in str(result)
    assert ready.refs() == before
    ready.remove_hook("update")
    for number, place in enumerate(places):
        state = await publish(store, ready.remote, place)
        assert (number, state.revision) == (number, 1)


async def test_a_refused_tag_does_not_lose_the_proposal(ready: Served, store: GitStore) -> None:
    commit = await proposed(store, ready.remote, location())
    other = await proposed(store, ready.remote, location("other"))
    ready.hook("update", 'case "$1" in refs/tags/app/*) exit 1;; esac')
    results = await asyncio.gather(
        *(publish(store, ready.remote, location(name)) for name in ("app", "other")), return_exceptions=True
    )
    assert isinstance(results[0], GitHookDeclined)
    assert not isinstance(results[1], BaseException)
    assert ready.refs()[location().proposed_ref] == commit
    assert other in ready.parents(results[1].commit)
    ready.remove_hook("update")
    state = await publish(store, ready.remote, location(), commit_hint=commit)
    assert state.revision == 1
    assert ready.parents(state.commit)[1] == commit


async def test_a_publish_whose_tag_is_refused_moves_nothing(ready: Served, store: GitStore) -> None:
    await proposed(store, ready.remote, location())
    before = ready.refs()
    ready.hook("update", 'case "$1" in refs/tags/*) echo "no tags today" >&2; exit 1;; esac')
    with pytest.raises(GitHookDeclined, match=r"refused to update app/v1: hook declined; .*no tags today") as refused:
        await publish(store, ready.remote, location())
    assert "main" not in str(refused.value), "what only shared the push is not blamed"
    assert ready.refs() == before
    assert store.stats.restores == 0


async def test_a_change_that_only_a_bad_neighbour_hindered_is_tried_again(ready: Served, store: GitStore) -> None:
    """The second change sees the first one's draft; the server refuses it, so the second makes its own."""
    ready.hook("update", f'[ "$1" != {location().draft_ref} ] || exit 1')

    def second(repo: pygit2.Repository, refs: RefView) -> Sequence[RefUpdate]:
        if refs.get("refs/heads/mine"):
            raise GitConflict("mine is taken")
        return [RefUpdate("refs/heads/second", None, _commit(repo))]

    def first(repo: pygit2.Repository, _refs: RefView) -> Sequence[RefUpdate]:
        commit = _commit(repo)
        return [RefUpdate("refs/heads/mine", None, commit), RefUpdate(location().draft_ref, None, commit)]

    results = await _all(store, ready, Scripted(first), Scripted(second))
    assert isinstance(results[0], GitHookDeclined)
    assert not isinstance(results[1], Exception)
    assert set(ready.refs()) == {MAIN, "refs/heads/second"}


def _once(served: Served, action: Callable[[], object], path: str = "/git-receive-pack") -> None:
    """Do something at the server between the listing of the refs and the push."""

    async def on_request(request: web.Request) -> None:
        if request.path.endswith(path):
            served.faults.on_request = None
            await asyncio.to_thread(action)

    served.faults.on_request = on_request


async def test_losing_a_race_for_the_branch_is_healed(ready: Served, store: GitStore) -> None:
    for name in ("one", "two"):
        await proposed(store, ready.remote, location(name))
    _once(ready, lambda: ready.commit(MAIN, "somebody was faster"))
    states = await asyncio.gather(*(publish(store, ready.remote, location(name)) for name in ("one", "two")))
    assert store.stats.retries > 0
    assert "somebody was faster" in ready.subjects("main")
    for state, name in zip(states, ("one", "two"), strict=True):
        assert state.revision == 1
        assert ready.refs()[location(name).tag_ref(1)] == state.commit
        ready.git("merge-base", "--is-ancestor", state.commit, "main")
        assert f"{name}/Kptfile" in ready.files("main")
    assert set(ready.refs()) == {MAIN, "refs/tags/one/v1", "refs/tags/two/v1"}


async def test_after_a_lost_race_the_branch_goes_first_and_leaves_nothing_behind(
    ready: Served, store: GitStore
) -> None:
    for name in ("one", "two"):
        await proposed(store, ready.remote, location(name))
    _once(ready, lambda: ready.commit(MAIN))
    await publish(store, ready.remote, location("one"))
    merges = ready.git("rev-list", "--count", "--merges", "main")
    _once(ready, lambda: ready.commit(MAIN, "again"))
    await publish(store, ready.remote, location("two"))
    assert int(ready.git("rev-list", "--count", "--merges", "main")) == int(merges) + 1


async def test_losing_a_race_for_a_number_takes_the_next(ready: Served, store: GitStore) -> None:
    place = location("app", "mine")
    await proposed(store, ready.remote, place)
    _once(ready, lambda: ready.git("tag", "app/v1", "main"))
    state = await publish(store, ready.remote, place)
    assert state.revision == 2
    assert ready.refs()["refs/tags/app/v2"] == state.commit


async def test_a_draft_that_moved_during_the_push_is_a_conflict(ready: Served, store: GitStore) -> None:
    draft = await init(store, ready.remote, location())
    _once(ready, lambda: ready.commit(location().draft_ref))
    with pytest.raises(GitConflict, match="drafts/app/v1 moved to"):
        await store.commit_on_draft(
            ready.remote, location(), files(a="1"), expected_parent=draft.commit, task=TaskType.RENDER
        )


async def test_a_proposal_that_moved_during_its_removal_survives(ready: Served, store: GitStore) -> None:
    draft = await init(store, ready.remote, location())
    _once(ready, lambda: ready.commit(location().draft_ref))

    def only_the_known(state: PackageState, _: TaskOf) -> Step:
        if state.commit != draft.commit:
            raise GitConflict(f"the draft is at {state.commit}")
        return Step.PROPOSE

    with pytest.raises(GitConflict, match="the draft is at"):
        await store.transition(ready.remote, "main", location(), only_the_known)
    assert location().draft_ref in ready.refs()
    assert location().proposed_ref not in ready.refs()


async def test_a_race_that_never_ends_is_a_conflict(ready: Served, store: GitStore) -> None:
    async def on_request(request: web.Request) -> None:
        if request.path.endswith("/git-receive-pack"):
            await asyncio.to_thread(ready.commit, MAIN)

    ready.faults.on_request = on_request
    (result,) = await _all(store, ready, _append("never"))
    assert isinstance(result, GitConflict)
    assert "attempts" in str(result)


async def test_a_package_that_the_server_finds_too_large_fails_alone(ready: Served, store: GitStore) -> None:
    ready.git("config", "receive.maxInputSize", "20000")
    contents = [files(a="1"), files() | {"big": File(os.urandom(60_000))}, files(b="1")]
    results = await asyncio.gather(
        *(init(store, ready.remote, location(f"p{n}"), content) for n, content in enumerate(contents)),
        return_exceptions=True,
    )
    assert [isinstance(result, Exception) for result in results] == [False, True, False]
    assert isinstance(results[1], GitQuotaExceeded)


async def test_a_cancelled_waiter_takes_its_change_with_it(ready: Served, store: GitStore) -> None:
    arrived, release = asyncio.Event(), asyncio.Event()

    async def hold(_request: web.Request) -> None:
        arrived.set()
        await release.wait()

    ready.faults.on_request = hold
    in_flight = asyncio.create_task(init(store, ready.remote, location("flying")))
    await arrived.wait()
    waiting = asyncio.create_task(init(store, ready.remote, location("waiting")))
    staying = asyncio.create_task(init(store, ready.remote, location("staying")))
    pushes = store._connection(ready.remote)._pushes._batcher
    await eventually(lambda: len(pushes._waiting) == 2)
    waiting.cancel()
    in_flight.cancel()
    ready.faults.on_request = None
    release.set()
    await staying
    assert set(ready.refs()) == {MAIN, location("flying").draft_ref, location("staying").draft_ref}


async def test_updates_of_refs_that_do_not_exist_are_refused(ready: Served, store: GitStore) -> None:
    with pytest.raises(GitNotFound):
        await publish(store, ready.remote, location("none"))


async def test_a_draft_does_not_start_from_a_merge_that_may_fail(ready: Served, store: GitStore) -> None:
    await proposed(store, ready.remote, location())
    tip = ready.refs()[MAIN]
    connection = store._connection(ready.remote)
    content = await store._write(ready.remote, files())
    place = location("next")
    draft = CreateDraft(
        connection.knowledge, place, "main", content, TaskType.INIT, DEFAULT_AUTHOR, create_branch=False
    )
    publish = Publish(connection.knowledge, location(), "main", DEFAULT_AUTHOR)
    pushes = store.stats.pushes
    await asyncio.gather(connection.push(publish), connection.push(draft))
    assert store.stats.pushes == pushes + 1
    assert draft.result is not None
    assert ready.parents(draft.result.commit) == [tip]


async def test_what_relies_on_a_refused_change_is_not_believed(ready: Served, store: GitStore) -> None:
    """The second publish finds the tag that the first is about to make; the server refuses that tag."""
    commit = await proposed(store, ready.remote, location())
    ready.hook("update", 'case "$1" in refs/tags/*) exit 1;; esac')
    results = await asyncio.gather(
        *(publish(store, ready.remote, location()) for _ in range(3)), return_exceptions=True
    )
    assert [type(result) for result in results] == [GitHookDeclined] * 3
    assert ready.refs()[location().proposed_ref] == commit
    ready.remove_hook("update")
    states = await asyncio.gather(*(publish(store, ready.remote, location()) for _ in range(3)))
    assert {(state.revision, state.commit) for state in states} == {(1, ready.refs()["refs/tags/app/v1"])}


async def test_what_relies_on_a_change_that_lost_a_race_is_built_again(ready: Served, store: GitStore) -> None:
    commit = await proposed(store, ready.remote, location("app", "mine"))

    def faster() -> None:
        main = ready.git("rev-parse", "main")
        message = approval_message("app", "mine", 1)
        merge = ready.git("commit-tree", f"{commit}^{{tree}}", "-p", main, "-p", commit, "-m", message)
        ready.git("update-ref", MAIN, merge, main)
        ready.git("update-ref", "refs/tags/app/v1", merge)
        ready.git("update-ref", "-d", location("app", "mine").proposed_ref)

    _once(ready, faster)
    states = await asyncio.gather(*(publish(store, ready.remote, location("app", "mine")) for _ in range(3)))
    assert {(state.revision, state.commit) for state in states} == {(1, ready.refs()["refs/tags/app/v1"])}
    assert set(ready.refs()) == {MAIN, "refs/tags/app/v1"}
    assert store.stats.restores == 0
