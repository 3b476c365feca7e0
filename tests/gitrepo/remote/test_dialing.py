"""Names of servers with many addresses, and addresses that authors of packages may not name."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from porchflow.api.limits import GIT_ADDRESSES
from porchflow.api.networks import DENIED_BY_DEFAULT, BadNetwork, DeniedNetworks, is_internal
from porchflow.gitrepo.errors import GitAddressDenied, GitAuthError, GitError, GitNotFound, GitUnavailable
from porchflow.gitrepo.remote.call import Timeouts
from porchflow.gitrepo.remote.remote import BasicAuth, Remote, SshKey
from porchflow.gitrepo.remote.transport import Transport
from tests.gitrepo.conftest import Served
from tests.gitrepo.remote.test_attacks import answering
from tests.gitrepo.remote.test_cancelling import deaf, silent

resolve = socket.getaddrinfo
PUBLIC = "93.184.215.14"


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Transport]:
    """A transport with the networks that are denied by default."""
    transport = Transport(tmp_path / "guarded", denied=DeniedNetworks(DENIED_BY_DEFAULT))
    yield transport
    transport.close()


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Transport]:
    """A transport that reaches this machine for authors too, as one with a private network."""
    transport = Transport(tmp_path / "inside", Timeouts(connect=1.0, silence=1.0), DeniedNetworks(["169.254.0.0/16"]))
    yield transport
    transport.close()


def naming(monkeypatch: pytest.MonkeyPatch, *addresses: tuple[str, int]) -> list[str]:
    """Have each name mean some addresses; return the names that were resolved."""
    asked: list[str] = []

    def answer(host: str, port: int, *rest: Any) -> list[Any]:
        asked.append(host)
        return [found for ip, at in addresses for found in resolve(ip, at or port, *rest)]

    monkeypatch.setattr("porchflow.gitrepo.remote.dialing.socket.getaddrinfo", answer)
    return asked


async def listed(transport: Transport, remote: Remote) -> dict[str, object]:
    return dict(await asyncio.to_thread(transport.list_refs, remote))


def chosen(url: str, credentials: BasicAuth | SshKey | None = None) -> Remote:
    return Remote(url, credentials, is_chosen=True)


# Names


async def test_dead_addresses_share_the_time_to_connect(
    ready: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The living one is reached, however many dead ones come before it."""
    transport = Transport(tmp_path / "transport", Timeouts(connect=2.0))
    with deaf() as port:
        naming(monkeypatch, ("127.0.0.1", port), ("127.0.0.1", 1), ("127.0.0.1", ready.server.port))
        assert "refs/heads/main" in await listed(
            transport, Remote(f"http://many.example.com/{ready.path.name}", ready.remote.credentials)
        )


async def test_a_name_with_very_many_addresses_is_tried_at_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    transport = Transport(tmp_path / "transport")
    tried: list[Any] = []
    connect_ex = socket.socket.connect_ex

    class Seen(socket.socket):
        def connect_ex(self, address: Any) -> int:
            tried.append(address)
            return connect_ex(self, address)

    naming(monkeypatch, *((f"127.0.{number // 200}.{number % 200 + 1}", 1) for number in range(1000)))
    monkeypatch.setattr("porchflow.gitrepo.remote.dialing.socket.socket", Seen)
    with pytest.raises(GitUnavailable, match="refused"):
        await listed(transport, Remote("http://many.example.com/x"))
    assert len(tried) == GIT_ADDRESSES


@pytest.mark.parametrize("host", ["none.invalid", "a" * 64 + ".example.com", "a..example.com"])
async def test_names_that_mean_nothing(tmp_path: Path, guarded: Transport, ssh_key: SshKey, host: str) -> None:
    with pytest.raises(GitError, match="resolved"):
        await listed(Transport(tmp_path / "transport"), Remote(f"http://{host}/x"))
    # An author who mistyped the name is told so, too.
    for remote in (chosen(f"http://{host}/x"), chosen(f"ssh://git@{host}/x", ssh_key)):
        with pytest.raises(GitError, match="resolved"):
            await listed(guarded, remote)


# Networks

SPELLINGS = [
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0177.0.0.1",
    "0.0.0.0",
    "localhost",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "169.254.169.254",
    "[fe80::1]",
    "100.100.100.200",
    "[fd00:ec2::254]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::1]",
]


@pytest.mark.parametrize("host", SPELLINGS)
@pytest.mark.parametrize("scheme", ["http", "https", "ssh"])
async def test_what_only_the_worker_reaches_is_denied(
    guarded: Transport, ssh_key: SshKey, scheme: str, host: str
) -> None:
    async with silent() as (port, spoken, left):
        remote = chosen(f"{scheme}://{host}:{port}/x", ssh_key if scheme == "ssh" else None)
        with pytest.raises(GitAddressDenied, match="PORCHFLOW_GIT_DENIED_UPSTREAMS"):
            await listed(guarded, remote)
        assert not spoken.is_set()
        assert not left.is_set(), "there was no connection"


async def test_a_registered_repository_may_be_anywhere(ready: Served, guarded: Transport) -> None:
    assert "refs/heads/main" in await listed(guarded, ready.remote)
    with pytest.raises(GitAddressDenied):
        await listed(guarded, chosen(ready.remote.url, BasicAuth("someone", "else")))


@pytest.mark.parametrize("addresses", [["10.1.2.3", "127.0.0.1"], ["127.0.0.1", "10.1.2.3"]])
async def test_one_denied_address_of_a_name_is_enough(
    guarded: Transport, monkeypatch: pytest.MonkeyPatch, addresses: list[str]
) -> None:
    naming(monkeypatch, *((ip, 0) for ip in addresses))
    with pytest.raises(GitAddressDenied):
        await listed(guarded, chosen("http://git.example.com/x"))


async def test_a_name_is_checked_for_each_connection(
    ready: Served, guarded: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The owner of a name changes it between two requests: what was checked once says nothing of the next time."""
    url = f"http://git.example.com:{ready.server.port}/{ready.path.name}"
    remote = chosen(url, BasicAuth("x", "y"))
    naming(monkeypatch, (PUBLIC, 1))
    with monkeypatch.context() as patch:
        patch.setattr("porchflow.gitrepo.remote.dialing.Dial.connect", _refused)
        with pytest.raises(GitUnavailable):
            await listed(guarded, remote)
    naming(monkeypatch, ("127.0.0.1", 0))
    ready.faults.requests = 0
    with pytest.raises(GitAddressDenied):
        await listed(guarded, remote)
    assert ready.faults.requests == 0


def _refused(*_: object) -> socket.socket:
    raise ConnectionRefusedError


async def test_a_redirect_is_checked_like_the_address(inside: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stays at its origin, and the name means another address now."""

    async def answer(request: web.Request) -> web.Response:
        naming(monkeypatch, ("169.254.169.254", 0))
        response = web.Response(status=302, headers={"Location": f"/moved{request.rel_url}"})
        response.force_close()
        return response

    async with answering(answer) as url:
        naming(monkeypatch, ("127.0.0.1", 0))
        with pytest.raises(GitAddressDenied):
            await listed(inside, chosen(url.replace("127.0.0.1", "git.example.com")))


async def test_behind_a_proxy_a_denied_address_is_denied(guarded: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    async with silent() as (port, spoken, _):
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("no_proxy", "")
        with pytest.raises(GitAddressDenied):
            await listed(guarded, chosen("http://169.254.169.254/x"))
        assert not spoken.is_set()


async def test_ssh_connects_to_the_address_that_was_checked(
    guarded: Transport, ssh_key: SshKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could resolve the name again, to another address. Its known hosts go by the name all the same."""
    told = tmp_path / "arguments"
    ssh = tmp_path / "bin" / "ssh"
    ssh.parent.mkdir()
    ssh.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {told}\n')
    ssh.chmod(0o700)
    monkeypatch.setenv("PATH", f"{ssh.parent}:/usr/bin:/bin")
    naming(monkeypatch, (PUBLIC, 0))
    for port, alias in ((22, "git.example.com"), (2222, "[git.example.com]:2222")):
        with pytest.raises(GitUnavailable):
            await listed(guarded, chosen(f"ssh://git@git.example.com:{port}/x", ssh_key))
        arguments = told.read_text().splitlines()
        assert f"HostName={PUBLIC}" in arguments
        assert f"HostKeyAlias={alias}" in arguments


# What is told


async def _answers(inside: Transport, credentials: BasicAuth | None = None) -> dict[str, str]:
    """Ask for all kinds of servers; return what is told of each, without its address."""
    told: dict[str, str] = {}

    async def ask(kind: str, url: str) -> None:
        remote = chosen(url, credentials)
        with pytest.raises(GitError) as caught:
            await listed(inside, remote)
        told[kind] = f"{type(caught.value).__name__}: {str(caught.value).replace(remote.display, 'URL')}"

    await ask("nothing", "http://127.0.0.1:1/x")
    await ask("no TLS", "https://127.0.0.1:1/x")
    for status in (200, 302, 401, 403, 404, 429, 500):

        async def answer(_: web.Request, status: int = status) -> web.Response:
            return web.Response(status=status, text="secrets of this server", headers={"Location": "http://10.0.0.1/"})

        async with answering(answer) as url:
            await ask(str(status), url)
            await ask(f"{status} without TLS", url.replace("http://", "https://"))
    async with silent(b"SSH-2.0-OpenSSH_9.2\r\n") as (port, _, _):
        await ask("ssh", f"http://127.0.0.1:{port}/x")
    with deaf() as port:
        await ask("deaf", f"http://127.0.0.1:{port}/x")
    return told


async def test_the_answers_of_the_network_inside_are_no_port_scanners(inside: Transport) -> None:
    told = await _answers(inside)
    assert len(told) == 18
    [only] = set(told.values())
    assert only.startswith("GitUnavailable: ")
    assert "the log of the worker says why" in only


async def test_refused_credentials_are_told_to_whom_they_belong(inside: Transport) -> None:
    told = await _answers(inside, BasicAuth("someone", "wrong"))
    assert told.pop("401").startswith("GitAuthError: ")
    assert told.pop("403").startswith("GitAuthError: ")
    assert len(set(told.values())) == 1


async def test_the_log_says_what_the_author_is_not_told(inside: Transport, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(GitUnavailable):
        await listed(inside, chosen("http://127.0.0.1:1/x"))
    assert "Connection refused" in caplog.text


async def test_a_git_server_inside_is_told_in_full(ready: Served, inside: Transport) -> None:
    assert "refs/heads/main" in await listed(inside, chosen(ready.remote.url, ready.remote.credentials))  # type: ignore[arg-type]  # of this kind


@pytest.mark.parametrize(("status", "kind"), [(404, GitNotFound), (401, GitAuthError), (500, GitUnavailable)])
async def test_the_answers_of_the_internet_are_told(
    inside: Transport, monkeypatch: pytest.MonkeyPatch, status: int, kind: type[GitError]
) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, text="words of the server")

    monkeypatch.setattr("porchflow.gitrepo.remote.dialing.is_internal", lambda _: False)
    async with answering(answer) as url:
        with pytest.raises(kind) as caught:
            await listed(inside, chosen(url))
    assert str(status) in str(caught.value) or kind is GitAuthError


# Laws

fours = st.ip_addresses(v=4)
EMBEDDED: list[Callable[[int], str]] = [
    lambda four: f"::ffff:{four >> 16:x}:{four & 0xFFFF:x}",
    lambda four: f"64:ff9b::{four >> 16:x}:{four & 0xFFFF:x}",
    lambda four: f"2002:{four >> 16:x}:{four & 0xFFFF:x}::1",
]


@given(fours, st.sampled_from(EMBEDDED))
def test_an_address_in_another_form_is_the_same_address(four: Any, form: Callable[[int], str]) -> None:
    denied = DeniedNetworks(DENIED_BY_DEFAULT)
    other = form(int(four))
    assert denied.denies(str(four)) <= denied.denies(other)
    assert is_internal(str(four)) <= is_internal(other)
    assert DeniedNetworks([str(four)]).denies(other)


@given(st.text(max_size=20))
def test_texts_are_networks_or_refused_in_words(text: str) -> None:
    with contextlib.suppress(BadNetwork):
        assert DeniedNetworks([text])


@pytest.mark.parametrize("text", ["", "10.0.0.0/33", "10.0.0", "git.example.com", "10.0.0.0/8,10.1.0.0/16", "::1/129"])
def test_no_network_is_refused_in_words(text: str) -> None:
    with pytest.raises(BadNetwork, match="is no network: give addresses such as"):
        DeniedNetworks([text])
