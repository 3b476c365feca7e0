import asyncio
import base64
import datetime as dt
import shutil
import ssl
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from porchflow.content.serving.certificate_keeper import RENEW_BEFORE, VALID, CertificateKeeper, Pair
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import NotFound
from porchflow.kube.kinds import APISERVICES, SECRETS
from tests.servers.waiting import eventually

NAMES = ("content.porch-system.svc", "content.porch-system.svc.cluster.local")
NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)


def test_a_fresh_pair_serves_its_names() -> None:
    pair = Pair.make(NAMES, NOW)
    assert pair.serves(NAMES, NOW)
    assert pair.serves(NAMES[:1], NOW)
    assert not pair.serves([*NAMES, "other.example.com"], NOW)


@pytest.mark.parametrize(
    ("age", "serves"),
    [(-2 * DAY, False), (DAY, True), (VALID - RENEW_BEFORE - DAY, True), (VALID - RENEW_BEFORE + DAY, False)],
)
def test_it_is_renewed_in_time(age: dt.timedelta, serves: bool) -> None:
    assert Pair.make(NAMES, NOW).serves(NAMES, NOW + age) is serves


@pytest.mark.parametrize("part", ["certificate", "key", "authorities"])
@pytest.mark.parametrize("other", ["", "garbage", "of another pair"])
def test_what_does_not_fit_together_does_not_serve(part: str, other: str) -> None:
    pair, another = Pair.make(NAMES, NOW), Pair.make(NAMES, NOW)
    broken = {**vars(pair), part: getattr(another, part) if other == "of another pair" else other}
    assert not Pair(**broken).serves(NAMES, NOW)


def test_the_authority_before_is_trusted_until_its_end() -> None:
    first = Pair.make(NAMES, NOW)
    second = Pair.make(NAMES, NOW + 60 * DAY, first.authorities)
    assert second.authorities.endswith(first.authorities)
    # And only that one: a third certificate is made when nobody uses the first.
    third = Pair.make(NAMES, NOW + 120 * DAY, second.authorities)
    assert first.authorities not in third.authorities
    assert third.authorities.count("BEGIN CERTIFICATE") == 2
    late = Pair.make(NAMES, NOW + VALID + DAY, first.authorities)
    assert late.authorities.count("BEGIN CERTIFICATE") == 1


def test_a_secret_gives_back_what_it_got() -> None:
    pair = Pair.make(NAMES, NOW)
    assert Pair.of_secret({"data": pair.data}) == pair


@pytest.mark.parametrize(
    "secret",
    [{}, {"data": None}, {"data": {"tls.crt": ""}}, {"data": dict.fromkeys(("tls.crt", "tls.key", "ca.crt"), "?")}],
)
def test_a_secret_without_a_pair_is_no_pair(secret: dict[str, Any]) -> None:
    assert Pair.of_secret(secret) is None


Make = Callable[[str], CertificateKeeper]


@pytest.fixture
async def apiservice(kube: KubeClient, namespace: str) -> AsyncIterator[str]:
    """An APIService of the test's own, with a Service that leads nowhere."""
    group = f"t{uuid.uuid4().hex[:10]}.example.com"
    spec = {
        "group": group,
        "version": "v1",
        "groupPriorityMinimum": 1000,
        "versionPriority": 15,
        "service": {"name": "content", "namespace": namespace},
    }
    name = f"v1.{group}"
    body = {"apiVersion": APISERVICES.api_version, "kind": "APIService", "metadata": {"name": name}, "spec": spec}
    await kube.create(APISERVICES, body)
    yield name
    # One that does not answer would slow down the discovery of every other test.
    await kube.delete(APISERVICES, None, name)


@pytest.fixture
async def make(kube: KubeClient, namespace: str, apiservice: str, tmp_path: Path) -> Make:
    """Make a replica's keeper."""
    empty = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "content-tls"}}
    await kube.create(SECRETS, empty, namespace=namespace)

    def keeper(replica: str) -> CertificateKeeper:
        folder = tmp_path / replica
        return CertificateKeeper(
            kube, namespace=namespace, secret="content-tls", apiservice=apiservice, names=NAMES, folder=folder
        )

    return keeper


async def _bundle(kube: KubeClient, apiservice: str) -> str:
    service = await kube.get(APISERVICES, None, apiservice)
    return base64.b64decode(service["spec"]["caBundle"]).decode()


async def _served_with(keeper: CertificateKeeper, trusted: str) -> None:
    """Open a TLS connection to a server with the keeper's files, as the API server does."""
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(keeper.certificate, keeper.key)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=serving)
    async with server:
        port = server.sockets[0].getsockname()[1]
        trust = ssl.create_default_context(cadata=trusted)
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust, server_hostname=NAMES[0])
        writer.close()


async def test_the_api_server_is_told_whom_to_trust(make: Make, kube: KubeClient, apiservice: str) -> None:
    keeper = make("one")
    await keeper.check()
    await _served_with(keeper, await _bundle(kube, apiservice))
    assert keeper.key.stat().st_mode & 0o077 == 0


async def test_replicas_agree_on_one_certificate(make: Make) -> None:
    keepers = [make(f"replica-{number}") for number in range(4)]
    await asyncio.gather(*(keeper.check() for keeper in keepers))
    assert len({keeper.certificate.read_bytes() for keeper in keepers}) == 1
    assert len({keeper.key.read_bytes() for keeper in keepers}) == 1


async def test_nothing_is_written_while_all_is_well(
    make: Make, kube: KubeClient, namespace: str, apiservice: str
) -> None:
    keeper = make("one")
    await keeper.check()

    async def versions() -> list[str]:
        objects = [await kube.get(SECRETS, namespace, "content-tls"), await kube.get(APISERVICES, None, apiservice)]
        return [each["metadata"]["resourceVersion"] for each in objects]

    before = await versions()
    read = keeper.certificate.stat().st_mtime_ns
    await keeper.check()
    assert await versions() == before
    assert keeper.certificate.stat().st_mtime_ns == read


async def test_a_certificate_near_its_end_is_replaced_and_both_are_trusted(
    make: Make, kube: KubeClient, namespace: str, apiservice: str
) -> None:
    old = Pair.make(NAMES, NOW - VALID + RENEW_BEFORE - DAY)
    await kube.merge_patch(SECRETS, namespace, "content-tls", {"data": old.data})
    keeper = make("one")
    await keeper.check()
    assert keeper.certificate.read_text() != old.certificate
    bundle = await _bundle(kube, apiservice)
    await _served_with(keeper, bundle)
    # A replica that has not looked yet.
    keeper.certificate.write_text(old.certificate)
    keeper.key.write_text(old.key)
    await _served_with(keeper, bundle)


async def test_damage_is_mended(make: Make, kube: KubeClient, namespace: str, apiservice: str) -> None:
    keeper = make("one")
    await keeper.check()
    served = keeper.certificate.read_text()
    await kube.merge_patch(SECRETS, namespace, "content-tls", {"data": None})
    await kube.merge_patch(APISERVICES, None, apiservice, {"spec": {"caBundle": None, "insecureSkipTLSVerify": True}})
    await keeper.check()
    assert keeper.certificate.read_text() == served
    await _served_with(keeper, await _bundle(kube, apiservice))
    service = await kube.get(APISERVICES, None, apiservice)
    assert not service["spec"].get("insecureSkipTLSVerify")
    await kube.merge_patch(SECRETS, namespace, "content-tls", {"data": {"tls.key": base64.b64encode(b"?").decode()}})
    await keeper.check()
    await _served_with(keeper, await _bundle(kube, apiservice))


async def test_files_that_cannot_be_written_are_written_when_they_can_be(
    make: Make, kube: KubeClient, namespace: str, apiservice: str, tmp_path: Path
) -> None:
    keeper = make("one")
    await keeper.check()
    shutil.rmtree(tmp_path / "one")
    (tmp_path / "one").write_text("in the way")
    await kube.merge_patch(SECRETS, namespace, "content-tls", {"data": {"tls.key": base64.b64encode(b"?").decode()}})
    task = asyncio.create_task(keeper.run(every=0.05))
    try:
        await eventually(lambda: _has_key(kube, namespace), what="another pair is in the Secret")
        (tmp_path / "one").unlink()
        await eventually(keeper.certificate.exists, what="its files are there")
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await _served_with(keeper, await _bundle(kube, apiservice))


async def _has_key(kube: KubeClient, namespace: str) -> bool:
    return Pair.of_secret(await kube.get(SECRETS, namespace, "content-tls")) is not None


async def test_what_is_missing_is_said(make: Make, kube: KubeClient, namespace: str) -> None:
    await kube.delete(SECRETS, namespace, "content-tls")
    with pytest.raises(NotFound, match="content-tls"):
        await make("one").check()
