"""How Git refuses or fails, by real servers: the kind of each error, its reason, and words without secrets."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from porchflow.api.error_kinds import ErrorKind
from porchflow.api.models.conditions import Reason
from porchflow.devstack.git.gitserver import create_bare_repository
from porchflow.gitrepo.git_store import GitStore
from porchflow.gitrepo.remote.remote import BasicAuth, Remote
from porchflow.gitrepo.store.commit_messages import TaskType
from porchflow.repositories.failures import classify, to_application_error
from tests.gitrepo.conftest import PASSWORD, USER, Served, files, init, little_patience, location
from tests.gitrepo.steps import propose
from tests.servers.authority import Authority
from tests.servers.faulty import Faults, FaultyGitServer


@dataclass
class Server:
    """A Git server, what can go wrong with it, and a store whose draft `app/v1` is in it."""

    served: Served
    store: GitStore
    folder: Path
    stack: AsyncExitStack

    @property
    def url(self) -> str:
        """With a password in it, as people write them."""
        return self.served.remote.url.replace("://", f"://{USER}:{PASSWORD}@")

    async def propose(self, remote: Remote | None = None) -> None:
        await propose(self.store, remote or Remote(self.url), location())


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    faults = Faults()
    path = await asyncio.to_thread(create_bare_repository, tmp_path / "git", "repo", durable=False)
    async with (
        AsyncExitStack() as stack,
        FaultyGitServer(tmp_path / "git", username=USER, password=PASSWORD, faults=faults) as git,
        GitStore(tmp_path / "cache") as store,
    ):
        server = Server(Served(path, git, faults), store, tmp_path, stack)
        await store.ensure_branch(server.served.remote, "main", create_branch=True)
        await init(store, server.served.remote, location())
        yield server


async def wrong_password(server: Server) -> None:
    await server.propose(Remote(server.served.remote.url, BasicAuth(USER, PASSWORD + "-of-yesterday")))


async def no_right(server: Server) -> None:
    server.served.faults.fail_next(9, 403)
    await server.propose()


async def hook(server: Server) -> None:
    server.served.hook("pre-receive", f'echo "ask at https://joe:{PASSWORD}@wiki.example.com first" >&2; exit 1')
    await server.propose()


async def protected_branch(server: Server) -> None:
    server.served.hook(
        "update", 'case "$1" in refs/heads/proposed/*) echo "proposals are made by merge request" >&2; exit 1;; esac'
    )
    await server.propose()


async def no_deletions(server: Server) -> None:
    server.served.git("config", "receive.denyDeletes", "true")
    await server.propose()


async def moved_draft(server: Server) -> None:
    before = server.served.refs()["refs/heads/drafts/app/v1"]
    server.served.commit("refs/heads/drafts/app/v1")
    await server.store.commit_on_draft(
        Remote(server.url), location(), files(a="1"), expected_parent=before, task=TaskType.RENDER
    )


async def a_branch_in_the_way(server: Server) -> None:
    server.served.git("update-ref", "refs/heads/proposed/app", "main")
    await server.propose()


async def no_repository(server: Server) -> None:
    await server.propose(Remote(server.url.replace("repo", "nothing-here")))


async def no_branch(server: Server) -> None:
    await server.store.ensure_branch(Remote(server.url), "develop")


async def nobody_listens(server: Server) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        await server.propose(Remote(f"http://{USER}:{PASSWORD}@127.0.0.1:{free.getsockname()[1]}/repo.git"))


async def no_such_host(server: Server) -> None:
    await server.propose(Remote(f"http://{USER}:{PASSWORD}@git.invalid/repo.git"))


async def server_error(server: Server) -> None:
    server.served.faults.fail_next(9, 503)
    await server.propose()


async def silence(server: Server) -> None:
    server.served.faults.hang()
    try:
        with little_patience(server.store):
            await server.propose()
    finally:
        server.served.faults.release()


async def too_large(server: Server) -> None:
    server.served.git("config", "receive.maxInputSize", "10")
    await init(server.store, Remote(server.url), location("other"))


async def refused_size(server: Server) -> None:
    server.served.faults.fail_next(9, 413)
    await server.propose()


async def unknown_authority(server: Server) -> None:
    tls = Authority(server.folder / "tls").serves("127.0.0.1")
    other = FaultyGitServer(server.folder / "git", username=USER, password=PASSWORD, tls=tls)
    url = (await server.stack.enter_async_context(other)).repository_url("repo")
    await server.propose(Remote(url.replace("://", f"://{USER}:{PASSWORD}@")))


STALLED, TRANSIENT = ErrorKind.STALLED, ErrorKind.TRANSIENT
TABLE: list[tuple[Callable[[Server], Awaitable[None]], ErrorKind, Reason, str]] = [
    (wrong_password, STALLED, Reason.GIT_AUTH_FAILED, "refused the credentials"),
    (no_right, STALLED, Reason.GIT_AUTH_FAILED, "403"),
    (hook, STALLED, Reason.GIT_REJECTED, "ask at https://wiki.example.com first"),
    (protected_branch, STALLED, Reason.GIT_REJECTED, "proposals are made by merge request"),
    (no_deletions, STALLED, Reason.GIT_REJECTED, "deletion prohibited"),
    (moved_draft, TRANSIENT, Reason.GIT_CONFLICT, "the change was made for"),
    (a_branch_in_the_way, TRANSIENT, Reason.GIT_CONFLICT, "proposed/app is in the way"),
    (no_repository, STALLED, Reason.GIT_NOT_FOUND, "nothing-here"),
    (no_branch, STALLED, Reason.GIT_NOT_FOUND, "branch 'develop' doesn't exist"),
    (nobody_listens, TRANSIENT, Reason.GIT_UNAVAILABLE, "127.0.0.1"),
    (no_such_host, TRANSIENT, Reason.GIT_UNAVAILABLE, "git.invalid"),
    (server_error, TRANSIENT, Reason.GIT_UNAVAILABLE, "503"),
    (silence, TRANSIENT, Reason.GIT_UNAVAILABLE, "127.0.0.1"),
    (too_large, STALLED, Reason.GIT_QUOTA_EXCEEDED, "maximum allowed size"),
    (refused_size, STALLED, Reason.GIT_QUOTA_EXCEEDED, "413"),
    (unknown_authority, STALLED, Reason.GIT_CERTIFICATE_INVALID, "certificate"),
]


@pytest.mark.parametrize(("happens", "kind", "why", "says"), TABLE, ids=lambda value: getattr(value, "__name__", ""))
async def test_what_goes_wrong_with_git(
    server: Server, happens: Callable[[Server], Awaitable[None]], kind: ErrorKind, why: Reason, says: str
) -> None:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which one is what the table says
        await happens(server)
    failure = classify(caught.value)
    assert (failure.kind, failure.reason) == (kind, why), failure.message
    assert says in failure.message
    assert PASSWORD not in failure.message
    told = to_application_error(failure)
    assert told.non_retryable is (kind is STALLED)
    assert PASSWORD not in str(told)
