"""Pipelines that name the versions of their functions by constraints, on a real API server, Git and registry."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from porchflow.api.error_kinds import ErrorKind
from porchflow.api.work.needs import Phase
from porchflow.functions.registry.credentials import DockerConfig
from porchflow.functions.registry.lookup import RegistryLookup
from porchflow.functions.registry.session import RegistrySession
from porchflow.functions.tags import FunctionTags
from tests.activities.world import World, condition, reason
from tests.kptfiles import kptfile_text
from tests.servers.registry import Registry, running_registry

PREFIX = "ghcr.io/kptdev/krm-functions-catalog/"
RESOURCE = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: b}\n"


def calling(image: str, tag: str) -> str:
    function = f"{{image: {image}, tag: '{tag}', configMap: {{namespace: chosen}}}}"
    return kptfile_text("web", mutators=f"[{function}]")


@pytest.fixture
async def registry(registry_binary: Path, tmp_path: Path) -> AsyncIterator[Registry]:
    async with running_registry(registry_binary, tmp_path / "registry") as registry:
        yield registry


@pytest.fixture
async def world_with_registry(world: World, registry: Registry) -> AsyncIterator[World]:
    async with RegistrySession(DockerConfig(None), insecure=[registry.address], trust_env=False) as session:
        world.tags = FunctionTags(PREFIX, RegistryLookup(session, platform="linux/amd64"))
        yield world


async def _pushed(world: World, image: str, tag: str) -> str:
    name = await world.draft()
    pushed = await world.push({"Kptfile": calling(image, tag), "cm.yaml": RESOURCE})
    await world.annotate(name, render_request=pushed)
    return name


async def test_a_constraint_on_a_builtin_function_needs_no_registry(world: World) -> None:
    world.tags = FunctionTags(PREFIX, None)
    name = await _pushed(world, "set-namespace", "~0.4")
    await world.run(Phase.RENDER, name)
    assert reason(await world.get(name), "Rendered") == "True/Rendered"
    assert "namespace: chosen" in world.git.read("refs/heads/drafts/web/v1", "web/cm.yaml")


async def test_a_constraint_that_nothing_fulfils_says_what_there_is(
    world_with_registry: World, registry: Registry
) -> None:
    world = world_with_registry
    await registry.push("our/check:v1.0.0", ["/check"])
    name = await _pushed(world, registry.image("our/check"), "^2")
    message = await world.fails(Phase.RENDER, name, ErrorKind.STALLED)
    assert f'constraint "^2"; known tags of {registry.address}/our/check: v1.0.0' in message
    assert reason(await world.get(name), "Stalled") == "True/RenderFailed"


async def test_a_registry_that_is_away_is_waited_for(world_with_registry: World, registry: Registry) -> None:
    world = world_with_registry
    await registry.process.kill()
    name = await _pushed(world, registry.image("our/check"), "^2")
    await world.fails(Phase.RENDER, name, ErrorKind.TRANSIENT)
    obj = await world.get(name)
    assert reason(obj, "Ready") == "False/RegistryUnavailable"
    assert "look at the registry" in str(condition(obj, "Ready"))
    await registry.process.start()
    await world.fails(Phase.RENDER, name, ErrorKind.STALLED, attempt=2)
