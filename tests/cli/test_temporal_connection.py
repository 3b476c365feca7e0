"""TLS, client certificates and API keys to a real Temporal server, through a frontend that wants them."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from porchflow.cli.doctor.findings import Level
from porchflow.cli.doctor.servers import check_temporal
from porchflow.cli.processes.connect import connect_temporal
from porchflow.cli.processes.temporal.temporal_connection import keep_api_key, read_connection
from porchflow.cli.settings import Settings, SettingsError, load_settings
from porchflow.kube.background import in_background
from tests.servers.authority import Authority
from tests.servers.temporal import TemporalServer
from tests.servers.temporal_gate import Gate, running_gate
from tests.servers.waiting import eventually


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    authority = Authority(tmp_path / "ours")
    (tmp_path / "ca.crt").write_text(authority.pem)
    return authority


async def namespaces(client: Client) -> bool:
    return (await client.service_client.check_health()) is True


async def connected(settings: Settings) -> Client:
    async with asyncio.timeout(30):
        return await connect_temporal(settings, lambda _: None)


async def waits_for(settings: Settings, condition: Callable[[str], bool]) -> str:
    """Return what a start that cannot connect says it waits for."""
    told: list[str] = []
    async with in_background(connect_temporal(settings, told.append)):
        await eventually(lambda: any(map(condition, told)), what=f"what it waits for, of {told}")
    return next(filter(condition, told))


def flags(gate: Gate, **more: object) -> Settings:
    return load_settings(
        {"temporal_address": gate.address, **{f"temporal_{name}": value for name, value in more.items()}}
    )


async def test_tls_with_a_private_ca(temporal_server: TemporalServer, ours: Authority, tmp_path: Path) -> None:
    async with running_gate(temporal_server.address, ours.issue("frontend", "127.0.0.1")) as gate:
        assert await namespaces(await connected(flags(gate, tls_ca=tmp_path / "ca.crt")))


async def test_mutual_tls_and_a_server_name(temporal_server: TemporalServer, ours: Authority, tmp_path: Path) -> None:
    client, serving = ours.issue("worker"), ours.issue("frontend", "temporal.example")
    async with running_gate(temporal_server.address, serving, clients=ours.pem) as gate:
        ca, name = tmp_path / "ca.crt", "temporal.example"
        settings = flags(gate, tls_ca=ca, tls_cert=client.certificate, tls_key=client.key, tls_server_name=name)
        assert await namespaces(await connected(settings))
        [found, *_] = await check_temporal(settings.temporal, 20)
        assert (found.level, found.where) == (Level.OK, gate.address)

        def refuses(text: str) -> bool:
            return "ends TLS" in text and "PORCHFLOW_TEMPORAL_TLS_CERT (--temporal-tls-cert)" in text

        await waits_for(flags(gate, tls_ca=ca, tls_server_name=name), refuses)
        [found, *_] = await check_temporal(flags(gate, tls_ca=ca, tls_server_name=name).temporal, 20)
        assert found.level == Level.FAILURE
        assert refuses(found.message)
        wrong = flags(gate, tls_ca=ca, tls_cert=client.certificate, tls_key=client.key)
        await waits_for(wrong, lambda text: "not trusted" in text and "--temporal-tls-server-name" in text)


async def test_a_ca_that_is_not_trusted_is_said(temporal_server: TemporalServer, ours: Authority) -> None:
    async with running_gate(temporal_server.address, ours.issue("frontend", "127.0.0.1")) as gate:
        told = await waits_for(flags(gate, tls=True), lambda text: "not trusted" in text)
        assert "correct PORCHFLOW_TEMPORAL_TLS_CA (--temporal-tls-ca)" in told


async def test_plain_text_at_a_tls_port_is_said(temporal_server: TemporalServer, ours: Authority) -> None:
    async with running_gate(temporal_server.address, ours.issue("frontend", "127.0.0.1")) as gate:
        told = await waits_for(flags(gate), lambda text: "speaks TLS only" in text)
        assert "set PORCHFLOW_TEMPORAL_TLS (--temporal-tls) to true" in told
        [found] = await check_temporal(flags(gate).temporal, 20)
        assert "speaks TLS only" in found.message


async def test_tls_at_a_plain_port_is_said(temporal_server: TemporalServer) -> None:
    settings = load_settings({"temporal_address": temporal_server.address, "temporal_tls": "true"})
    await waits_for(
        settings, lambda text: "speaks no TLS: set PORCHFLOW_TEMPORAL_TLS (--temporal-tls) to false" in text
    )
    [found] = await check_temporal(settings.temporal, 20)
    assert "speaks no TLS" in found.message


async def test_an_api_key_that_expires_is_replaced(
    temporal_server: TemporalServer, ours: Authority, tmp_path: Path
) -> None:
    file = tmp_path / "api-key"
    file.write_text("the-first-key\n")
    serving = ours.issue("frontend", "127.0.0.1")
    async with running_gate(temporal_server.address, serving, keys={"the-first-key"}) as gate:
        settings = flags(gate, tls_ca=tmp_path / "ca.crt", api_key_file=file)
        client = await connected(settings)
        async with in_background(keep_api_key(client, settings.temporal, seconds=0.01)):
            assert await _answered(client)
            gate.keys = {"the-second-key"}
            assert not await _answered(client)
            file.write_text("")
            file.write_text("the-second-key\n")
            await eventually(lambda: _answered(client), what="a call with the new key")
        assert client.api_key == "the-second-key"
        assert "second-key" not in f"{read_connection(settings.temporal)!r}"
        gate.keys = set()
        told = await waits_for(settings, lambda text: "refuses the credentials" in text)
        assert "PORCHFLOW_TEMPORAL_API_KEY_FILE (--temporal-api-key-file)" in told
        [found] = await check_temporal(settings.temporal, 20)
        assert "refuses the credentials" in found.message


async def _answered(client: Client) -> bool:
    try:
        await client.count_workflows("WorkflowType='none'")
    except RPCError as error:
        if error.status != RPCStatusCode.UNAUTHENTICATED:
            raise
        return False
    return True


async def test_temporals_own_environment_is_read_and_settings_go_first(
    temporal_server: TemporalServer, ours: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, serving = ours.issue("worker"), ours.issue("frontend", "127.0.0.1")
    async with running_gate(temporal_server.address, serving, clients=ours.pem, keys={"of-the-profile"}) as gate:
        profile = tmp_path / "temporal.toml"
        profile.write_text(
            f"""
[profile.ours]
address = "{gate.address}"
namespace = "nowhere"
api_key = "of-the-profile"
[profile.ours.tls]
server_ca_cert_path = "{tmp_path / "ca.crt"}"
client_cert_path = "{client.certificate}"
client_key_path = "{client.key}"
"""
        )
        monkeypatch.setenv("TEMPORAL_CONFIG_FILE", str(profile))
        monkeypatch.setenv("TEMPORAL_PROFILE", "ours")
        assert read_connection(load_settings().temporal).address == gate.address
        await waits_for(load_settings(), lambda text: "'nowhere'" in text and "not found" in text.lower())
        monkeypatch.setenv("TEMPORAL_NAMESPACE", "default")
        assert await _answered(await connected(load_settings()))
        monkeypatch.setenv("PORCHFLOW_TEMPORAL_TLS", "false")
        plain = read_connection(load_settings().temporal)
        assert (plain.tls, plain.api_key) == (None, None), "a key is never sent in plain text"
        monkeypatch.setenv("PORCHFLOW_TEMPORAL_ADDRESS", "elsewhere:7233")
        assert read_connection(load_settings().temporal).address == "elsewhere:7233"


def test_without_anything_it_is_plain_text_on_this_machine() -> None:
    found = read_connection(load_settings().temporal)
    assert (found.address, found.namespace, found.tls, found.api_key) == ("127.0.0.1:7233", "default", None, None)


@pytest.mark.parametrize("name", ["tls_ca", "tls_cert", "api_key_file"])
@pytest.mark.parametrize("content", [None, "", "no key, and no certificate"])
def test_a_file_that_cannot_be_used_is_named(name: str, content: str | None, tmp_path: Path) -> None:
    file = tmp_path / "file"
    if content is not None:
        file.write_text(content)
    given = {f"temporal_{name}": file, **({"temporal_tls_key": file} if name == "tls_cert" else {})}
    with pytest.raises(SettingsError, match=f"PORCHFLOW_TEMPORAL_.*{file}"):
        read_connection(load_settings(given).temporal)


def test_settings_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("a-key")
    with pytest.raises(
        SettingsError, match=r"\(--temporal-tls\) is false, and .*\(--temporal-api-key-file\) needs TLS"
    ):
        read_connection(load_settings({"temporal_tls": "false", "temporal_api_key_file": tmp_path / "key"}).temporal)
    with pytest.raises(SettingsError, match="both a certificate and its key"):
        read_connection(load_settings({"temporal_tls_cert": tmp_path / "key"}).temporal)


def test_a_profile_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_PROFILE", "unheard-of")
    monkeypatch.setenv("TEMPORAL_CONFIG_FILE", os.devnull)
    with pytest.raises(SettingsError, match=r"TEMPORAL_PROFILE.*unheard-of"):
        read_connection(load_settings().temporal)
