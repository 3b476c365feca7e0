"""Real registries that want credentials, tokens and certificates."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from porchflow.functions.function_errors import ImageNotFound, RegistryUnavailable
from tests.functions.registry.conftest import looking
from tests.servers.authority import Authority
from tests.servers.registry import USER, Registry, docker_config, passwords, running_registry
from tests.servers.tokens import TokenServer


async def test_credentials_are_shown_to_who_asks_for_them(registry_binary: Path, tmp_path: Path) -> None:
    async with running_registry(registry_binary, tmp_path / "registry", auth=passwords(tmp_path)) as registry:
        digest = await registry.push("fn/tool:v1", ["/tool"])
        config = docker_config(tmp_path / "config.json", registry.address)
        async with looking(registry, config=config) as lookup:
            assert (await lookup.describe(registry.image("fn/tool:v1"))).digest == digest
        async with looking(registry) as lookup:
            with pytest.raises(ImageNotFound, match=r"does not show it .*credentials"):
                await lookup.describe(registry.image("fn/tool:v1"))


async def test_credentials_are_read_anew(registry_binary: Path, tmp_path: Path) -> None:
    async with running_registry(registry_binary, tmp_path / "registry", auth=passwords(tmp_path)) as registry:
        await registry.push("fn/tool:v1", ["/tool"])
        config = docker_config(tmp_path / "config.json", f"{registry.address}/fn", password="old")
        async with looking(registry, config=config) as lookup:
            with pytest.raises(ImageNotFound) as refused:
                await lookup.describe(registry.image("fn/tool:v1"))
            assert "old" not in str(refused.value)
            config.write_text("{")
            with pytest.raises(RegistryUnavailable, match="is not a Docker configuration"):
                await lookup.describe(registry.image("fn/tool:v1"))
            docker_config(config, f"{registry.address}/fn")
            assert (await lookup.describe(registry.image("fn/tool:v1"))).command == ("/tool",)


@pytest.fixture
async def tokens(tmp_path: Path) -> AsyncIterator[TokenServer]:
    server = TokenServer(tmp_path)
    await server.start()
    yield server
    await server.stop()


async def test_a_token_is_got_once_and_shown(registry_binary: Path, tokens: TokenServer, tmp_path: Path) -> None:
    async with running_registry(registry_binary, tmp_path / "registry", auth=tokens.auth) as registry:
        registry.headers = {"Authorization": f"Bearer {tokens.token('fn/tool', 'pull', 'push')}"}
        digest = await registry.push("fn/tool:v1", ["/tool"])
        config = docker_config(tmp_path / "config.json", f"https://{registry.address}")
        async with looking(registry, config=config) as lookup:
            assert (await lookup.describe(registry.image("fn/tool:v1"))).digest == digest
            assert list(await lookup.tags(registry.image("fn/tool"))) == ["v1"]
        assert tokens.asked == [("repository:fn/tool:pull", USER)]
        async with looking(registry) as lookup:
            with pytest.raises(ImageNotFound, match=r"does not show it \(who are you\?\)"):
                await lookup.describe(registry.image("fn/tool:v1"))


async def test_tls_with_a_ca_of_ones_own(registry_binary: Path, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki")
    bundle = tmp_path / "ca.pem"
    bundle.write_text(authority.pem)
    pair = authority.issue("registry", "127.0.0.1")
    trust = ssl.create_default_context(cadata=authority.pem)
    async with running_registry(registry_binary, tmp_path / "registry", pair=pair, trust=trust) as registry:
        digest = await registry.push("tool:v1", ["/tool"])
        async with looking(ca_bundle=bundle) as lookup:
            assert (await lookup.describe(registry.image("tool:v1"))).digest == digest
        async with looking() as lookup:
            with pytest.raises(RegistryUnavailable, match=r"cannot be reached: .*certificate verify failed"):
                await lookup.describe(registry.image("tool:v1"))


async def test_without_being_told_nothing_is_asked_without_encryption(registry: Registry) -> None:
    await registry.push("tool:v1", ["/tool"])
    async with looking() as lookup:
        with pytest.raises(RegistryUnavailable, match="cannot be reached"):
            await lookup.describe(registry.image("tool:v1"))
