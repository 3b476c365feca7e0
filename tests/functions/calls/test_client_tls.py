"""The client's certificates are replaced while it runs."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from porchflow.functions.calls.client import GrpcEvaluator
from porchflow.functions.calls.tls import CertificateError, ClientCredentials, Identity, server_credentials
from porchflow.functions.proto import evaluator_pb2, evaluator_pb2_grpc
from tests.servers.authority import Authority, Pair


class Mirror(evaluator_pb2_grpc.FunctionEvaluatorServicer):
    """Answers with the name in the certificate of who asks."""

    def __init__(self) -> None:
        self.asked, self.finish = asyncio.Event(), asyncio.Event()

    async def EvaluateFunction(self, request: Any, context: Any) -> evaluator_pb2.EvaluateFunctionResponse:  # noqa: N802
        if request.image == "slow":
            self.asked.set()
            await self.finish.wait()
        (name,) = context.auth_context()["x509_common_name"]
        return evaluator_pb2.EvaluateFunctionResponse(log=name)


class World:
    """A runner that asks for certificates, and the files of both sides."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority(folder / "first")
        self.runner, self.worker = self._identity("runner"), self._identity("worker")
        self.mirror = Mirror()

    def _identity(self, name: str) -> Identity:
        return Identity(*(self.folder / f"{name}.{end}" for end in ("crt", "key", "ca")))

    def provide(self, name: str, authority: Authority) -> Identity:
        """Put new certificates of both sides into place."""
        self.replace(self.runner, authority.issue(f"runner of {name}", "127.0.0.1"), authority)
        self.replace(self.worker, authority.issue(name), authority)
        return self.worker

    def replace(self, identity: Identity, pair: Pair, authority: Authority) -> None:
        assert identity.certificate
        assert identity.key
        assert identity.ca
        shutil.copy(pair.certificate, identity.certificate)
        shutil.copy(pair.key, identity.key)
        identity.ca.write_text(authority.pem)


@pytest.fixture
async def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.provide("before", world.authority)
    return world


@pytest.fixture
async def evaluate(world: World) -> AsyncIterator[GrpcEvaluator]:
    server = grpc.aio.server()
    evaluator_pb2_grpc.add_FunctionEvaluatorServicer_to_server(world.mirror, server)
    port = server.add_secure_port("127.0.0.1:0", server_credentials(world.runner))
    await server.start()
    async with GrpcEvaluator(
        f"127.0.0.1:{port}", max_message_size=1000, deadline=20, identity=world.worker
    ) as evaluate:
        yield evaluate
    await server.stop(None)


async def asks_as(evaluate: GrpcEvaluator, image: str = "any") -> str:
    return (await evaluate(image, b"")).log.decode()


async def test_new_certificates_count_from_the_next_call_on(world: World, evaluate: GrpcEvaluator) -> None:
    assert await asks_as(evaluate) == "before"
    world.provide("renewed", world.authority)
    assert await asks_as(evaluate) == "renewed"
    world.provide("of another authority", Authority(world.folder / "second", "second-authority"))
    assert await asks_as(evaluate) == "of another authority"


async def test_half_of_new_certificates_does_not_count(world: World, evaluate: GrpcEvaluator) -> None:
    pair = world.authority.issue("after")
    assert world.worker.certificate
    assert world.worker.key
    shutil.copy(pair.certificate, world.worker.certificate)
    assert await asks_as(evaluate) == "before"
    world.worker.key.unlink()
    assert await asks_as(evaluate) == "before"
    shutil.copy(pair.key, world.worker.key)
    assert await asks_as(evaluate) == "after"


async def test_a_call_under_way_ends_as_who_it_began(world: World, evaluate: GrpcEvaluator) -> None:
    slow = asyncio.create_task(asks_as(evaluate, "slow"))
    async with asyncio.timeout(20):
        await world.mirror.asked.wait()
        world.provide("after", world.authority)
        assert await asks_as(evaluate) == "after"
        world.mirror.finish.set()
        assert await slow == "before"


async def test_closing_ends_what_old_certificates_still_do(world: World, evaluate: GrpcEvaluator) -> None:
    slow = asyncio.create_task(asks_as(evaluate, "slow"))
    async with asyncio.timeout(20):
        await world.mirror.asked.wait()
        world.provide("after", world.authority)
        assert await asks_as(evaluate) == "after"
        await evaluate.close()
        await asyncio.wait([slow])
    assert slow.cancelled() or slow.exception()


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("key", "another", r"the key in .*worker\.key is not that of the certificate in .*worker\.crt"),
        ("key", "-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----\n", "worker.key holds no private key"),
        ("certificate", "-----BEGIN CERTIFICATE-----\n", r"worker\.crt holds no certificate that can be used"),
        ("ca", "another", r"worker\.ca holds no certificate of a CA that can be used"),
        (
            "ca",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            r"worker\.ca holds no certificate of a CA",
        ),
    ],
)
def test_a_pair_that_does_not_fit_is_named(tmp_path: Path, file: str, content: str, said: str) -> None:
    world = World(tmp_path)
    identity = world.provide("worker", world.authority)
    path = getattr(identity, file)
    path.write_bytes(world.authority.issue("other").key.read_bytes() if content == "another" else content.encode())
    with pytest.raises(CertificateError, match=said) as error:
        ClientCredentials(identity)
    assert "secret" not in str(error.value)
