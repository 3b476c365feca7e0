"""Images that are for some namespaces only."""

from pathlib import Path

import pytest

from porchflow.functions.function_errors import ImageNotFound
from porchflow.functions.registry.private import PrivateImages
from porchflow.functions.runner_settings import RegistrySettings
from porchflow.functions.slots import on_behalf_of
from porchflow.functions.tags import FunctionTags
from porchflow.kpt.render.versions import Constraint
from tests.functions.registry.conftest import looking
from tests.servers.registry import docker_config, passwords, running_registry

ENTRIES = ("r.io/team-a=team-a", "r.io/both = team-a", "r.io/both=team-b", "r.io/both/b=team-b", "docker.io/corp/=corp")


@pytest.mark.parametrize(
    ("image", "namespaces"),
    [
        ("r.io/team-a/tool:v1", {"team-a"}),
        ("R.io/team-a/deep/tool", {"team-a"}),
        ("r.io/team-a@sha256:" + "0" * 64, {"team-a"}),
        ("r.io/both/tool:v1", {"team-a", "team-b"}),
        ("r.io/both/b/tool:v1", {"team-b"}),
        ("corp/tool", {"corp"}),
        ("index.docker.io/corp/tool", {"corp"}),
        ("registry-1.docker.io/corp/tool", {"corp"}),
        ("r.io/team-a-tools/tool", {"team-a", "team-b", "corp", ""}),
        ("evil.example/r.io/team-a/tool", {"team-a", "team-b", "corp", ""}),
        ("ghcr.io/kptdev/tool", {"team-a", "team-b", "corp", ""}),
    ],
)
def test_an_image_is_for_its_namespaces_alone(image: str, namespaces: set[str]) -> None:
    private = PrivateImages(ENTRIES)
    for namespace in ("team-a", "team-b", "corp", ""):
        with on_behalf_of(namespace):
            if namespace in namespaces:
                private.check(image)
                continue
            said = f"are not for namespace {namespace!r}:" if namespace else "a call that names no namespace"
            with pytest.raises(ImageNotFound, match=said) as raised:
                private.check(image)
        words = {word.strip("'") for word in raised.value.why.split()}
        assert not namespaces & words, "no names of other namespaces"


@pytest.mark.parametrize("entry", ["", "r.io", "r.io=", "=team-a", "r.io=a=b"])
def test_an_entry_without_both_halves_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match="gives no images to a namespace"):
        RegistrySettings.model_validate({"private_images": (entry,)})


async def test_tags_of_private_images_are_listed_for_their_namespace_alone(
    registry_binary: Path, tmp_path: Path
) -> None:
    async with running_registry(registry_binary, tmp_path / "r", auth=passwords(tmp_path)) as registry:
        await registry.push("team-a/tool:v1.0.0", ["/tool"])
        config = docker_config(tmp_path / "config.json", registry.address)
        async with looking(registry, config=config) as lookup:
            tags = FunctionTags("", lookup, PrivateImages([f"{registry.address}/team-a=team-a"]))
            # The list is kept, and is no way around the check.
            for namespace in ("team-a", "team-b", "team-a"):
                with on_behalf_of(namespace):
                    asked = tags.tags(registry.image("team-a/tool"), Constraint("^1"))
                    if namespace == "team-a":
                        assert await asked == ["v1.0.0"]
                        continue
                    with pytest.raises(ImageNotFound, match="are not for namespace 'team-b'"):
                        await asked
            assert registry.requests("team-a/tool/tags/list") == 2, "without credentials, then with them"
