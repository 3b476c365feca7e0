"""What a fetch brings, and what it leaves at the server."""

import random

import pytest

from porchflow.gitrepo.git_store import GitStore
from porchflow.gitrepo.store.trees import File
from tests.gitrepo.conftest import Served, files, init, location

LARGE = random.Random(7).randbytes(1 << 20)
"""Nothing makes it smaller."""


def fetched(store: GitStore) -> list[int]:
    """Sizes of what fetches brought, in bytes: each makes a pack."""
    return [pack.stat().st_size for pack in store.cache_path.glob("*.git/objects/pack/*.pack")]


async def test_what_was_pushed_does_not_come_back(ready: Served, store: GitStore) -> None:
    content = {**files(), "large.bin": File(LARGE)}
    await init(store, ready.remote, location(), content)
    by_hand = ready.commit("refs/heads/drafts/app/v1")
    assert await store.read_package(ready.remote, by_hand, "app") == content
    assert fetched(store)
    assert sum(fetched(store)) < len(LARGE) / 10


async def test_little_is_remembered_of_what_was_pushed(
    ready: Served, store: GitStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is forgotten is fetched again, and nothing is lost."""
    monkeypatch.setattr("porchflow.gitrepo.store.cache._MOST_TIPS", 1)
    content = {**files(), "large.bin": File(LARGE)}
    await init(store, ready.remote, location(), content)
    await init(store, ready.remote, location("other"))
    by_hand = ready.commit("refs/heads/drafts/app/v1")
    assert await store.read_package(ready.remote, by_hand, "app") == content
    assert sum(fetched(store)) > len(LARGE)


async def test_refs_that_went_meanwhile_are_in_nobodys_way(ready: Served, store: GitStore) -> None:
    """A branch `drafts/app/v1` was pushed and is gone; `drafts/app/v1/more` needs its place."""
    draft = await init(store, ready.remote, location())
    ready.git("update-ref", "-d", "refs/heads/drafts/app/v1")
    ready.git("update-ref", "refs/heads/drafts/app/v1/more", draft.commit)
    by_hand = ready.commit("refs/heads/drafts/app/v1/more")
    assert await store.read_package(ready.remote, by_hand, "app") == files()
