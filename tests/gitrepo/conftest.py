import asyncio
import contextlib
import itertools
import os
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import asyncssh
import pytest

from porchflow.devstack.git.gitserver import GitServer, create_bare_repository
from porchflow.gitrepo.errors import GitUnavailable
from porchflow.gitrepo.git_store import Draft, GitStore
from porchflow.gitrepo.refs import PackageLocation
from porchflow.gitrepo.remote.remote import BasicAuth, Remote, SshKey
from porchflow.gitrepo.store.commit_messages import TaskType
from porchflow.gitrepo.store.trees import File, Files
from tests.gitrepo.steps import propose
from tests.servers.faulty import Faults, FaultyGitServer

USER, PASSWORD = "porch", "s3cret-word"
ENVIRONMENT = {
    **os.environ,
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "somebody",
    "GIT_AUTHOR_EMAIL": "somebody@example.com",
    "GIT_COMMITTER_NAME": "somebody",
    "GIT_COMMITTER_EMAIL": "somebody@example.com",
}


class Served:
    """A bare repository behind the Git server, looked at and changed with git itself."""

    def __init__(self, path: Path, server: GitServer, faults: Faults) -> None:
        self.path = path
        self.server = server
        self.faults = faults
        self.remote = Remote(server.repository_url(path.name), BasicAuth(USER, PASSWORD))

    def git(self, *arguments: str, stdin: str | None = None) -> str:
        command = ["git", "-C", str(self.path), *arguments]
        done = subprocess.run(command, check=False, capture_output=True, text=True, input=stdin, env=ENVIRONMENT)
        try:
            done.check_returncode()
        except subprocess.CalledProcessError as error:
            error.add_note(done.stderr)
            raise
        return done.stdout.strip()

    def refs(self) -> dict[str, str]:
        lines = self.git("for-each-ref", "--format=%(refname) %(objectname)").splitlines()
        return dict(line.split(" ", 1) for line in lines)

    def message(self, commit: str) -> str:
        return self.git("cat-file", "commit", commit).split("\n\n", 1)[1] + "\n"

    def parents(self, commit: str) -> list[str]:
        return self.git("log", "-1", "--format=%P", commit).split()

    def files(self, commit: str) -> list[str]:
        return self.git("ls-tree", "-r", "--name-only", commit).splitlines()

    def subjects(self, ref: str) -> list[str]:
        return self.git("log", "--first-parent", "--format=%s", ref).splitlines()

    def commit(self, ref: str, message: str = "by hand") -> str:
        """Commit on a ref as somebody else would, without changing a file."""
        parent = self.git("rev-parse", ref)
        made = self.git("commit-tree", f"{parent}^{{tree}}", "-p", parent, "-m", message)
        self.git("update-ref", ref, made, parent)
        return made

    def hook(self, name: str, script: str) -> None:
        hooks = self.path / "hooks"
        hooks.mkdir(exist_ok=True)
        file = hooks / name
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)

    def remove_hook(self, name: str) -> None:
        (self.path / "hooks" / name).unlink()


def location(package: str = "app", workspace: str = "v1", directory: str = "") -> PackageLocation:
    return PackageLocation(directory, package, workspace)


def files(**contents: str) -> Files:
    named = {name.replace("_", "."): File(data.encode()) for name, data in contents.items()}
    return {"Kptfile": File(b"apiVersion: kpt.dev/v1\nkind: Kptfile\n"), **named}


async def init(store: GitStore, remote: Remote, place: PackageLocation, content: Files | None = None) -> Draft:
    return await store.create_draft(remote, "main", place, content or files(), task=TaskType.INIT)


async def copy(store: GitStore, remote: Remote, place: PackageLocation, content: Files | None = None) -> Draft:
    """Make the next revision of a package that exists."""
    return await store.create_draft(remote, "main", place, content or files(), task=TaskType.COPY)


async def proposed(store: GitStore, remote: Remote, place: PackageLocation) -> str:
    await init(store, remote, place)
    return (await propose(store, remote, place)).commit


@contextlib.contextmanager
def little_patience(store: GitStore) -> Iterator[None]:
    """Let every server be silent for a second only: nothing that must succeed belongs in here, on a busy machine."""
    timeouts = store._connections.transport.timeouts
    before, timeouts.silence = timeouts.silence, 1.0
    try:
        yield
    finally:
        timeouts.silence = before


async def given_up(store: GitStore, pushing: Callable[[], Awaitable[object]], arrived: Path) -> None:
    """Push, and stop waiting for the answer while a hook of the server, which makes a file, is still busy."""
    with little_patience(store):
        while not await asyncio.to_thread(arrived.exists):
            with pytest.raises(GitUnavailable):
                await pushing()


@pytest.fixture
def faults() -> Faults:
    return Faults()


@pytest.fixture
async def served(tmp_path: Path, faults: Faults) -> AsyncIterator[Served]:
    root = tmp_path / "git"
    path = await asyncio.to_thread(create_bare_repository, root, "repo", durable=False)
    async with FaultyGitServer(root, username=USER, password=PASSWORD, faults=faults) as server:
        yield Served(path, server, faults)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[GitStore]:
    async with GitStore(tmp_path / "cache", server_timeout=20) as store:
        yield store


@pytest.fixture
async def ready(served: Served, store: GitStore) -> Served:
    """The served repository, with its main branch."""
    await store.ensure_branch(served.remote, "main", create_branch=True)
    return served


@pytest.fixture
def new_repository(served: Served) -> Callable[[], Served]:
    """Makes more repositories on the same server, each with a main branch."""
    numbers = itertools.count(1)

    def make() -> Served:
        path = create_bare_repository(served.path.parent, f"more-{next(numbers)}", durable=False)
        made = Served(path, served.server, served.faults)
        tree = made.git("hash-object", "-t", "tree", "-w", "--stdin", stdin="")
        made.git("update-ref", "refs/heads/main", made.git("commit-tree", tree, "-m", "first commit"))
        return made

    return make


@pytest.fixture(scope="session")
def ssh_key() -> SshKey:
    """A key, and the host key of a server that nobody runs."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    public = key.export_public_key().decode().strip()
    return SshKey(key.export_private_key().decode(), f"git.example.com {public}\n")
