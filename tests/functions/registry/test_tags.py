"""Lists of tags of a real registry."""

import asyncio
from typing import Any

import pytest

from porchflow.functions.function_errors import ImageNotFound
from porchflow.functions.registry.lookup import RegistryLookup
from porchflow.kpt.render.versions import Constraint
from tests.functions.registry.conftest import looking
from tests.servers.registry import Registry


async def test_the_tags_of_an_image(registry: Registry, lookup: RegistryLookup) -> None:
    manifest: dict[str, Any] = {}
    for number in range(120):
        if not manifest:
            await registry.push("fn/tool:v0", ["/tool"])
            manifest = await registry._manifest("fn/tool:v0", {"Entrypoint": ["/tool"]})
        await registry.put_manifest(f"fn/tool:v{number}", manifest)
    found = await lookup.tags(registry.image("fn/tool:v0"))
    assert sorted(found) == sorted(f"v{number}" for number in range(120)), "however many pages they are on"
    with pytest.raises(ImageNotFound, match=r"has no such image \(repository name not known to registry\)"):
        await lookup.tags(registry.image("fn/other:v0"))


async def test_a_list_of_tags_is_kept_for_a_minute(registry: Registry) -> None:
    await registry.push("fn/tool:v1", ["/tool"])
    context = looking(registry)
    async with context as lookup:
        for now in (0.0, 30.0, 59.0):
            context.now = now
            assert list(await lookup.tags(registry.image(f"fn/tool:v{now}"))) == ["v1"], "the tag does not count"
        assert registry.requests("fn/tool/tags/list") == 1
        await registry.push("fn/tool:v2", ["/tool"])
        assert list(await lookup.tags(registry.image("fn/tool"))) == ["v1"]
        context.now = 60.0
        assert sorted(await lookup.tags(registry.image("fn/tool"))) == ["v1", "v2"]
        assert registry.requests("fn/tool/tags/list") == 2


async def test_a_list_without_the_wanted_tag_is_asked_for_anew(registry: Registry, lookup: RegistryLookup) -> None:
    """Who pushes the tag that was missing and asks again must not be told that it is missing."""
    image = registry.image("fn/tool")
    await registry.push("fn/tool:v1.0.0", ["/tool"])
    assert list(await lookup.tags(image, Constraint("^2"))) == ["v1.0.0"]
    await registry.push("fn/tool:v2.0.0", ["/tool"])
    assert list(await lookup.tags(image, Constraint("^1"))) == ["v1.0.0"]
    assert registry.requests("fn/tool/tags/list") == 1
    assert sorted(await lookup.tags(image, Constraint("^2"))) == ["v1.0.0", "v2.0.0"]
    assert registry.requests("fn/tool/tags/list") == 2


async def test_many_who_list_the_tags_of_an_image_at_once_ask_once(registry: Registry, lookup: RegistryLookup) -> None:
    await registry.push("fn/tool:v1", ["/tool"])
    images = [registry.image(f"fn/tool:v{number}") for number in range(20)]
    assert [list(tags) for tags in await asyncio.gather(*map(lookup.tags, images))] == [["v1"]] * 20
    assert registry.requests("fn/tool/tags/list") == 1


async def test_that_tags_cannot_be_listed_is_not_kept(registry: Registry, lookup: RegistryLookup) -> None:
    image = registry.image("fn/tool")
    with pytest.raises(ImageNotFound):
        await lookup.tags(image)
    await registry.push("fn/tool:v1", ["/tool"])
    assert list(await lookup.tags(image)) == ["v1"]


async def test_lists_of_tags_are_kept_up_to_so_many_tags(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("porchflow.functions.registry.lookup._KEPT_TAGS", 6)
    for name in ("a:v1", "a:v2", "b:v1", "b:v2", "c:v1"):
        await registry.push(name, ["/tool"])
    async with looking(registry) as lookup:
        for name in ("a", "b", "a", "c", "a", "b"):
            await lookup.tags(registry.image(name))
    assert [registry.requests(f"{name}/tags/list") for name in "abc"] == [1, 2, 1]
