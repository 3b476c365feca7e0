"""Tags of functions: the builtin ones', and those of a real registry."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from porchflow.functions.builtin.catalog import BUILTINS, CATALOGS, find, versions_of
from porchflow.functions.function_errors import ImageNotFound
from porchflow.functions.registry.credentials import DockerConfig
from porchflow.functions.registry.lookup import RegistryLookup
from porchflow.functions.registry.session import RegistrySession
from porchflow.functions.tags import FunctionTags
from porchflow.kpt.format.images import parse_image
from porchflow.kpt.format.kptfile import Function
from porchflow.kpt.render.image_names import ImageResolver
from tests.servers.registry import Registry, running_registry


@pytest.mark.parametrize("catalog", [*CATALOGS, "our.example/catalog"])
async def test_a_builtin_function_needs_no_registry(catalog: str) -> None:
    resolver = ImageResolver("our.example/catalog", FunctionTags("our.example/catalog", None))
    image = await resolver.resolve(Function(image=f"{catalog}/ensure-name-substring", tag="~0"))
    assert image == f"{catalog}/ensure-name-substring:v0.2.1"


@pytest.mark.parametrize("name", sorted({builtin.name for builtin in BUILTINS.values()}))
def test_the_versions_of_a_builtin_are_built_in(name: str) -> None:
    found = versions_of(parse_image(f"{CATALOGS[0]}/{name}"))
    assert found
    assert all(find(f"{CATALOGS[0]}/{name}:{version}") for version in found)
    assert len({version.count(".") for version in found}) == 1


@pytest.fixture
async def registry(registry_binary: Path, tmp_path: Path) -> AsyncIterator[Registry]:
    async with running_registry(registry_binary, tmp_path / "registry") as registry:
        yield registry


async def test_other_versions_are_looked_for_in_the_registry(registry: Registry) -> None:
    for version in ("v0.2.9", "v0.9.0"):
        await registry.push(f"catalog/set-labels:{version}", ["/labels"])
    prefix = f"{registry.address}/catalog"
    async with RegistrySession(DockerConfig(None), insecure=[registry.address], trust_env=False) as session:
        resolver = ImageResolver(prefix, FunctionTags(prefix, RegistryLookup(session, platform="linux/amd64")))
        chosen = [await resolver.resolve(Function(image="set-labels", tag=tag)) for tag in ("0.2.x", ">0.2.3 <1")]
        assert chosen == [f"{prefix}/set-labels:v0.2.3", f"{prefix}/set-labels:v0.9.0"]
        with pytest.raises(ImageNotFound):
            await resolver.resolve(Function(image="no-such-function", tag="^1"))
