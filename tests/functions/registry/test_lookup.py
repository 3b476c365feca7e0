"""Images looked up in a real registry."""

import asyncio
import hashlib
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from functions.errors import ImageNotFound, RegistryUnavailable
from functions.pods.images import ImageInfo
from functions.registry.credentials import DockerConfig
from functions.registry.lookup import RegistryLookup
from functions.registry.session import RegistrySession
from kpt.versions import Constraint
from tests.servers.authority import Authority
from tests.servers.registry import USER, Registry, docker_config, passwords, running_registry
from tests.servers.tokens import TokenServer


@pytest.fixture
async def registry(registry_binary: Path, tmp_path: Path) -> AsyncIterator[Registry]:
    async with running_registry(registry_binary, tmp_path / "registry") as registry:
        yield registry


@pytest.fixture
async def lookup(registry: Registry) -> AsyncIterator[RegistryLookup]:
    async with looking(registry) as lookup:
        yield lookup


class looking:  # noqa: N801 - a context manager that reads like a function
    """A look-up at a registry without encryption, unless told otherwise."""

    def __init__(
        self, *registries: Registry, config: Path | None = None, platform: str = "linux/amd64", **options: Any
    ) -> None:
        insecure = [registry.address for registry in registries]
        self.now = 0.0
        self._session = RegistrySession(DockerConfig(config), trust_env=False, **{"insecure": insecure, **options})
        self._lookup = RegistryLookup(self._session, platform=platform, clock=lambda: self.now)

    async def __aenter__(self) -> RegistryLookup:
        return self._lookup

    async def __aexit__(self, *_: object) -> None:
        await self._session.__aexit__(None, None, None)


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
    monkeypatch.setattr("functions.registry.lookup._KEPT_TAGS", 6)
    for name in ("a:v1", "a:v2", "b:v1", "b:v2", "c:v1"):
        await registry.push(name, ["/tool"])
    async with looking(registry) as lookup:
        for name in ("a", "b", "a", "c", "a", "b"):
            await lookup.tags(registry.image(name))
    assert [registry.requests(f"{name}/tags/list") for name in "abc"] == [1, 2, 1]


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


class Odd:
    """A server that answers as no registry should."""

    def __init__(self) -> None:
        self.seen: list[web.Request] = []
        self.answer: Any = None
        self.address = ""
        self._runner: web.AppRunner | None = None

    async def start(self, context: ssl.SSLContext | None = None) -> None:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=context).start()
        self.address = f"127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        answer: web.StreamResponse = self.answer(request)
        return answer


@pytest.fixture
async def odd() -> AsyncIterator[Odd]:
    server = Odd()
    await server.start()
    yield server
    await server.stop()


def _json(body: Any, **options: Any) -> web.Response:
    kind = "application/vnd.oci.image.manifest.v1+json"
    return web.Response(body=json.dumps(body).encode(), content_type=kind, **options)


@pytest.mark.parametrize(
    ("answer", "kind", "why"),
    [
        (lambda _: web.Response(status=500, text="<html>"), RegistryUnavailable, "answers with 500"),
        (
            lambda _: web.json_response({"errors": [{"code": "TOOMANYREQUESTS"}]}, status=429),
            RegistryUnavailable,
            r"answers with 429 \(TOOMANYREQUESTS\)",
        ),
        (lambda _: web.Response(status=302, headers={"Location": "/again"}), RegistryUnavailable, "without an end"),
        (
            lambda _: web.Response(status=302, headers={"Location": "http://other.example/x"}),
            RegistryUnavailable,
            "not encrypted",
        ),
        (
            lambda _: web.Response(status=302, headers={"Location": "http://["}),
            RegistryUnavailable,
            "cannot be reached",
        ),
        (
            lambda _: web.Response(status=401, headers={"WWW-Authenticate": 'Bearer realm="ftp://x"'}),
            RegistryUnavailable,
            "cannot be reached",
        ),
        (lambda _: web.Response(status=400, text="no"), ImageNotFound, "refuses to show it with 400"),
        (lambda _: _json([]), ImageNotFound, "no JSON object"),
        (lambda _: web.Response(text="[" * 100_000), ImageNotFound, "no JSON object"),
        (lambda _: web.Response(body=b" " * 5_000_000), ImageNotFound, "with more than 4194304 bytes"),
        (lambda _: _json({"mediaType": "application/x"}), ImageNotFound, "type 'application/x'"),
        (lambda _: _json({"config": {"digest": "../../x"}}), ImageNotFound, "names no configuration"),
        (lambda _: _json({"config": {"digest": f"sha256:{'0' * 64}"}}), ImageNotFound, "gives other content"),
        (lambda _: _json({"manifests": [None, {}, {"platform": 1}]}), ImageNotFound, "names no configuration"),
    ],
)
async def test_odd_answers(odd: Odd, answer: Any, kind: type[Exception], why: str) -> None:
    odd.answer = answer
    async with looking(insecure=[odd.address]) as lookup:
        with pytest.raises(kind, match=why):
            await lookup.describe(f"{odd.address}/tool:v1")


async def test_another_host_is_not_shown_the_credentials(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki")
    (tmp_path / "ca.pem").write_text(authority.pem)
    registry, other = Odd(), Odd()
    for server in (registry, other):
        await server.start(authority.serves("127.0.0.1"))
    other.answer = lambda _: web.Response(status=404)
    registry.answer = lambda request: (
        web.Response(status=307, headers={"Location": f"https://{other.address}/elsewhere"})
        if "Authorization" in request.headers
        else web.Response(status=401, headers={"WWW-Authenticate": "Basic"})
    )
    config = docker_config(tmp_path / "config.json", registry.address)
    try:
        async with looking(ca_bundle=tmp_path / "ca.pem", config=config) as lookup:
            with pytest.raises(ImageNotFound):
                await lookup.describe(f"{registry.address}/tool:v1")
    finally:
        await registry.stop()
        await other.stop()
    assert "Authorization" in registry.seen[-1].headers
    assert [(request.path, request.headers.get("Authorization")) for request in other.seen] == [("/elsewhere", None)]


async def test_tokens_are_kept_for_so_many_repositories(
    odd: Odd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("functions.registry.session._KEPT", 2)
    odd.answer = lambda request: (
        web.Response(status=404)
        if "Authorization" in request.headers
        else web.Response(status=401, headers={"WWW-Authenticate": "Basic"})
    )
    config = docker_config(tmp_path / "config.json", odd.address)
    async with looking(insecure=[odd.address], config=config) as lookup:
        for name in ("one", "two", "two", "one", "three", "two", "one"):
            with pytest.raises(ImageNotFound):
                await lookup.describe(f"{odd.address}/{name}:v1")
    asked = [request.path.split("/")[2] for request in odd.seen if "Authorization" not in request.headers]
    assert asked == ["one", "two", "three", "one"]


@pytest.mark.parametrize("tags", [[], None, 7, [1, {}, "no tag", "x" * 129]])
async def test_a_list_of_tags_without_end_is_given_up(odd: Odd, tags: Any) -> None:
    odd.answer = lambda _: web.json_response({"tags": tags}, headers={"Link": '</v2/tool/tags/list?more>; rel="next"'})
    async with looking(insecure=[odd.address]) as lookup:
        assert not await lookup.tags(f"{odd.address}/tool")
    assert 1 < len(odd.seen) <= 200


async def test_many_who_ask_at_once_are_answered_by_one_look(odd: Odd) -> None:
    blob = json.dumps({"config": {"Cmd": ["/tool"]}}).encode()
    manifest = {"config": {"digest": f"sha256:{hashlib.sha256(blob).hexdigest()}"}}
    odd.answer = lambda request: web.Response(body=blob) if "/blobs/" in request.path else _json(manifest)
    async with looking(insecure=[odd.address]) as lookup:
        answers = await asyncio.gather(*(lookup.describe(f"{odd.address}/tool:v1") for _ in range(3)))
    assert [answer.command for answer in answers] == [("/tool",)] * 3
    assert len(odd.seen) == 2, "the manifest and the configuration"


async def test_a_registry_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("functions.registry.session._TIMEOUT", aiohttp.ClientTimeout(total=0.2))
    listener = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    address = f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    async with listener, looking(insecure=[address]) as lookup:
        with pytest.raises(RegistryUnavailable, match="does not answer"):
            await lookup.describe(f"{address}/tool:v1")
