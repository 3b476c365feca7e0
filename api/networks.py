"""Networks whose servers the authors of packages may not name: what only the worker can reach. Pure."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

DENIED_BY_DEFAULT: Final = (
    "0.0.0.0/8",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "224.0.0.0/4",
    "255.255.255.255/32",
    "::/128",
    "::1/128",
    "fe80::/10",
    "fec0::/10",
    "ff00::/8",
    # Metadata of clouds outside of the link-local range: Alibaba's, Azure's, Oracle's, and Amazon's over IPv6.
    "100.100.100.200/32",
    "168.63.129.16/32",
    "192.0.0.192/32",
    "fd00:ec2::254/128",
)
"""Loopback, link-local and multicast addresses, and the metadata servers of clouds."""

_MAPPED_FOUR: Final = IPv6Network("64:ff9b::/96")
"""Addresses by which a gateway (NAT64) reaches IPv4: the last four bytes."""
_LOCAL_FOUR: Final = IPv6Network("64:ff9b:1::/48")
_COMPATIBLE_FOUR: Final = IPv6Network("::/96")
_LAST_FOUR: Final = 0xFFFFFFFF

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class BadNetwork(ValueError):  # noqa: N818 - named for what happened
    """A text is no network."""


def parse_network(text: str) -> Network:
    """Parse a network, such as `10.96.0.0/12`, or one address.

    Raises:
        BadNetwork: It is none.
    """
    try:
        return ip_network(text.strip(), strict=False)
    except ValueError:
        raise BadNetwork(
            f"{text.strip()!r} is no network: give addresses such as 10.96.0.0/12, 192.0.2.7 or fd00:10:96::/112"
        ) from None


def checked_networks(texts: Iterable[str]) -> tuple[str, ...]:
    """Return networks in their usual spelling.

    Raises:
        BadNetwork: A text is none.
    """
    return tuple(str(parse_network(each)) for each in texts)


class DeniedNetworks:
    """Networks that may not be connected to."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        """Parse the networks.

        Raises:
            BadNetwork: A text is none.
        """
        self._networks = tuple(parse_network(each) for each in networks)

    def __bool__(self) -> bool:
        return bool(self._networks)

    def denies(self, address: str) -> bool:
        """Return whether an address, as `getaddrinfo` gives it, is in one of the networks, in whatever form.

        An IPv6 address that stands for one of IPv4 counts as both.
        """
        return any(each in network for each in _meanings(address) for network in self._networks)


def is_internal(address: str) -> bool:
    """Return whether an address, in whatever form, is none of the public Internet."""
    return any(not each.is_global for each in _meanings(address))


def _meanings(address: str) -> list[Address]:
    """Return an address, and the IPv4 addresses that it stands for (RFC 4291, 3056, 4380, 6052)."""
    parsed = ip_address(address.partition("%")[0])
    if isinstance(parsed, IPv4Address):
        return [parsed]
    found = [parsed.ipv4_mapped, parsed.sixtofour, *(parsed.teredo or ())]
    if any(parsed in network for network in (_MAPPED_FOUR, _LOCAL_FOUR, _COMPATIBLE_FOUR)):
        found.append(IPv4Address(int(parsed) & _LAST_FOUR))
    # Any IPv6 address with an embedded one is judged by that; the bare `::1` and `::` are judged as they are, too.
    return [parsed, *(each for each in found if each is not None)]
