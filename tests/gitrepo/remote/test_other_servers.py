"""Git servers that are no git: each from an empty repository to a published package, read anew and checked by git.

JGit's (Gerrit's) runs where `JGIT_LIBRARIES` names a folder with its libraries; `make jgit` makes one and runs it.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from porchflow.devstack.git.gitserver import create_bare_repository
from porchflow.gitrepo.errors import GitConflict, GitNotFound
from porchflow.gitrepo.git_store import GitStore
from porchflow.gitrepo.remote.remote import Remote
from tests.gitrepo.conftest import init, location
from tests.gitrepo.steps import propose, publish
from tests.gitrepo.walks import list_many_tags, publish_from_nothing
from tests.servers.git import GitRepository

_JGIT = os.environ.get("JGIT_LIBRARIES", "")
_SOURCE = Path(__file__).parents[2] / "servers/jgit/JGitServer.java"
_ROOT = Path(__file__).parents[3]

_COMMANDS = {
    "dulwich": [sys.executable, "-m", "tests.servers.dulwich_server"],
    "jgit": ["java", "-cp", f"{_JGIT}/*", str(_SOURCE)],
}
_NO_JGIT = pytest.mark.skipif(not _JGIT, reason="JGIT_LIBRARIES names no folder with JGit's libraries: see `make jgit`")


@pytest.fixture(params=["dulwich", pytest.param("jgit", marks=_NO_JGIT)])
async def repository(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[GitRepository]:
    """An empty repository on a server of some kind."""
    path = await asyncio.to_thread(create_bare_repository, tmp_path / "git", "repo", durable=False)
    GitRepository(path, "").git("config", "http.receivepack", "true")
    process = await asyncio.create_subprocess_exec(
        *_COMMANDS[request.param],
        str(tmp_path / "git"),
        cwd=_ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        address = (await asyncio.wait_for(process.stdout.readline(), 90)).decode().strip()
        assert address, "the server ended before it listened"
        yield GitRepository(path, f"{address}/repo.git")
    finally:
        process.kill()
        await process.communicate()


async def test_a_package_from_an_empty_repository_to_published_and_deleted(
    repository: GitRepository, store: GitStore, tmp_path: Path
) -> None:
    remote = Remote(repository.url)
    await publish_from_nothing(store, remote, repository, tmp_path / "other")
    await store.delete(remote, "main", location(), revision=1)
    assert set(repository.refs()) == {"refs/heads/main"}


async def test_a_thousand_refs(repository: GitRepository, store: GitStore) -> None:
    await list_many_tags(store, Remote(repository.url), repository, 1000)


@pytest.mark.parametrize("repository", [pytest.param("jgit", marks=_NO_JGIT)], indirect=True)
async def test_two_writers(repository: GitRepository, store: GitStore, tmp_path: Path) -> None:
    """Not with dulwich: it says that it moved a ref which another writer moved meanwhile, and did not."""
    remote = Remote(repository.url)
    await store.ensure_branch(remote, "main", create_branch=True)
    async with GitStore(tmp_path / "other") as other:
        places = [location(f"p{number}") for number in range(4)]
        stores = [store, other, store, other]
        await asyncio.gather(*(init(each, remote, place) for each, place in zip(stores, places, strict=True)))
        await asyncio.gather(*(propose(each, remote, place) for each, place in zip(stores, places, strict=True)))
        await asyncio.gather(*(publish(each, remote, place) for each, place in zip(stores, places, strict=True)))
    assert {f"refs/tags/{place.package}/v1" for place in places} <= set(repository.refs())
    repository.git("fsck", "--full", "--strict")
    assert {place.package for place in places} <= set(repository.git("ls-tree", "--name-only", "main").split())
    with pytest.raises(GitConflict):
        await init(store, remote, places[0])


async def test_what_is_not_there(repository: GitRepository, store: GitStore) -> None:
    with pytest.raises(GitNotFound):
        await store.list_refs(Remote(repository.url.replace("repo.git", "other.git")))
