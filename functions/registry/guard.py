"""Which registries may be connected to, where an author of packages chose them, and what is told of their answers."""

import asyncio
import socket
from collections.abc import Collection
from typing import Final
from urllib.request import getproxies, proxy_bypass

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from porchflow.api.networks import DeniedNetworks, is_internal
from porchflow.functions.registry.references import hub_or

_PORTS: Final = {"http": 80, "https": 443}
_LOOKUP_SECONDS: Final = 10.0


class RegistryDenied(Exception):  # noqa: N818 - the name states the problem
    """A server has an address in a denied network; the message names the server."""


class Guard:
    """Checks the addresses of registries that nobody but an author of packages named."""

    def __init__(self, denied: DeniedNetworks | None = None, named: Collection[str] = ()) -> None:
        """Create the guard.

        Args:
            denied: Networks that no such registry may be in; none by default.
            named: Registries, with their port, that the administrator named. They may be anywhere.
        """
        self._denied = denied or DeniedNetworks()
        self._named = frozenset(hub_or(each.lower()) for each in named)

    def guards(self, registry: str) -> bool:
        """Return whether the addresses of a registry are checked, and its answers told with care."""
        return bool(self._denied) and hub_or(registry.lower()) not in self._named

    async def addresses(self, url: URL) -> list[str]:
        """Return the addresses of a server, all of which are allowed.

        Raises:
            RegistryDenied: One of them is in a denied network. A name that also has an allowed one is made to pass.
            OSError: The name means nothing.
            TimeoutError: The name is not resolved in time.
        """
        loop = asyncio.get_running_loop()
        host, port = url.host or "", url.port or _PORTS.get(url.scheme, 443)
        async with asyncio.timeout(_LOOKUP_SECONDS):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(where[0]) for *_, where in found))
        if any(self._denied.denies(address) for address in addresses):
            raise RegistryDenied(host)
        return addresses


class CheckedResolver(AbstractResolver):
    """Resolves names for connections as `Guard` does, so that the address that was checked is the one connected to."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Resolve a name; see `Guard.addresses`."""
        addresses = await self._guard.addresses(URL.build(scheme="https", host=host, port=port or 443))
        versions = [(address, socket.AF_INET6 if ":" in address else socket.AF_INET) for address in addresses]
        return [
            ResolveResult(hostname=host, host=address, port=port, family=version, proto=0, flags=socket.AI_NUMERICHOST)
            for address, version in versions
            if family in (socket.AF_UNSPEC, version)
        ]

    async def close(self) -> None:
        """Do nothing: it holds nothing."""


def answers_are_told(addresses: Collection[str]) -> bool:
    """Return whether the author who chose a server is told what it answers: only where all of the Internet can ask it.

    Of the network inside, the answers would tell which addresses and ports have a server, and of what kind.
    """
    return bool(addresses) and not any(is_internal(each) for each in addresses)


def is_proxied(url: URL) -> bool:
    """Return whether the environment names a proxy for a URL. It connects to the server in our place."""
    return bool(getproxies().get(url.scheme)) and not proxy_bypass(url.host or "")
