"""The servers that a Secret may be sent to: those that it names itself, and the defaults where it names none."""

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from porchflow.api.git_address import DEFAULT_PORTS, BadAddress, parse
from porchflow.api.models.conditions import Reason
from porchflow.api.names import RECONCILE_NOW_ANNOTATION, SECRET_HOSTS_ANNOTATION
from porchflow.repositories.failures import Stalled

_PLAIN = "http"
_ENCRYPTED = ("https", "ssh")
_ENTRY = "git.example.com, git.example.com:8443 or, for what is sent unencrypted, http://git.example.com"


@dataclass(frozen=True)
class Origin:
    """A server that may receive credentials. Another port or scheme is another server."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + ("" if self.port == DEFAULT_PORTS[self.scheme] else f":{self.port}")


def origin_of(url: str) -> Origin:
    """Return the server that a Git address leads to.

    Raises:
        BadAddress: Packages are not fetched from such an address.
    """
    return Origin(*parse(url).origin)


def named_origins(secret: dict[str, Any]) -> frozenset[Origin] | None:
    """Return the servers that the annotation `porchflow.dev/hosts` of a raw Secret names; None without the annotation.

    Raises:
        Stalled: An entry is no server.
    """
    text = (secret["metadata"].get("annotations") or {}).get(SECRET_HOSTS_ANNOTATION)
    if text is None:
        return None
    return frozenset(origin for entry in text.replace(",", " ").split() for origin in _origins(secret, entry))


def check_registered(secret: dict[str, Any], url: str) -> None:
    """Check that a Secret may be sent to the address of a registered repository.

    Raises:
        Stalled: The Secret names other servers.
        BadAddress: Packages are not fetched from such an address.
    """
    _check_named(secret, origin_of(url), named_origins(secret))


def check_chosen(secret: dict[str, Any], url: str, *, readers_only: bool) -> None:
    """Check that a Secret may be sent to an address that the author of a package revision chose.

    Args:
        secret: The raw Secret.
        url: The address.
        readers_only: Whether the API server lets authors name only Secrets that they may read.

    Raises:
        Stalled: The Secret names other servers. Or it names none, and the API server does not check that the author may
            read it, or it would be sent unencrypted.
        BadAddress: Packages are not fetched from such an address.
    """
    origin, named = origin_of(url), named_origins(secret)
    _check_named(secret, origin, named)
    if named is not None:
        return
    if origin.scheme == _PLAIN:
        raise _refused(
            secret, origin, f"it would go there unencrypted: use an https:// address, or {_let_it_name(origin)}"
        )
    if not readers_only:
        raise _refused(
            secret,
            origin,
            "the API server does not check that the author who names a Secret may read it: install the policies of"
            f" deploy/admission, and set the annotation {RECONCILE_NOW_ANNOTATION} of this object to a new value, or"
            f" {_let_it_name(origin)}",
        )


def warning_of(secret: dict[str, Any], url: str) -> str:
    """Return the warning about a Secret that is sent to a registered repository unencrypted; empty where it is not.

    There is no warning where the Secret names servers itself, nor for loopback addresses.
    """
    origin = origin_of(url)
    if origin.scheme != _PLAIN or _is_loopback(origin.host) or named_origins(secret) is not None:
        return ""
    return (
        f"what Secret {secret['metadata']['name']!r} holds is sent unencrypted to {origin}: use an https:// address, or"
        f" {_let_it_name(origin)}"
    )


def _check_named(secret: dict[str, Any], origin: Origin, named: frozenset[Origin] | None) -> None:
    if named is not None and origin not in named:
        raise _refused(
            secret, origin, f"its annotation {SECRET_HOSTS_ANNOTATION} names other servers: correct the address, or it"
        )


def _refused(secret: dict[str, Any], origin: Origin, why: str) -> Stalled:
    return Stalled(
        Reason.INVALID_SECRET, f"Secret {secret['metadata']['name']!r} is not sent to {origin}, because {why}"
    )


def _let_it_name(origin: Origin) -> str:
    return f"let the annotation {SECRET_HOSTS_ANNOTATION} of the Secret name {origin}"


def _origins(secret: dict[str, Any], entry: str) -> list[Origin]:
    """Return the servers of one entry of the annotation. Without a scheme it means HTTPS and SSH.

    Raises:
        Stalled: The entry is no server.
    """
    scheme, separator, server = entry.rpartition("://")
    server = server.rstrip("/")
    try:
        if not set(server) & set("/@?#"):
            return [origin_of(f"{each}://{server}/repository") for each in ((scheme,) if separator else _ENCRYPTED)]
    except BadAddress:
        pass
    raise Stalled(
        Reason.INVALID_SECRET,
        f"Secret {secret['metadata']['name']!r}: its annotation {SECRET_HOSTS_ANNOTATION} has an entry that is no"
        f" server: write {_ENTRY}",
    )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
