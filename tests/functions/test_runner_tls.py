import datetime as dt
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from porchflow.functions.calls.client import GrpcEvaluator
from porchflow.functions.calls.tls import CertificateError, ClientCredentials, Identity, server_credentials
from porchflow.functions.function_errors import RunnerUnavailable
from porchflow.kpt.format.resource_list import compose_list
from porchflow.kpt.render.evaluation import Evaluation
from tests.functions.lists import config
from tests.functions.runner import Runner, running
from tests.servers.authority import Authority, Pair

LABELS = "ghcr.io/kptdev/krm-functions-catalog/set-labels:v0.2.0"
LIST = compose_list(["kind: X\nmetadata:\n  name: x\n"], function_config=config({"a": "b"}))
SIZE = 1_000_000


class World:
    """An authority, another one that nobody trusts, and a runner's certificate."""

    def __init__(self, folder: Path) -> None:
        self.ours = Authority(folder / "ours")
        self.theirs = Authority(folder / "theirs", "another-authority")
        self.ca, self.other_ca = folder / "ca.crt", folder / "other.crt"
        self.ca.write_text(self.ours.pem)
        self.other_ca.write_text(self.theirs.pem)
        self.server = self.ours.issue("runner", "127.0.0.1")

    @asynccontextmanager
    async def runner(self, *, clients: Path | None = None) -> AsyncIterator[Runner]:
        files = {"tls_cert": str(self.server.certificate), "tls_key": str(self.server.key)}
        if clients:
            files["client_ca"] = str(clients)
        async with running(**files) as runner:
            yield runner


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def ask(runner: Runner, identity: Identity, deadline: float = 20) -> Evaluation:
    client = GrpcEvaluator(runner.address, max_message_size=SIZE, deadline=deadline, identity=identity)
    async with client as evaluate:
        return await evaluate(LABELS, LIST)


def client(pair: Pair | None, ca: Path | None) -> Identity:
    return Identity(pair.certificate, pair.key, ca) if pair else Identity(ca=ca)


async def test_a_client_that_trusts_the_runner_is_served(world: World) -> None:
    async with world.runner() as runner:
        assert b"labels" in (await ask(runner, client(None, world.ca))).resource_list


async def refused(runner: Runner, identity: Identity) -> str:
    """What a call says that the runner, or the client, does not want."""
    async with GrpcEvaluator(runner.address, max_message_size=SIZE, deadline=5, identity=identity) as evaluate:
        with pytest.raises(RunnerUnavailable) as raised:
            await evaluate(LABELS, LIST)
    return raised.value.reason


async def test_a_client_believes_no_other_certificate(world: World) -> None:
    async with world.runner() as runner:
        said = await refused(runner, client(None, world.other_ca))
        assert said.startswith("UNAVAILABLE: its certificate is not of the CA that we trust (")
        said = await refused(runner, Identity())
        assert said.startswith("UNAVAILABLE: it hung up at once: perhaps it speaks TLS only (")


async def test_a_runner_whose_certificate_is_for_another_name_is_said(world: World) -> None:
    world.server = world.ours.issue("other", "runner.example.com")
    async with world.runner() as runner:
        said = await refused(runner, client(None, world.ca))
        assert said.startswith("UNAVAILABLE: its certificate is for another name (")


async def test_a_runner_whose_certificate_has_expired_is_said(world: World) -> None:
    world.server = world.ours.issue("late", "127.0.0.1", valid=-dt.timedelta(minutes=1))
    async with world.runner() as runner:
        assert "its certificate has expired" in await refused(runner, client(None, world.ca))


async def test_a_runner_without_tls_is_said(world: World) -> None:
    async with running() as runner:
        said = await refused(runner, client(None, world.ca))
        assert said.startswith("UNAVAILABLE: it speaks no TLS, but we do (")


async def test_a_runner_that_asks_for_certificates_serves_only_its_clients(world: World) -> None:
    async with world.runner(clients=world.ca) as runner:
        good = world.ours.issue("worker")
        assert b"labels" in (await ask(runner, client(good, world.ca))).resource_list
        for pair in (None, world.theirs.issue("stranger"), world.ours.issue("late", valid=-dt.timedelta(minutes=1))):
            assert "perhaps it asks for a client certificate" in await refused(runner, client(pair, world.ca))


async def test_a_new_certificate_is_taken_without_a_restart(world: World) -> None:
    async with world.runner() as runner:
        assert await ask(runner, client(None, world.ca))
        new = world.theirs.issue("new-runner", "127.0.0.1")
        shutil.copy(new.key, world.server.key)
        shutil.copy(new.certificate, world.server.certificate)
        assert b"labels" in (await ask(runner, client(None, world.other_ca))).resource_list
        with pytest.raises(RunnerUnavailable):
            await ask(runner, client(None, world.ca), deadline=2)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"certificate": "c"}, "give both a certificate and its key, or neither"),
        ({"certificate": "absent", "key": "absent"}, "cannot read absent: No such file or directory"),
        ({"ca": "ca"}, "a function runner that asks for client certificates needs a certificate of its own"),
    ],
)
def test_what_is_missing_is_named(world: World, files: dict[str, Any], message: str) -> None:
    paths = {name: world.ca if value == "ca" else Path(value) for name, value in files.items()}
    with pytest.raises(CertificateError, match=message):
        server_credentials(Identity(**paths))


@pytest.mark.parametrize("content", ["key", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_ca_that_is_none_is_named(world: World, content: str) -> None:
    text = world.server.key.read_text() if content == "key" else content
    world.ca.write_text(text)
    with pytest.raises(CertificateError, match=r"ca\.crt holds no certificate of a CA that can be used$"):
        server_credentials(Identity(world.server.certificate, world.server.key, world.ca))


def test_a_file_without_certificate_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("hello")
    with pytest.raises(CertificateError, match=r"empty\.pem holds no PEM block"):
        ClientCredentials(Identity(ca=tmp_path / "empty.pem"))
