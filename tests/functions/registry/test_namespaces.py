"""Credentials that namespaces bring themselves, at a real registry that wants some."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from porchflow.api.limits import REGISTRY_SECRET_BYTES, REGISTRY_SECRET_ENTRIES
from porchflow.api.networks import DeniedNetworks
from porchflow.functions.function_errors import ImageNotFound, RegistryUnavailable
from porchflow.functions.registry.guard import Guard
from porchflow.functions.registry.lookup import RegistryLookup
from porchflow.functions.registry.namespaces import NamespaceCredentials
from porchflow.functions.registry.references import parse_reference
from porchflow.functions.slots import on_behalf_of
from porchflow.functions.tags import FunctionTags
from porchflow.kpt.render.versions import Constraint
from tests.functions.registry.conftest import SECRET, Secrets, looking
from tests.functions.registry.test_odd_answers import Odd, odd
from tests.servers.authority import Authority
from tests.servers.registry import PASSWORD, USER, Registry, docker_config, passwords, running_registry

__all__ = ["odd"]


@pytest.fixture
async def registry(registry_binary: Path, tmp_path: Path) -> AsyncIterator[Registry]:
    """A registry that shows nothing without credentials."""
    async with running_registry(registry_binary, tmp_path / "registry", auth=passwords(tmp_path)) as registry:
        yield registry


async def _refused(lookup: RegistryLookup, image: str, owner: str) -> str:
    with pytest.raises(ImageNotFound) as raised:
        await lookup.describe(image, owner)
    return raised.value.why


async def test_the_credentials_of_a_namespace_open_images_for_it_alone(registry: Registry, secrets: Secrets) -> None:
    digest = await registry.push("team-a/tool:v1", ["/tool"])
    by_tag, by_digest = registry.image("team-a/tool:v1"), registry.image(f"team-a/tool@{digest}")
    secrets.put("team-a", registry.address)
    secrets.put("team-b", registry.address, password="wrong")
    async with looking(registry, secrets=secrets) as lookup:
        for _ in range(2):
            # What was found for the first namespace is kept, and is no answer for another one.
            for image in (by_tag, by_digest):
                assert (await lookup.describe(image, "team-a")).digest == digest
                for owner in ("team-b", "team-c", ""):
                    told = await _refused(lookup, image, owner)
                    absent = await _refused(lookup, registry.image("team-a/absent:v1"), owner)
                    assert told == absent, "nor is it told which images there are"
                    assert "team-a" not in told
                    assert "wrong" not in told
        assert f"the credentials in Secret {SECRET!r} of namespace 'team-b' do not open it" in await _refused(
            lookup, by_tag, "team-b"
        )
        assert f"Secret {SECRET!r} of the package's namespace" in await _refused(lookup, by_tag, "team-c")
        assert registry.requests("team-a/tool/manifests/v1") > 2


async def test_tags_are_listed_for_the_namespace_alone(registry: Registry, secrets: Secrets) -> None:
    await registry.push("team-a/tool:v1.0.0", ["/tool"])
    secrets.put("team-a", f"{registry.address}/team-a")
    async with looking(registry, secrets=secrets) as lookup:
        tags = FunctionTags("", lookup)
        for namespace in ("team-a", "team-b", "", "team-a"):
            with on_behalf_of(namespace):
                asked = tags.tags(registry.image("team-a/tool"), Constraint("^1"))
                if namespace == "team-a":
                    assert await asked == ["v1.0.0"]
                    continue
                with pytest.raises(ImageNotFound, match="does not show it"):
                    await asked
    assert set(secrets.reads) == {"team-a", "team-b"}


async def test_the_image_has_an_owner_where_the_secret_leads_to_it(secrets: Secrets) -> None:
    secrets.put("team-a", "r.io/team-a")
    async with looking(secrets=secrets) as lookup:
        for namespace, image, owner in (
            ("team-a", "r.io/team-a/tool:v1", "team-a"),
            ("team-a", "r.io/team-a-b/tool:v1", ""),
            ("team-a", "ghcr.io/tool:v1", ""),
            ("team-b", "r.io/team-a/tool:v1", ""),
            ("", "r.io/team-a/tool:v1", ""),
        ):
            with on_behalf_of(namespace):
                assert await lookup.owner(image) == owner


async def test_without_an_entry_the_credentials_of_the_installation_count(
    registry: Registry, secrets: Secrets, tmp_path: Path
) -> None:
    digest = await registry.push("shared/tool:v1", ["/tool"])
    config = docker_config(tmp_path / "config.json", registry.address)
    secrets.put("team-a", "elsewhere.example")
    secrets.put("team-b", registry.address, password="wrong")
    async with looking(registry, config=config, secrets=secrets) as lookup:
        for owner in ("", "team-a", "team-c"):
            assert (await lookup.describe(registry.image("shared/tool:v1"), owner)).digest == digest
        # A namespace that names the registry is asked for with its own alone.
        assert "of namespace 'team-b' do not open it" in await _refused(
            lookup, registry.image("shared/tool:v1"), "team-b"
        )


async def test_a_changed_secret_counts_soon(registry: Registry, secrets: Secrets) -> None:
    await registry.push("team-a/tool:v1", ["/tool"])
    image = registry.image("team-a/tool:v1")
    secrets.put("team-a", registry.address, password="old")
    looks = looking(registry, secrets=secrets)
    async with looks as lookup:
        await _refused(lookup, image, "team-a")
        secrets.put("team-a", registry.address)
        await _refused(lookup, image, "team-a")
        assert len(secrets.reads) == 1
        looks.now = 10
        await lookup.describe(image, "team-a")
        # The other way round: what the former credentials opened is not used for the later ones.
        secrets.put("team-a", registry.address, password="withdrawn")
        looks.now = 20
        await _refused(lookup, image, "team-a")
        del secrets.raw["team-a"]
        looks.now = 30
        await _refused(lookup, image, "team-a")


async def test_what_the_registry_no_longer_shows_is_forgotten_by_its_digest_too(
    registry: Registry, secrets: Secrets
) -> None:
    digest = await registry.push("team-a/tool:v1", ["/tool"])
    image = registry.image(f"team-a/tool@{digest}")
    secrets.put("team-a", registry.address)
    looks = looking(registry, secrets=secrets)
    async with looks as lookup:
        await lookup.describe(image, "team-a")
        await registry.process.stop()
        looks.now = 299
        await lookup.describe(image, "team-a")
        looks.now = 300
        with pytest.raises(RegistryUnavailable):
            await lookup.describe(image, "team-a")


def _entries(entries: Any) -> bytes:
    return json.dumps({"auths": entries}).encode()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"{", "key '.dockerconfigjson' is no Docker configuration"),
        (b"[]", "is no Docker configuration"),
        (b"[" * 60_000, "is no Docker configuration"),
        (b"\xff", "is no Docker configuration"),
        (_entries([1]), "is no Docker configuration"),
        (_entries({"r.io": "secretly"}), "is no Docker configuration"),
        (_entries({"r.io": {"auth": "secretly!"}}), "the entry 'r.io' cannot be read"),
        (_entries({"r.io": {"auth": 5}}), "the entry 'r.io' cannot be read"),
        (_entries({"r.io": {"username": "a", "password": ["secretly"]}}), "the entry 'r.io' cannot be read"),
        (_entries({"r.io": {"username": "a", "password": "\ud800secretly"}}), "the entry 'r.io' cannot be read"),
        (_entries({f"r{n}.io": {} for n in range(REGISTRY_SECRET_ENTRIES + 1)}), "names more than 100 registries"),
        (b'{"auths": {}}' + b" " * REGISTRY_SECRET_BYTES, f"has more than {REGISTRY_SECRET_BYTES} bytes"),
    ],
    ids=range(12),
)
async def test_a_secret_that_cannot_be_used_is_named(secrets: Secrets, text: bytes, why: str) -> None:
    secrets.put_text("team-a", text)
    await _says(secrets, why)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ({"type": "Opaque", "data": {"password": "c2VjcmV0bHk="}}, "is not of type kubernetes.io/dockerconfigjson"),
        ({"type": "Opaque", "data": {".dockerconfigjson": "e30="}}, "is not of type kubernetes.io/dockerconfigjson"),
        ({"type": "kubernetes.io/dockerconfigjson"}, "with the key '.dockerconfigjson'"),
        ({"type": "kubernetes.io/dockerconfigjson", "data": {".dockerconfigjson": "secretly!"}}, "is not base64"),
    ],
)
async def test_another_kind_of_secret_is_named(secrets: Secrets, raw: dict[str, Any], why: str) -> None:
    secrets.raw["team-a"] = raw
    await _says(secrets, why)


async def _says(secrets: Secrets, why: str) -> None:
    async with looking(secrets=secrets) as lookup:
        with on_behalf_of("team-a"), pytest.raises(RegistryUnavailable) as raised:
            await lookup.owner("r.io/tool:v1")
        with on_behalf_of("team-b"):
            assert await lookup.owner("r.io/tool:v1") == ""
    said = raised.value.reason
    assert said.startswith(f"Secret '{SECRET}' of namespace 'team-a' ")
    assert why in said
    assert f"kubectl -n team-a create secret docker-registry {SECRET}" in said
    assert "secretly" not in said


async def test_an_unreachable_secret_is_no_missing_one(secrets: Secrets) -> None:
    secrets.away = True
    async with looking(secrets=secrets) as lookup:
        with on_behalf_of("team-a"), pytest.raises(RegistryUnavailable, match="cannot be read: no answer"):
            await lookup.owner("r.io/tool:v1")
        secrets.away = False
        with on_behalf_of("team-a"):
            assert await lookup.owner("r.io/tool:v1") == "", "an error is not kept"


@pytest.mark.parametrize("name", ["..", "a/b", "A", "a" * 64, "ä", "a\n"])
async def test_what_is_no_name_of_a_namespace_has_no_secret(secrets: Secrets, name: str) -> None:
    async with looking(secrets=secrets) as lookup:
        with on_behalf_of(name):
            assert await lookup.owner("r.io/tool:v1") == ""
    assert not secrets.reads


async def test_a_namespace_names_no_registry_inside_the_network(registry: Registry, secrets: Secrets) -> None:
    """Only credentials of the administrator name a registry that may be anywhere."""
    await registry.push("team-a/tool:v1", ["/tool"])
    secrets.put("team-a", registry.address)
    async with looking(registry, secrets=secrets, guard=Guard(DeniedNetworks(["127.0.0.0/8"]))) as lookup:
        with pytest.raises(ImageNotFound, match="has an address that images may not come from"):
            await lookup.describe(registry.image("team-a/tool:v1"), "team-a")
    assert registry.requests("team-a/tool/manifests/v1") == 0


async def test_cookies_of_a_registry_are_not_kept(odd: Odd, secrets: Secrets) -> None:
    """With a session's cookie a registry may take the next request for one of the namespace before."""
    # Cookies for addresses are kept by nobody, for names they are.
    registry = f"localhost:{odd.address.rpartition(':')[2]}"
    secrets.put("team-a", registry)
    cookie = {"Set-Cookie": "sid=team-a; Path=/"}
    odd.answer = lambda _: web.json_response({"tags": ["v1"]}, headers=cookie)
    async with looking(secrets=secrets, insecure=[registry]) as lookup:
        for owner in ("team-a", "team-b"):
            await lookup.tags(f"{registry}/tool", owner=owner)
    assert [request.headers.get("Cookie") for request in odd.seen] == [None, None]


async def test_a_redirect_takes_no_credentials_of_a_namespace_along(odd: Odd, secrets: Secrets, tmp_path: Path) -> None:
    authority, other = Authority(tmp_path / "pki"), Odd()
    (tmp_path / "ca.pem").write_text(authority.pem)
    await other.start(authority.serves("127.0.0.1"))
    other.answer = lambda _: web.Response(status=404)
    secrets.put("team-a", odd.address)

    def answer(request: web.Request) -> web.Response:
        if "Authorization" not in request.headers:
            return web.Response(status=401, headers={"WWW-Authenticate": "Basic"})
        return web.Response(status=307, headers={"Location": f"https://{other.address}/elsewhere"})

    odd.answer = answer
    try:
        async with looking(secrets=secrets, insecure=[odd.address], ca_bundle=tmp_path / "ca.pem") as lookup:
            await _refused(lookup, f"{odd.address}/team-a/tool:v1", "team-a")
    finally:
        await other.stop()
    assert len(odd.seen) == 2
    assert ["Authorization" in request.headers for request in other.seen] == [False]


@pytest.mark.parametrize(
    ("image", "key"),
    [
        ("r.io:5000/team-a/tool:v1", "r.io:5000/team-a/tool"),
        ("corp/tool:v1", "https://index.docker.io/v1/"),
    ],
)
async def test_nodes_get_the_credentials_for_the_repository_alone(secrets: Secrets, image: str, key: str) -> None:
    secrets.put("team-a", "r.io:5000", "other.example", "https://index.docker.io/v1/")
    async with looking(secrets=secrets) as lookup:
        told = json.loads(await lookup.pull_configuration(image, "team-a"))
        assert await lookup.pull_configuration(image, "team-b") == ""
        assert await lookup.pull_configuration(image, "") == ""
    assert list(told["auths"]) == [key]
    assert (told["auths"][key]["username"], told["auths"][key]["password"]) == (USER, PASSWORD)


async def test_names_of_namespaces_that_bring_nothing_are_kept_within_a_bound(secrets: Secrets) -> None:
    """Whatever calls the runner can name any number of them."""
    namespaces = NamespaceCredentials(secrets, SECRET, clock=lambda: 0.0)
    image = "registry.example.com/tool:v1"
    reference = parse_reference(image)
    for number in (*range(20_000), 19_999, 0):
        assert await namespaces.own(image, reference, f"team-{number}") is None
    assert secrets.reads[20_000:] == ["team-0"], "the last is kept, the first has gone"
