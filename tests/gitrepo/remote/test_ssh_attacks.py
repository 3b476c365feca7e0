"""What a hostile SSH server can say to the child process of ssh: a bounded amount."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import asyncssh
import pytest

from porchflow.api.limits import GIT_SSH_LOG_BYTES, GIT_WORDS_CHARACTERS
from porchflow.gitrepo.errors import GitError, GitQuotaExceeded, GitUnavailable
from porchflow.gitrepo.remote.call import Call, Timeouts
from porchflow.gitrepo.remote.remote import Remote, SshKey
from porchflow.gitrepo.remote.ssh.known_hosts import HostKey
from porchflow.gitrepo.remote.transport import Transport
from tests.servers.ssh import known_hosts_line
from tests.servers.waiting import eventually

Talk = Callable[[asyncssh.SSHServerConnection], None]
PATIENT = Timeouts(connect=600.0, silence=600.0, whole=600.0)


class Talkative(asyncssh.SSHServer):
    """A server that lets everybody in and says things before that."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn

    def begin_auth(self, username: str) -> bool:
        assert self._connection is not None
        self._talk(self._connection)
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        return True


@contextlib.asynccontextmanager
async def talking(talk: Talk, answer: Callable[[asyncssh.SSHServerProcess[bytes]], object]) -> AsyncIterator[Remote]:
    """Serve SSH; give a remote there."""
    host, client = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    server = await asyncssh.create_server(
        lambda: Talkative(talk), "127.0.0.1", 0, server_host_keys=[host], process_factory=answer, encoding=None
    )
    known = known_hosts_line("127.0.0.1", server.get_port(), HostKey(host.public_data))
    try:
        yield Remote(
            f"ssh://git@127.0.0.1:{server.get_port()}/repo.git",
            SshKey(client.export_private_key().decode(), known + "\n"),
        )
    finally:
        server.close()
        await server.wait_closed()


def _nothing(_: asyncssh.SSHServerConnection) -> None:
    return


async def _refuse(process: asyncssh.SSHServerProcess[bytes]) -> None:
    process.stderr.write(b"there is no such repository\n")
    process.exit(128)


async def listed(transport: Transport, remote: Remote, call: Call | None = None) -> dict[str, object]:
    return dict(await asyncio.to_thread(transport.list_refs, remote, call=call))


async def test_messages_for_the_log_are_bounded(tmp_path: Path) -> None:
    """The log of ssh is a file, and a server may fill it before it has proved anything."""
    transport = Transport(tmp_path / "connections", PATIENT)

    def talk(connection: asyncssh.SSHServerConnection) -> None:
        for _ in range(3 * GIT_SSH_LOG_BYTES // 800):
            connection.send_debug("a" * 800, always_display=True)

    async with talking(talk, _refuse) as remote:
        with pytest.raises(GitQuotaExceeded, match="of messages"):
            await listed(transport, remote)
    assert not await asyncio.to_thread(lambda: list((tmp_path / "connections").iterdir()))


async def test_a_banner_is_bounded(tmp_path: Path) -> None:
    """It comes over the channel of the server's words, of which the last ones are kept."""
    transport = Transport(tmp_path / "connections", PATIENT)

    def talk(connection: asyncssh.SSHServerConnection) -> None:
        for _ in range(100):
            connection.send_auth_banner("welcome to all who read this\n" * 1000)

    async with talking(talk, _refuse) as remote:
        with pytest.raises(GitError) as caught:
            await listed(transport, remote)
    assert "there is no such repository" in str(caught.value)
    assert len(str(caught.value)) < 2 * GIT_WORDS_CHARACTERS


async def test_output_that_never_ends_is_bounded_by_the_list_of_refs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("porchflow.gitrepo.remote.ssh.ssh_channel.GIT_LISTING_BYTES", 100_000)
    transport = Transport(tmp_path / "connections", PATIENT)

    async def answer(process: asyncssh.SSHServerProcess[bytes]) -> None:
        with contextlib.suppress(OSError, asyncssh.Error):
            while not process.is_closing():
                process.stdout.write(b"0032" + b"1" * 40 + b" a/b/\n")
                await process.stdout.drain()
                await asyncio.sleep(0)

    async with talking(_nothing, answer) as remote:
        with pytest.raises(GitQuotaExceeded, match=r"more than 100,000 bytes \(the limit\)"):
            await listed(transport, remote)


async def test_words_that_never_end_are_ended_with_the_request(tmp_path: Path) -> None:
    """They come a byte at a time, so the server is never silent: only the whole request has an end."""
    transport = Transport(tmp_path / "connections", PATIENT)
    spoken = asyncio.Event()

    async def answer(process: asyncssh.SSHServerProcess[bytes]) -> None:
        with contextlib.suppress(OSError, asyncssh.Error):
            while not process.is_closing():
                process.stderr.write(b"a")
                await process.stderr.drain()
                spoken.set()
                await asyncio.sleep(0)

    async with talking(_nothing, answer) as remote:
        call = Call()
        asking = asyncio.create_task(listed(transport, remote, call))
        await spoken.wait()
        call.end()
        with pytest.raises(GitUnavailable, match="nobody waits"):
            await asyncio.wait_for(asking, 60)
    await eventually(lambda: not list((tmp_path / "connections").iterdir()), what="the key is deleted")
