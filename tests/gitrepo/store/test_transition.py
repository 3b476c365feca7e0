"""A lifecycle change over one connection: look, choose, move."""

import pytest

from porchflow.api.models.packagerevision import Lifecycle
from porchflow.gitrepo.git_store import GitStore, Step
from porchflow.gitrepo.store.commit_messages import TaskType
from porchflow.gitrepo.store.package_state import PackageState
from porchflow.gitrepo.store.transition import TaskOf
from tests.gitrepo.conftest import Served, files, init, location, proposed

STEPS = {
    None: None,
    Lifecycle.DRAFT: Step.PROPOSE,
    Lifecycle.PROPOSED: Step.PUBLISH,
    Lifecycle.PUBLISHED: Step.PROPOSE_DELETION,
    Lifecycle.DELETION_PROPOSED: Step.UNDO_DELETION,
}


def onward(state: PackageState, _: TaskOf) -> Step | None:
    return STEPS[state.lifecycle]


async def test_all_the_way_and_back_without_a_listing(ready: Served, store: GitStore) -> None:
    place = location()
    await init(store, ready.remote, place)
    before = store.stats.listings
    seen = []
    for _ in range(4):
        done = await store.transition(ready.remote, "main", place, onward)
        seen.append((done.before.lifecycle, done.after.lifecycle))
    assert seen == [
        (Lifecycle.DRAFT, Lifecycle.PROPOSED),
        (Lifecycle.PROPOSED, Lifecycle.PUBLISHED),
        (Lifecycle.PUBLISHED, Lifecycle.DELETION_PROPOSED),
        (Lifecycle.DELETION_PROPOSED, Lifecycle.PUBLISHED),
    ]
    assert store.stats.listings == before
    assert set(ready.refs()) == {"refs/heads/main", "refs/tags/app/v1"}


async def test_a_rejection(ready: Served, store: GitStore) -> None:
    place = location()
    commit = await proposed(store, ready.remote, place)
    done = await store.transition(ready.remote, "main", place, lambda *_: Step.REJECT)
    assert done.after.lifecycle is Lifecycle.DRAFT
    assert ready.refs()["refs/heads/drafts/app/v1"] == commit


async def test_what_is_chosen_to_stay_stays_and_is_told(ready: Served, store: GitStore) -> None:
    place = location()
    commit = await proposed(store, ready.remote, place)
    refs, pushes = ready.refs(), store.stats.pushes
    done = await store.transition(ready.remote, "main", place, lambda *_: None)
    assert done.before == done.after
    assert (done.after.lifecycle, done.after.commit) == (Lifecycle.PROPOSED, commit)
    assert (ready.refs(), store.stats.pushes) == (refs, pushes)


async def test_what_the_choice_raises_is_the_callers_and_changes_nothing(ready: Served, store: GitStore) -> None:
    place = location()
    await proposed(store, ready.remote, place)
    refs = ready.refs()

    def refuse(state: PackageState, _: TaskOf) -> Step | None:
        raise ValueError(f"not from {state.lifecycle}")

    with pytest.raises(ValueError, match="not from Proposed"):
        await store.transition(ready.remote, "main", place, refuse)
    assert ready.refs() == refs


async def test_what_is_absent_is_found_to_be(ready: Served, store: GitStore) -> None:
    done = await store.transition(ready.remote, "main", location(), onward)
    assert done.before.lifecycle is None


async def test_the_choice_can_ask_who_made_a_commit(ready: Served, store: GitStore) -> None:
    place = location()
    await store.create_draft(ready.remote, "main", place, files(), task=TaskType.INIT)
    foreign = ready.commit("refs/heads/drafts/app/v1")
    tasks = []

    def ask(state: PackageState, task_of: TaskOf) -> Step | None:
        tasks.append((state.commit, task_of(state.commit)))
        return None

    await store.transition(ready.remote, "main", place, ask)
    assert tasks == [(foreign, "")]


async def test_a_race_is_looked_at_anew(ready: Served, store: GitStore) -> None:
    """Somebody commits to the draft between the look and the push; the choice sees the new commit."""
    place = location()
    await init(store, ready.remote, place)
    seen: list[str] = []

    def choose(state: PackageState, _: TaskOf) -> Step | None:
        if not seen:
            ready.commit("refs/heads/drafts/app/v1")
        seen.append(state.commit)
        return Step.PROPOSE

    done = await store.transition(ready.remote, "main", place, choose)
    assert len(seen) == 2
    assert seen[0] != seen[1] == done.after.commit == ready.refs()["refs/heads/proposed/app/v1"]
