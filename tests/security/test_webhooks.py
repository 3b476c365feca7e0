"""Senders of webhooks: one team's cannot speak for another's, and slow ones keep no place from others."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import ClientSession
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from porchflow.api.limits import WEBHOOK_BODIES
from porchflow.api.webhook_secrets import repository_secret
from porchflow.cli.main import main
from porchflow.devstack.processes import HOST, free_port
from porchflow.kube.following import Key
from porchflow.watcher.indexes.places import Places
from porchflow.watcher.watcher_settings import WatcherSettings
from porchflow.watcher.webhooks.endpoint import serve_webhooks
from porchflow.watcher.webhooks.payloads import Refused
from porchflow.watcher.webhooks.webhook_bodies import Bodies
from tests.watcher import forges
from tests.watcher.forges import SECRET, Request, github, gitlab, signature
from tests.watcher.objects import repository

OLD = "an-old-secret-of-the-watcher"


@dataclass
class Endpoint:
    """The endpoint as the watcher serves it, at a port of its own."""

    port: int
    synced: list[Key] = field(default_factory=list)

    async def post(self, request: Request, path: str = "/webhooks") -> tuple[int, str]:
        headers, body = request
        url = f"http://{HOST}:{self.port}{path}"
        async with ClientSession() as client, client.post(url, data=body, headers=headers) as response:
            return response.status, await response.text()


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    places = Places()
    for namespace in ("team-a", "team-b"):
        registered = repository(namespace, "packages")
        registered["spec"]["git"]["repo"] = f"https://{forges.HOST}/{namespace}/packages"
        places.note(registered)
    found = Endpoint(free_port())
    settings = WatcherSettings(webhook_address=f"{HOST}:{found.port}", webhook_secret=SecretStr(f"{OLD},{SECRET}"))
    async with serve_webhooks(settings, places, found.synced.append):
        yield found


def signed(secret: str) -> Request:
    headers, body = github(path="team-a/packages")
    return {**headers, "X-Hub-Signature-256": "sha256=" + signature(body, secret)}, body


def with_token(secret: str) -> Request:
    headers, body = gitlab(path="team-a/packages")
    return {**headers, "X-Gitlab-Token": secret}, body


@pytest.mark.parametrize("made", [signed, with_token])
@pytest.mark.parametrize("installation", [OLD, SECRET])
async def test_the_secret_of_a_repository_speaks_for_that_one_alone(
    endpoint: Endpoint, made: object, installation: str
) -> None:
    request = signed if made is signed else with_token
    own = repository_secret(installation, "team-b", "packages")
    status, _ = await endpoint.post(request(own), "/webhooks/team-b/packages")
    assert (status, endpoint.synced) == (202, [("team-b", "packages")])
    endpoint.synced.clear()
    for path in (
        "/webhooks/team-a/packages",
        "/webhooks/team-b/other",
        "/webhooks",
        "/webhooks/team-b%2Fpackages/packages",
        "/webhooks/team-b/packages%2F",
    ):
        status, told = await endpoint.post(request(own), path)
        assert (status, endpoint.synced) == (401, []), path
        assert own not in told
        assert installation not in told


@given(
    st.lists(
        st.tuples(st.from_regex("[a-z0-9-]{1,8}", fullmatch=True), st.from_regex("[a-z0-9.-]{1,8}", fullmatch=True)),
        unique=True,
        min_size=2,
    )
)
def test_no_two_repositories_share_a_secret(keys: list[Key]) -> None:
    assert len({repository_secret(SECRET, *key) for key in keys}) == len(keys)
    assert SECRET not in {repository_secret(SECRET, *key) for key in keys}


def test_the_command_prints_the_secret_of_the_newest_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORCHFLOW_WEBHOOK_SECRET", f"{OLD},{SECRET}")
    done = CliRunner().invoke(main, ["webhook-secret", "packages", "-n", "team-a"])
    assert (done.exit_code, done.output) == (0, repository_secret(SECRET, "team-a", "packages") + "\n")
    monkeypatch.delenv("PORCHFLOW_WEBHOOK_SECRET")
    done = CliRunner().invoke(main, ["webhook-secret", "packages", "-n", "team-a"])
    assert done.exit_code == 2
    assert "PORCHFLOW_WEBHOOK_SECRET is not set" in done.output


async def _drip(endpoint: Endpoint, headers: dict[str, str]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Begin a request whose body never ends."""
    reader, writer = await asyncio.open_connection(HOST, endpoint.port)
    lines = [f"{name}: {value}" for name, value in {**headers, "Host": HOST, "Content-Length": "1000"}.items()]
    writer.write("\r\n".join(["POST /webhooks HTTP/1.1", *lines, "", "{"]).encode())
    await writer.drain()
    return reader, writer


async def test_dripping_bodies_keep_no_place_from_others(endpoint: Endpoint) -> None:
    """Each push is taken although three times as many bodies drip as there are places, before and after it."""
    dripping = []
    for _ in range(3):
        dripping += [
            await _drip(endpoint, {"X-Hub-Signature-256": "sha256=" + "0" * 64}) for _ in range(WEBHOOK_BODIES)
        ]
        status, _ = await endpoint.post(github(path="team-a/packages"))
        assert status == 202
    first, _ = dripping[0]
    answer = (await first.readuntil(b"\r\n")).decode()
    assert "503" in answer, "its place was taken"
    assert endpoint.synced[0] == ("team-a", "packages")
    for _, writer in dripping:
        writer.close()


async def test_a_body_without_a_proof_takes_no_place(endpoint: Endpoint) -> None:
    """It is refused before its body arrives."""
    reader, writer = await _drip(endpoint, {"X-GitHub-Event": "push"})
    assert b"401" in await reader.readuntil(b"\r\n")
    writer.close()


async def _never() -> bytes:
    await asyncio.Event().wait()
    return b""


async def test_the_sender_with_the_most_bodies_gives_way_first() -> None:
    bodies = Bodies(4)
    slow = {
        name: asyncio.create_task(bodies.read(address, _never))
        for name, address in {
            "one": "192.0.2.1",
            "first": "2001:db8::1",
            "second": "2001:db8::2",
            "other": "2001:db8:1::",
        }.items()
    }
    await asyncio.sleep(0)
    assert bodies.arriving == 4
    assert await bodies.read("198.51.100.1", _quick) == b"body"
    with pytest.raises(Refused) as refused:
        await slow["first"]
    assert refused.value.status == 503
    assert [name for name, task in slow.items() if not task.done()] == ["one", "second", "other"]
    for task in slow.values():
        task.cancel()
    await asyncio.gather(*slow.values(), return_exceptions=True)
    assert bodies.arriving == 0


async def _quick() -> bytes:
    return b"body"


async def test_bodies_leave_no_places_behind() -> None:
    """However they end: read, broken off, refused."""
    bodies = Bodies(2)

    async def broken() -> bytes:
        raise ConnectionResetError

    for _ in range(5):
        assert await bodies.read("192.0.2.1", _quick) == b"body"
        with pytest.raises(ConnectionResetError):
            await bodies.read("192.0.2.1", broken)
        task = asyncio.create_task(bodies.read("192.0.2.1", _never))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert bodies.arriving == 0


async def test_a_refusal_tells_no_secret(endpoint: Endpoint, caplog: pytest.LogCaptureFixture) -> None:
    wrong = repository_secret(SECRET, "team-b", "packages")
    _, told = await endpoint.post(with_token(wrong), "/webhooks/team-a/packages")
    assert "porchflow webhook-secret" in json.loads(told)["error"]
    for secret in (wrong, SECRET, repository_secret(SECRET, "team-a", "packages")):
        assert secret not in told + caplog.text
