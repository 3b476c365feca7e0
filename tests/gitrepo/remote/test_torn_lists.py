"""Lists of refs that another push tore: a server reads the folders of refs one after another, while refs move.

What moves meanwhile may be in none of the folders, or in two. Nothing may be lost, stall or be deleted for such a list.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import pytest

from porchflow.api.models.packagerevision import Lifecycle
from porchflow.gitrepo.errors import GitNotFound
from porchflow.gitrepo.git_store import GitStore
from porchflow.gitrepo.refs import PackageLocation
from porchflow.gitrepo.remote.remote import Remote
from porchflow.gitrepo.remote.transport import PushSession, Refs, Transport
from tests.gitrepo.conftest import Served, copy, init, location, proposed
from tests.gitrepo.steps import propose, propose_deletion, publish


@contextmanager
def torn(monkeypatch: pytest.MonkeyPatch, *numbers: int, hidden: str = "/app/") -> Iterator[list[int]]:
    """Hide refs in the lists with these numbers, counted from 1."""
    lists: list[int] = []
    connect, listing = Transport.open_push, Transport.list_refs

    def tear(refs: Refs) -> Refs:
        lists.append(len(lists) + 1)
        return Refs({ref: oid for ref, oid in refs.ids.items() if lists[-1] not in numbers or hidden not in ref})

    def open_push(transport: Transport, remote: Remote) -> PushSession:
        session = connect(transport, remote)
        session.refs = tear(session.refs)
        return session

    def list_refs(transport: Transport, *arguments: object, **named: object) -> Refs:
        return tear(listing(transport, *arguments, **named))  # type: ignore[arg-type]  # passed on as they are

    with monkeypatch.context() as patch:
        patch.setattr(Transport, "open_push", open_push)
        patch.setattr(Transport, "list_refs", list_refs)
        yield lists


def outrun(monkeypatch: pytest.MonkeyPatch, ready: Served, draft: str) -> None:
    """Have somebody else propose the draft between the list of the next push and that push."""
    push = PushSession.push
    pushes: list[PushSession] = []

    def late(session: PushSession, *arguments: object, **named: object) -> object:
        if not pushes:
            ready.git("update-ref", location().proposed_ref, draft)
            ready.git("update-ref", "-d", location().draft_ref)
        pushes.append(session)
        return push(session, *arguments, **named)  # type: ignore[arg-type]  # passed on as they are

    monkeypatch.setattr(PushSession, "push", late)


async def _draft(store: GitStore, remote: Remote, place: PackageLocation) -> None:
    await init(store, remote, place)


async def _proposal(store: GitStore, remote: Remote, place: PackageLocation) -> None:
    await proposed(store, remote, place)


async def test_a_move_reads_a_torn_list_again(ready: Served, store: GitStore, monkeypatch: pytest.MonkeyPatch) -> None:
    draft = await init(store, ready.remote, location())
    with torn(monkeypatch, 1):
        state = await propose(store, ready.remote, location())
    assert (state.lifecycle, state.commit) == (Lifecycle.PROPOSED, draft.commit)
    with torn(monkeypatch, 1):
        state = await publish(store, ready.remote, location())
    assert state.lifecycle is Lifecycle.PUBLISHED


async def test_a_move_reads_a_torn_list_again_after_a_lost_race(
    ready: Served, store: GitStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list of the first attempt is whole, and its push comes too late; the list of the second one is torn."""
    draft = await init(store, ready.remote, location())
    outrun(monkeypatch, ready, draft.commit)
    with torn(monkeypatch, 2) as lists:
        state = await propose(store, ready.remote, location())
    assert (state.lifecycle, state.commit) == (Lifecycle.PROPOSED, draft.commit)
    assert lists[-1] >= 3


@pytest.mark.parametrize("made", [_draft, _proposal])
@pytest.mark.parametrize("published", [True, False])
async def test_a_deletion_reads_a_torn_list_again(
    ready: Served,
    store: GitStore,
    monkeypatch: pytest.MonkeyPatch,
    made: Callable[..., Awaitable[None]],
    published: bool,
) -> None:
    await made(store, ready.remote, location())
    with torn(monkeypatch, 1) as lists:
        assert await store.delete(ready.remote, "main", location(), published=published)
    assert set(ready.refs()) == {"refs/heads/main"}
    assert lists == [1, 2]


@pytest.mark.parametrize("revision", [1, None])
async def test_a_deletion_of_a_published_revision_reads_a_torn_list_again(
    ready: Served, store: GitStore, monkeypatch: pytest.MonkeyPatch, revision: int | None
) -> None:
    await proposed(store, ready.remote, location())
    await publish(store, ready.remote, location())
    await propose_deletion(store, ready.remote, location())
    with torn(monkeypatch, 1):
        assert await store.delete(ready.remote, "main", location(), revision=revision)
    assert set(ready.refs()) == {"refs/heads/main"}


@pytest.mark.parametrize("published", [True, False])
async def test_two_lists_without_it_end_a_deletion(
    ready: Served, store: GitStore, monkeypatch: pytest.MonkeyPatch, published: bool
) -> None:
    """An interrupted attempt deleted it already: the object may go."""
    await init(store, ready.remote, location("other"))
    before = ready.refs()
    with torn(monkeypatch) as lists:
        assert not await store.delete(ready.remote, "main", location(), published=published)
    assert lists == [1, 2]
    assert ready.refs() == before


async def test_two_lists_without_it_refuse_a_move(
    ready: Served, store: GitStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with torn(monkeypatch) as lists, pytest.raises(GitNotFound):
        await propose(store, ready.remote, location())
    assert lists == [1, 2]


async def test_a_deletion_takes_what_a_move_brought_elsewhere(
    ready: Served, store: GitStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The draft is in the first list, and becomes a proposal before the deletion is pushed."""
    draft = await init(store, ready.remote, location())
    outrun(monkeypatch, ready, draft.commit)
    with torn(monkeypatch, 2):
        assert await store.delete(ready.remote, "main", location(), published=False)
    assert set(ready.refs()) == {"refs/heads/main"}


async def test_a_deletion_leaves_other_workspaces_and_packages(
    ready: Served, store: GitStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list hides what is to be deleted, and shows its neighbours: none of them is taken for it."""
    await proposed(store, ready.remote, location("app", "v0"))
    await publish(store, ready.remote, location("app", "v0"))
    await copy(store, ready.remote, location("app", "v2"))
    await init(store, ready.remote, location("apple", "v1"))
    before = ready.refs()
    await copy(store, ready.remote, location("app", "v1"))
    with torn(monkeypatch, 1, hidden="/app/v1"):
        assert await store.delete(ready.remote, "main", location("app", "v1"), published=False)
    assert ready.refs() == before


async def test_states_are_read_from_two_lists_before_nothing_is_believed(
    ready: Served, store: GitStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await init(store, ready.remote, location())
    with torn(monkeypatch, 1):
        assert (await store.state(ready.remote, "main", location())).lifecycle is Lifecycle.DRAFT
    with torn(monkeypatch, 1, 2) as lists:
        assert (await store.state(ready.remote, "main", location())).lifecycle is None
    assert lists == [1, 2]
