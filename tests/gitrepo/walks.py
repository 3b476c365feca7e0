"""Walks that every kind of Git server must allow."""

from pathlib import Path

from porchflow.gitrepo.git_store import GitStore
from porchflow.gitrepo.remote.remote import Remote
from tests.gitrepo.conftest import files, init, location
from tests.gitrepo.steps import propose, publish
from tests.servers.git import GitRepository


async def publish_from_nothing(store: GitStore, remote: Remote, repository: GitRepository, other: Path) -> None:
    """A package in an empty repository becomes published; another cache, in the folder `other`, reads all of it."""
    assert await store.list_refs(remote) == {}
    await store.ensure_branch(remote, "main", create_branch=True)
    draft = await init(store, remote, location())
    await propose(store, remote, location())
    state = await publish(store, remote, location())
    assert set(repository.refs()) == {"refs/heads/main", "refs/tags/app/v1"}
    async with GitStore(other) as reader:
        assert await reader.read_package(remote, state.commit, "app") == files()
        assert await reader.read_package(remote, draft.commit, "app") == files()
    repository.git("fsck", "--full", "--strict")


async def list_many_tags(store: GitStore, remote: Remote, repository: GitRepository, count: int = 3000) -> None:
    """A repository with many tags is listed whole, and a draft is pushed to it."""
    await store.ensure_branch(remote, "main", create_branch=True)
    tip = repository.refs()["refs/heads/main"]
    # One file, as of a repository that was packed: Git takes seconds for thousands of files of one ref each.
    made = sorted(f"{tip} refs/tags/old/v{number}\n" for number in range(count))
    (repository.path / "packed-refs").write_text("".join(["# pack-refs with: sorted\n", *made]))
    assert len(await store.list_refs(remote)) == count + 1
    await init(store, remote, location())
    assert location().draft_ref in repository.refs()
