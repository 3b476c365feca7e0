"""Servers that answer as no registry should."""

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

from porchflow.functions.function_errors import ImageNotFound, RegistryUnavailable
from tests.functions.registry.conftest import looking
from tests.servers.authority import Authority
from tests.servers.registry import docker_config


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
    monkeypatch.setattr("porchflow.functions.registry.session._KEPT", 2)
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
    monkeypatch.setattr("porchflow.functions.registry.session._TIMEOUT", aiohttp.ClientTimeout(total=0.2))
    listener = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    address = f"127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    async with listener, looking(insecure=[address]) as lookup:
        with pytest.raises(RegistryUnavailable, match="does not answer"):
            await lookup.describe(f"{address}/tool:v1")
