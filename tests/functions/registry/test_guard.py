"""Registries that an author of packages names: where they may be, and what is told of them."""

import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from porchflow.api.networks import DENIED_BY_DEFAULT, DeniedNetworks
from porchflow.functions.function_errors import ImageNotFound, RegistryUnavailable
from porchflow.functions.registry.guard import Guard
from porchflow.functions.runner_settings import RegistrySettings
from tests.functions.registry.conftest import looking
from tests.functions.registry.test_odd_answers import Odd
from tests.servers.authority import Authority
from tests.servers.registry import Registry, docker_config, passwords, running_registry

DEFAULT = DeniedNetworks(DENIED_BY_DEFAULT)
ELSEWHERE = DeniedNetworks(["169.254.0.0/16"])
"""Denies something, but not where the servers of the tests are."""
UNTOLD = "no registry answers at .*; it is inside of the network"


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:5000", "localhost:5000", "169.254.169.254", "127.1:5000", "2130706433:5000", "[::1]:5000", "0.0.0.0"],
)
async def test_what_only_the_runner_reaches_is_denied(host: str) -> None:
    async with looking(guard=Guard(DEFAULT)) as lookup:
        for question in (lookup.describe, lookup.tags):
            with pytest.raises(ImageNotFound, match="has an address that images may not come from"):
                await question(f"{host}/tool:v1")


async def test_one_denied_address_of_a_name_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    _resolves(monkeypatch, "192.0.2.1", "127.0.0.1")
    async with looking(guard=Guard(DEFAULT)) as lookup:
        with pytest.raises(ImageNotFound, match=r"registry\.example has an address"):
            await lookup.describe("registry.example/tool:v1")


async def test_a_name_that_changes_its_address_is_checked_again_as_it_connects(monkeypatch: pytest.MonkeyPatch) -> None:
    _resolves(monkeypatch, "192.0.2.1", then=["127.0.0.1"])
    async with looking(guard=Guard(DEFAULT)) as lookup:
        with pytest.raises(ImageNotFound, match=r"registry\.example has an address"):
            await lookup.describe("registry.example/tool:v1")


def _resolves(monkeypatch: pytest.MonkeyPatch, *first: str, then: list[str] | None = None) -> None:
    """Resolve every name to the first addresses, and from the second time on to others."""
    answers = [list(first)]

    def resolve(_host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        now = answers[0] if then is None else answers.pop(0) if answers else then
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in now]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


@pytest.mark.parametrize("by", ["insecure_registries", "allowed_images"])
async def test_a_registry_that_the_administrator_named_may_be_anywhere(registry: Registry, by: str) -> None:
    digest = await registry.push("tool:v1", ["/tool"])
    place = registry.address if by == "insecure_registries" else f"{registry.address}/folder/"
    settings = RegistrySettings.model_validate({by: (place,)})
    guard = Guard(DeniedNetworks(settings.denied_registries), settings.named_registries)
    async with looking(registry, guard=guard) as lookup:
        assert (await lookup.describe(registry.image("tool:v1"))).digest == digest


async def test_so_may_one_that_it_has_credentials_for(registry_binary: Path, tmp_path: Path) -> None:
    async with running_registry(registry_binary, tmp_path / "r", auth=passwords(tmp_path)) as registry:
        digest = await registry.push("tool:v1", ["/tool"])
        config = docker_config(tmp_path / "config.json", registry.address)
        async with looking(registry, config=config, guard=Guard(DEFAULT)) as lookup:
            assert (await lookup.describe(registry.image("tool:v1"))).digest == digest


async def test_a_registry_inside_that_is_not_denied_is_used_and_told(registry: Registry) -> None:
    digest = await registry.push("tool:v1", ["/tool"])
    async with looking(registry, guard=Guard(ELSEWHERE)) as lookup:
        assert (await lookup.describe(registry.image("tool:v1"))).digest == digest
        assert list(await lookup.tags(registry.image("tool"))) == ["v1"]
        with pytest.raises(ImageNotFound, match="has no such image"):
            await lookup.describe(registry.image("other:v1"))


ANSWERS: dict[str, Callable[[web.Request], web.StreamResponse]] = {
    "a page": lambda _: web.Response(text="<html>hello"),
    "no page": lambda _: web.Response(status=404, text="no"),
    "forbidden": lambda _: web.Response(status=403),
    "an error": lambda _: web.Response(status=500),
    "a large page": lambda _: web.Response(body=b" " * 5_000_000),
    "JSON": lambda _: web.json_response({"tags": ["v1"]}),
    "JSON with errors of its own": lambda _: web.json_response({"errors": "no"}, status=400),
    "a redirect without an end": lambda _: web.Response(status=302, headers={"Location": "/again"}),
    "a redirect to no encryption": lambda _: web.Response(status=302, headers={"Location": "http://other.example/x"}),
    "a redirect to nothing": lambda _: web.Response(status=302, headers={"Location": "https://no.invalid/x"}),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
async def test_the_answers_of_the_network_inside_are_no_port_scanners(
    answer: Callable[[web.Request], web.StreamResponse],
) -> None:
    odd = Odd()
    await odd.start()
    odd.answer = answer
    told = set()
    try:
        async with looking(insecure=[odd.address], guard=Guard(ELSEWHERE)) as lookup:
            told |= {await _told(lookup.describe, odd.address), await _told(lookup.tags, odd.address)}
        async with looking(guard=Guard(ELSEWHERE)) as lookup:
            # This server speaks no TLS; nothing listens at the other port.
            told |= {await _told(lookup.describe, odd.address), await _told(lookup.describe, _closed_port())}
    finally:
        await odd.stop()
    assert len(told) == 1


async def _told(question: Callable[[str], Awaitable[object]], address: str) -> str:
    with pytest.raises(RegistryUnavailable, match=UNTOLD) as raised:
        await question(f"{address}/tool:v1")
    return raised.value.reason.replace(address, "HOST")


def _closed_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


@pytest.mark.parametrize("to", ["https://127.0.0.1:1/x", "https://[::1]:1/x", "https://localhost:1/x"])
async def test_a_redirect_is_checked_like_the_address(to: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry outside leads inside: by a redirect, or by the address of its token server."""
    authority = Authority(tmp_path / "pki")
    (tmp_path / "ca.pem").write_text(authority.pem)
    odd = Odd()
    await odd.start(authority.serves("127.0.0.1"))
    # The test's server is at loopback, where all are: it counts as allowed, and the place that it leads to does not.
    addresses = Guard.addresses

    async def but_the_first(self: Guard, url: Any) -> list[str]:
        return ["127.0.0.1"] if f"{url.host}:{url.port}" == odd.address else await addresses(self, url)

    monkeypatch.setattr(Guard, "addresses", but_the_first)
    challenge = f'Bearer realm="{to}",service="s"'
    answers = [
        web.Response(status=307, headers={"Location": to}),
        web.Response(status=401, headers={"WWW-Authenticate": challenge}),
    ]
    odd.answer = lambda _: answers.pop(0)
    try:
        async with looking(ca_bundle=tmp_path / "ca.pem", guard=Guard(DEFAULT)) as lookup:
            for _ in range(2):
                with pytest.raises(ImageNotFound, match="has an address that images may not come from"):
                    await lookup.describe(f"{odd.address}/tool:v1")
    finally:
        await odd.stop()


async def test_behind_a_proxy_a_denied_address_is_denied(monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = Odd()
    await proxy.start()
    proxy.answer = lambda _: web.Response(status=404)
    monkeypatch.setenv("https_proxy", f"http://{proxy.address}")
    try:
        async with looking(guard=Guard(DEFAULT), trust_env=True) as lookup:
            with pytest.raises(ImageNotFound, match="has an address that images may not come from"):
                await lookup.describe("127.0.0.1:5000/tool:v1")
            with pytest.raises(RegistryUnavailable):
                await lookup.describe("name.invalid/tool:v1")
    finally:
        await proxy.stop()


def test_a_wrong_network_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'10\.x' is no network"):
        RegistrySettings.model_validate({"denied_registries": ("10.x",)})
