"""Images that may be used, by registry and folder."""

import pytest

from porchflow.functions.function_errors import ImageNotFound
from porchflow.functions.image_facts import ImageInfo
from porchflow.functions.registry.allowed import AllowedImages
from tests.functions.registry.conftest import looking
from tests.servers.registry import Registry


@pytest.mark.parametrize(
    ("place", "image"),
    [
        ("r.io", "r.io/fn/tool:v1"),
        ("r.io/", "r.io/tool"),
        ("R.io", "r.IO/tool"),
        ("r.io:5000/fn", "r.io:5000/fn/tool@sha256:" + "0" * 64),
        ("r.io/fn/tool", "r.io/fn/tool:v1"),
        ("docker.io", "tool:v1"),
        ("docker.io/nephio", "nephio/tool:v1"),
        ("index.docker.io/nephio", "docker.io/nephio/tool:v1"),
        ("docker.io/library", "tool"),
    ],
)
def test_what_lies_below(place: str, image: str) -> None:
    AllowedImages(["other.io", place]).check(image)


@pytest.mark.parametrize(
    ("place", "image"),
    [
        ("r.io", "r.io.evil.example/tool"),
        ("r.io", "evil.example/r.io/tool"),
        ("r.io/fn", "r.io/fn-evil/tool"),
        ("r.io/fn", "r.io/tool"),
        ("r.io", "r.io:5000/tool"),
        ("docker.io/nephio", "tool"),
        ("docker.io/nephio", "evil.example/nephio/tool"),
    ],
)
def test_what_does_not(place: str, image: str) -> None:
    with pytest.raises(ImageNotFound, match=r"only images below \S+ may be used here: .*PORCHFLOW_ALLOWED_IMAGES"):
        AllowedImages([place]).check(image)


def test_none_means_all() -> None:
    AllowedImages().check("evil.example/tool")


async def test_no_registry_is_asked_for_an_image_that_may_not_be_used(registry: Registry) -> None:
    digest = await registry.push("fn/tool:v1", ["/tool"])
    await registry.push("evil/tool:v1", ["/tool"])
    async with looking(registry, allowed=[f"{registry.address}/fn"]) as lookup:
        assert await lookup.describe(registry.image("fn/tool:v1")) == ImageInfo(digest, ("/tool",))
        assert await lookup.tags(registry.image("fn/tool")) == ("v1",)
        for refused in (lookup.describe, lookup.tags):
            with pytest.raises(ImageNotFound, match="may be used here"):
                await refused(registry.image("evil/tool:v1"))
            with pytest.raises(ImageNotFound, match="may be used here"):
                await refused("nowhere.invalid/tool:v1")
