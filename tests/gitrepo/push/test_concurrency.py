import asyncio
from pathlib import Path

from porchflow.gitrepo.git_store import GitStore
from tests.gitrepo.conftest import Served, init, location, proposed
from tests.gitrepo.steps import publish


async def test_fifty_drafts_take_few_pushes(ready: Served, store: GitStore) -> None:
    pushes = store.stats.pushes
    drafts = await asyncio.gather(*(init(store, ready.remote, location(f"p{n}")) for n in range(50)))
    assert len({draft.commit for draft in drafts}) == 50
    assert len(ready.refs()) == 51
    assert store.stats.pushes - pushes <= 10


async def test_publishes_of_one_group_chain_on_the_branch(ready: Served, store: GitStore) -> None:
    names = [f"p{n}" for n in range(20)]
    await asyncio.gather(*(proposed(store, ready.remote, location(name)) for name in names))
    pushes = store.stats.pushes
    states = await asyncio.gather(*(publish(store, ready.remote, location(name)) for name in names))
    assert {state.revision for state in states} == {1}
    assert store.stats.pushes - pushes <= 3
    assert len(ready.subjects("main")) == 21
    assert len(ready.files("main")) == 21


async def test_publishes_of_one_package_get_numbers_in_a_row(ready: Served, store: GitStore) -> None:
    places = [location("app", f"w{n}") for n in range(20)]
    await asyncio.gather(*(proposed(store, ready.remote, place) for place in places))
    states = await asyncio.gather(*(publish(store, ready.remote, place) for place in places))
    assert sorted(state.revision for state in states) == list(range(1, 21))


async def test_the_same_publish_twice_at_once_is_one_revision(ready: Served, store: GitStore, tmp_path: Path) -> None:
    await proposed(store, ready.remote, location())
    async with GitStore(tmp_path / "other") as other:
        states = await asyncio.gather(
            *(publish(each, ready.remote, location()) for each in (store, other, store, other))
        )
    assert {(state.revision, state.commit) for state in states} == {(1, ready.refs()["refs/tags/app/v1"])}
    assert set(ready.refs()) == {"refs/heads/main", "refs/tags/app/v1"}


async def test_two_workers_give_unique_numbers_without_gaps(ready: Served, store: GitStore, tmp_path: Path) -> None:
    places = [location("app", f"w{n}") for n in range(24)]
    await asyncio.gather(*(proposed(store, ready.remote, place) for place in places))
    async with GitStore(tmp_path / "other") as other:
        states = await asyncio.gather(
            *(publish((store, other)[number % 2], ready.remote, place) for number, place in enumerate(places))
        )
    assert sorted(state.revision for state in states) == list(range(1, 25))
    refs = ready.refs()
    assert set(refs) == {"refs/heads/main", *(f"refs/tags/app/v{n}" for n in range(1, 25))}
    for state in states:
        assert refs[f"refs/tags/{state.ref}"] == state.commit
        ready.git("merge-base", "--is-ancestor", state.commit, "main")
    ready.git("fsck", "--strict")


async def test_two_workers_and_many_packages(ready: Served, store: GitStore, tmp_path: Path) -> None:
    names = [f"p{n}" for n in range(30)]
    async with GitStore(tmp_path / "other") as other:

        async def whole(number: int, name: str) -> int:
            each = (store, other)[number % 2]
            await proposed(each, ready.remote, location(name))
            return (await publish((other, store)[number % 2], ready.remote, location(name))).revision

        assert set(await asyncio.gather(*(whole(*item) for item in enumerate(names)))) == {1}
    assert set(ready.refs()) == {"refs/heads/main", *(f"refs/tags/{name}/v1" for name in names)}
    assert ready.files("main") == sorted(["README.md", *(f"{name}/Kptfile" for name in names)])
