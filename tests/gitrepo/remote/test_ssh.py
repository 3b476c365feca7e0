"""Git over SSH: keys of both sides, and what a person is told."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncssh
import pytest

from porchflow.devstack.git.gitserver import create_bare_repository
from porchflow.gitrepo.errors import GitAuthError, GitHookDeclined, GitHostKeyError, GitNotFound, GitUnavailable
from porchflow.gitrepo.git_store import GitStore
from porchflow.gitrepo.remote.remote import Remote, SshKey
from tests.gitrepo.conftest import files, init, little_patience, location, proposed
from tests.gitrepo.steps import propose, publish
from tests.servers.ssh import SshGitServer, running_ssh_server
from tests.servers.waiting import eventually

pytestmark = pytest.mark.filterwarnings("ignore:coroutine 'Queue.join':RuntimeWarning")  # asyncssh's own

HOST_KEY_TYPES = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa")


@pytest.fixture(scope="module")
def host_keys() -> list[asyncssh.SSHKey]:
    return [asyncssh.generate_private_key(kind) for kind in HOST_KEY_TYPES]


@pytest.fixture(scope="module")
def client_key() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519")


@pytest.fixture
async def server(
    tmp_path: Path, host_keys: list[asyncssh.SSHKey], client_key: asyncssh.SSHKey
) -> AsyncIterator[SshGitServer]:
    await asyncio.to_thread(create_bare_repository, tmp_path / "git", "repo", durable=False)
    async with running_ssh_server(tmp_path / "git", *host_keys) as server:
        server.authorize(client_key)
        yield server


def private(key: asyncssh.SSHKey, form: str = "openssh", passphrase: str | None = None) -> str:
    return key.export_private_key(form, passphrase=passphrase).decode()


def remote(
    server: SshGitServer, key: asyncssh.SSHKey, known_hosts: str | None = None, name: str = "repo.git"
) -> Remote:
    known = server.known_hosts() if known_hosts is None else known_hosts
    return Remote(server.url(name), SshKey(private(key), known), secret="git-ssh")


async def test_a_package_from_draft_to_published(
    server: SshGitServer, store: GitStore, client_key: asyncssh.SSHKey, tmp_path: Path
) -> None:
    there = remote(server, client_key)
    await store.ensure_branch(there, "main", create_branch=True)
    await init(store, there, location())
    await propose(store, there, location())
    state = await publish(store, there, location())
    assert state.revision == 1
    async with GitStore(tmp_path / "other") as other:
        assert await other.read_package(there, state.commit, "app") == files()
    assert set(server.users) == {"git"}


async def test_a_refused_push_is_refused_as_a_whole(
    server: SshGitServer, store: GitStore, client_key: asyncssh.SSHKey, tmp_path: Path
) -> None:
    there = remote(server, client_key)
    await store.ensure_branch(there, "main", create_branch=True)
    await proposed(store, there, location())
    before = await store.list_refs(there)
    hook = tmp_path / "git" / "repo.git" / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\ncase "$1" in refs/tags/*) exit 1;; esac\n')
    hook.chmod(0o755)
    with pytest.raises(GitHookDeclined):
        await publish(store, there, location())
    assert await store.list_refs(there) == before
    assert store.stats.restores == 0


@pytest.mark.parametrize(
    ("kind", "form", "passphrase"),
    [
        ("ssh-ed25519", "pkcs8-pem", None),
        ("ssh-ed25519", "pkcs8-pem", "open sesame"),
        ("ssh-rsa", "openssh", None),
        ("ssh-rsa", "pkcs1-pem", None),
        ("ssh-rsa", "pkcs8-pem", "open sesame"),
        ("ecdsa-sha2-nistp256", "openssh", None),
        ("ecdsa-sha2-nistp384", "pkcs8-pem", None),
        ("ecdsa-sha2-nistp256", "pkcs1-pem", "open sesame"),
    ],
)
async def test_types_and_forms_of_keys(
    server: SshGitServer, store: GitStore, kind: str, form: str, passphrase: str | None
) -> None:
    key = asyncssh.generate_private_key(kind)
    server.authorize(key)
    credentials = SshKey(private(key, form, passphrase), server.known_hosts(), passphrase or "")
    assert await store.list_refs(Remote(server.url("repo.git"), credentials)) == {}


@pytest.mark.parametrize("position", range(len(HOST_KEY_TYPES)), ids=HOST_KEY_TYPES)
async def test_one_known_host_key_is_enough(
    server: SshGitServer, store: GitStore, client_key: asyncssh.SSHKey, host_keys: list[asyncssh.SSHKey], position: int
) -> None:
    """Whichever type of key is known, the server is asked for one of that type."""
    there = remote(server, client_key, server.known_hosts(host_keys[position]))
    assert await store.list_refs(there) == {}


async def test_a_host_that_is_not_known_is_not_trusted(
    server: SshGitServer, store: GitStore, client_key: asyncssh.SSHKey, host_keys: list[asyncssh.SSHKey]
) -> None:
    for known in ("", "example.com " + private_line(host_keys[0])):
        with pytest.raises(GitHostKeyError, match="no key for it") as caught:
            await store.list_refs(remote(server, client_key, known))
        told = str(caught.value)
        assert any(key.get_fingerprint() in told for key in host_keys)
        assert "ssh-keyscan" in told
    assert not server.attempts, "the key is shown to no stranger"


async def test_a_changed_host_key_is_not_trusted(
    server: SshGitServer, store: GitStore, client_key: asyncssh.SSHKey, host_keys: list[asyncssh.SSHKey]
) -> None:
    there = remote(server, client_key)
    assert await store.list_refs(there) == {}
    attempts = server.attempts
    stranger = asyncssh.generate_private_key("ssh-ed25519")
    await server.change_host_keys(stranger)
    with pytest.raises(GitHostKeyError, match="the connection is intercepted") as caught:
        await store.list_refs(there)
    assert stranger.get_fingerprint() in str(caught.value)
    assert host_keys[0].get_fingerprint() in str(caught.value)
    with pytest.raises(GitHostKeyError):
        await init(store, there, location())
    assert server.attempts == attempts
    assert await store.list_refs(remote(server, client_key)) == {}, "with the new line it goes on"


async def test_a_refused_key_is_said_and_not_tried_again_and_again(server: SshGitServer, store: GitStore) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    there = remote(server, key)
    for _ in range(5):
        with pytest.raises(GitAuthError) as caught:
            await store.list_refs(there)
        told = str(caught.value)
        assert f"refused the key {key.get_fingerprint()} of user 'git'; correct Secret 'git-ssh'" in told
    assert server.attempts <= 2
    server.authorize(key)
    assert await store.list_refs(remote(server, key, server.known_hosts() + "\n")) == {}, "another Secret is tried"


@pytest.mark.parametrize(
    ("passphrase", "told"), [("", "is encrypted: give its passphrase"), ("wrong", "the passphrase is wrong")]
)
async def test_an_encrypted_key(server: SshGitServer, store: GitStore, passphrase: str, told: str) -> None:
    key = private(asyncssh.generate_private_key("ssh-ed25519"), "pkcs8-pem", "open sesame")
    there = Remote(server.url("repo.git"), SshKey(key, server.known_hosts(), passphrase))
    with pytest.raises(GitAuthError, match=told):
        await store.list_refs(there)
    assert not server.attempts


async def test_a_repository_that_is_not_there(
    server: SshGitServer, store: GitStore, client_key: asyncssh.SSHKey
) -> None:
    async def told() -> str:
        try:
            await store.list_refs(remote(server, client_key, name="none.git"))
        except GitUnavailable:
            # Where the server's end overtakes its words, the next attempt tells more.
            return ""
        except GitNotFound as error:
            return str(error)
        raise AssertionError("there is none")

    assert "does not appear to be a git repository" in await eventually(told)


async def test_a_server_that_hangs_or_is_away(
    server: SshGitServer, store: GitStore, client_key: asyncssh.SSHKey
) -> None:
    there = remote(server, client_key)
    server.open.clear()
    with little_patience(store), pytest.raises(GitUnavailable):
        await store.list_refs(there)
    server.open.set()
    assert await store.list_refs(there) == {}
    await server.stop()
    with pytest.raises(GitUnavailable):
        await store.list_refs(there)


def private_line(key: asyncssh.SSHKey) -> str:
    return " ".join(key.export_public_key().decode().split()[:2])
