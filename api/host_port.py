"""Addresses of the form host:port, as settings give them."""

from typing import Annotated

from pydantic import AfterValidator

_HIGHEST_PORT = 65_535


def _check(value: str) -> str:
    host, colon, port = value.rpartition(":")
    number = int(port) if port.isascii() and port.isdigit() else 0
    if value and not (colon and 0 < number <= _HIGHEST_PORT and "://" not in host and not host.isspace()):
        raise ValueError("give host:port, such as 127.0.0.1:7233")
    return value


HostPort = Annotated[str, AfterValidator(_check)]
"""host:port; empty where nothing is set."""


def host_and_port(address: str) -> tuple[str, int]:
    """Split host:port; an empty host means all interfaces, and IPv6 addresses lose their brackets."""
    host, _, port = address.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)
