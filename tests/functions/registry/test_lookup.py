"""Images looked up in a real registry."""

from typing import Any

import pytest

from porchflow.functions.function_errors import ImageNotFound, RegistryUnavailable
from porchflow.functions.image_facts import ImageInfo
from porchflow.functions.registry.lookup import RegistryLookup
from tests.functions.registry.conftest import looking
from tests.servers.registry import Registry


async def test_an_image_has_a_digest_and_a_command(registry: Registry, lookup: RegistryLookup) -> None:
    digest = await registry.push("fn/tool:v1", ["/bin/tool", "--strict"], arguments=["all"])
    wanted = ImageInfo(digest, ("/bin/tool", "--strict", "all"))
    assert await lookup.describe(registry.image("fn/tool:v1")) == wanted
    assert await lookup.describe(registry.image(f"fn/tool@{digest}")) == wanted
    assert await lookup.describe(registry.image(f"fn/tool:v7@{digest}")) == wanted, "the digest says which"


@pytest.mark.parametrize(("platform", "command"), [("linux/amd64", "/amd"), ("linux/arm64", "/arm")])
async def test_the_platform_chooses_among_several(registry: Registry, platform: str, command: str) -> None:
    digests = await registry.push_index("tool:v1", {"linux/amd64": ["/amd"], "linux/arm64": ["/arm"]})
    async with looking(registry, platform=platform) as lookup:
        assert await lookup.describe(registry.image("tool:v1")) == ImageInfo(digests[platform], (command,))


async def test_an_image_for_other_platforms_is_no_image(registry: Registry) -> None:
    await registry.push_index("tool:v1", {"linux/arm64": ["/arm"], "unknown/unknown": ["/statement"]})
    async with looking(registry) as lookup:
        with pytest.raises(ImageNotFound, match=r"not made for linux/amd64; it is for: linux/arm64$"):
            await lookup.describe(registry.image("tool:v1"))


async def test_what_is_not_there_is_said_at_once(registry: Registry, lookup: RegistryLookup) -> None:
    with pytest.raises(ImageNotFound, match=r"has no such image \(manifest unknown\)"):
        await lookup.describe(registry.image("fn/tool:v1"))
    digest = await registry.push("fn/tool:v1", ["/tool"])
    assert (await lookup.describe(registry.image("fn/tool:v1"))).digest == digest, "no is not kept"


@pytest.mark.parametrize("config", [{}, {"Entrypoint": [], "Cmd": None}, None, [], "sh"])
async def test_an_image_without_a_command_cannot_be_a_function(
    registry: Registry, lookup: RegistryLookup, config: Any
) -> None:
    await registry.push_config("tool:v1", config)
    with pytest.raises(ImageNotFound, match="neither an entrypoint nor a command"):
        await lookup.describe(registry.image("tool:v1"))


async def test_a_tag_is_asked_for_again_after_a_while_and_a_digest_never(registry: Registry) -> None:
    first = await registry.push("tool:v1", ["/one"])
    context = looking(registry)
    async with context as lookup:
        assert (await lookup.describe(registry.image("tool:v1"))).digest == first
        await lookup.describe(registry.image(f"tool@{first}"))
        second = await registry.push("tool:v1", ["/two"])
        assert (await lookup.describe(registry.image("tool:v1"))).digest == first
        context.now = 301.0
        assert (await lookup.describe(registry.image("tool:v1"))).digest == second
        await registry.process.kill()
        await lookup.describe(registry.image(f"tool@{first}"))
        context.now = 602.0
        with pytest.raises(RegistryUnavailable):
            await lookup.describe(registry.image("tool:v1"))


@pytest.mark.parametrize(
    ("image", "why"),
    [
        ("", "no name of an image"),
        ("Tool:v1", "no name of an image"),
        ("../../etc:v1", "no name of an image"),
        ("r.io/a//b", "no name of an image"),
        ("r.io:port/a", "no name of an image"),
        ("r.io/a?b=c", "no name of an image"),
        ("r.io/tool:-v1", "neither a tag nor"),
        ("r.io/tool:v1@sha256:12", "neither a tag nor"),
        ("r.io/tool@md5:00", "neither a tag nor"),
    ],
)
async def test_a_name_that_cannot_be_is_refused_without_asking(image: str, why: str) -> None:
    async with looking() as lookup:
        with pytest.raises(ImageNotFound, match=why):
            await lookup.describe(image)
