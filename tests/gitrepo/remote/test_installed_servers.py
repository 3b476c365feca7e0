"""Servers that a distribution packages, where they are installed: each from nothing to a published package."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import asyncssh
import pytest

from porchflow.devstack.git.gitserver import create_bare_repository
from porchflow.devstack.processes import HOST
from porchflow.gitrepo.errors import GitAuthError, GitHookDeclined, GitHostKeyError
from porchflow.gitrepo.git_store import GitStore
from porchflow.gitrepo.remote.remote import BasicAuth, Remote, SshKey
from porchflow.gitrepo.remote.ssh.known_hosts import HostKey
from porchflow.gitrepo.store.trees import File
from tests.gitrepo.conftest import files, init, location, proposed
from tests.gitrepo.steps import publish
from tests.gitrepo.walks import list_many_tags, publish_from_nothing
from tests.servers.git import GitRepository
from tests.servers.installed import nginx, openssh, program, ssh_user
from tests.servers.ssh import known_hosts_line


@dataclass
class Server:
    """A repository on a server, with credentials that are right and some that are not."""

    repository: GitRepository
    remote: Remote
    stranger: Remote


def needs(*programs: str) -> None:
    """Skip the test where a program is not installed."""
    if missing := [name for name in programs if program(name) is None]:
        pytest.skip(f"not installed: {', '.join(missing)}")


@pytest.fixture(params=["openssh ed25519", "openssh rsa", "openssh ecdsa", "nginx"])
async def server(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Server]:
    kind, _, key = request.param.partition(" ")
    path = await asyncio.to_thread(create_bare_repository, tmp_path / "git", "repo", durable=False)
    folder = tmp_path / "server"
    folder.mkdir()
    if kind == "nginx":
        needs("nginx", "fcgiwrap")
        async with nginx(folder, tmp_path / "git", "somebody", "the-right-word") as url:
            there = f"{url}/repo.git"
            right, wrong = BasicAuth("somebody", "the-right-word"), BasicAuth("somebody", "another")
            yield Server(GitRepository(path, there), Remote(there, right), Remote(there, wrong))
        return
    needs("sshd")
    host, client, stranger = (asyncssh.generate_private_key(_KEYS[key]) for _ in range(3))
    async with openssh(folder, client.export_public_key().decode(), host.export_private_key().decode()) as port:
        there = f"ssh://{ssh_user()}@{HOST}:{port}{path}"
        known = known_hosts_line(HOST, port, HostKey(host.public_data)) + "\n"
        right, wrong = (SshKey(each.export_private_key().decode(), known) for each in (client, stranger))
        yield Server(GitRepository(path, there), Remote(there, right), Remote(there, wrong))


_KEYS = {"ed25519": "ssh-ed25519", "rsa": "ssh-rsa", "ecdsa": "ecdsa-sha2-nistp256"}


async def test_a_package_from_an_empty_repository_to_published(server: Server, store: GitStore, tmp_path: Path) -> None:
    await publish_from_nothing(store, server.remote, server.repository, tmp_path / "other")


async def test_a_large_package_goes_both_ways(server: Server, store: GitStore, tmp_path: Path) -> None:
    await store.ensure_branch(server.remote, "main", create_branch=True)
    content = {**files(), "large": File(os.urandom(8_000_000))}
    draft = await init(store, server.remote, location(), content)
    async with GitStore(tmp_path / "other") as other:
        assert await other.read_package(server.remote, draft.commit, "app") == content


async def test_a_hook_refuses_all_of_a_push_and_its_words_arrive(server: Server, store: GitStore) -> None:
    await store.ensure_branch(server.remote, "main", create_branch=True)
    await proposed(store, server.remote, location())
    before = server.repository.refs()
    server.repository.hook("pre-receive", "echo no publishing on Fridays >&2; exit 1")
    with pytest.raises(GitHookDeclined, match="no publishing on Fridays"):
        await publish(store, server.remote, location())
    assert server.repository.refs() == before


async def test_thousands_of_refs(server: Server, store: GitStore) -> None:
    await list_many_tags(store, server.remote, server.repository)


async def test_wrong_credentials_are_refused_in_words(server: Server, store: GitStore) -> None:
    with pytest.raises(GitAuthError, match="refused") as caught:
        await store.list_refs(server.stranger)
    assert "another" not in str(caught.value)


async def test_a_host_key_that_is_not_known(server: Server, store: GitStore) -> None:
    credentials = server.remote.credentials
    if not isinstance(credentials, SshKey):
        pytest.skip("a server over HTTP has no host key")
    other = known_hosts_line(
        HOST, server.remote.port, HostKey(asyncssh.generate_private_key("ssh-ed25519").public_data)
    )
    with pytest.raises(GitHostKeyError):
        await store.list_refs(Remote(server.remote.url, SshKey(credentials.private_key, other + "\n")))
