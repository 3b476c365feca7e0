"""Host keys that SSH servers may show: the `known_hosts` format of sshd(8), parsed and compared."""

import base64
import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from porchflow.gitrepo.errors import GitHostKeyError

SSH_PORT = 22

_HASHED = "|1|"


def fingerprint(blob: bytes) -> str:
    """Return the fingerprint of a public key as ssh-keygen(1) prints it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


@dataclass(frozen=True)
class HostKey:
    """A public key of a server."""

    blob: bytes
    """As in the SSH protocol."""

    @property
    def kind(self) -> str:
        """Its algorithm, such as `ssh-ed25519`."""
        length = int.from_bytes(self.blob[:4], "big")
        return self.blob[4 : 4 + length].decode("ascii", "replace")

    @property
    def fingerprint(self) -> str:
        """As ssh-keygen(1) prints it."""
        return fingerprint(self.blob)

    def __str__(self) -> str:
        return _named(self)


class ShownKey(Protocol):
    """A public key that a server shows, as ssh(1) names it."""

    @property
    def kind(self) -> str:
        """Its algorithm, such as `ssh-ed25519`."""

    @property
    def fingerprint(self) -> str:
        """As ssh-keygen(1) prints it."""


@dataclass(frozen=True)
class NamedKey:
    """A public key of which only name and fingerprint are known; see `ShownKey`."""

    kind: str
    fingerprint: str


@dataclass(frozen=True)
class _Line:
    marker: str
    hosts: str
    key: HostKey


class KnownHosts:
    """The lines of one `known_hosts` text."""

    def __init__(self, text: str) -> None:
        """Parse the text; invalid lines are skipped, as in ssh(1)."""
        self._lines = list(_lines(text))

    def __bool__(self) -> bool:
        return bool(self._lines)

    def keys(self, host: str, port: int = SSH_PORT) -> list[HostKey]:
        """Return the keys that a host may show."""
        return [line.key for line in self._of(host, port) if not line.marker]

    def check(self, host: str, port: int, shown: ShownKey) -> None:
        """Accept the key that a host shows.

        Raises:
            GitHostKeyError: It is not one that the host may show; the message names the key and how to mend that.
        """
        lines = self._of(host, port)
        where = _place(host, port)
        if any(line.marker == "@revoked" and line.key.fingerprint == shown.fingerprint for line in lines):
            raise GitHostKeyError(f"{where} shows the host key {_named(shown)}, which known_hosts has as revoked")
        known = [line.key for line in lines if not line.marker]
        if all(key.fingerprint != shown.fingerprint for key in known):
            raise GitHostKeyError(_unknown(where, shown, known))

    def _of(self, host: str, port: int) -> list[_Line]:
        return [line for line in self._lines if _matches(line.hosts, _place(host, port))]


def _named(key: ShownKey) -> str:
    return f"{key.kind} {key.fingerprint}"


def _unknown(where: str, shown: ShownKey, known: list[HostKey]) -> str:
    told = f"the SSH server {where} shows the host key {_named(shown)}, and known_hosts in the Secret has"
    same_kind = [key for key in known if key.kind == shown.kind]
    if same_kind:
        other = ", ".join(key.fingerprint for key in same_kind)
        return (
            f"{told} {other} for it: the server has a new key, or the connection is intercepted. Ask the server's"
            " administrator; if the key is new, replace its line in known_hosts"
        )
    what = f"only keys of other types ({', '.join(key.kind for key in known)})" if known else "no key"
    return (
        f"{told} {what} for it. Compare the fingerprint with the one that the server's administrator names, then add"
        " the lines that ssh-keyscan prints for the server to known_hosts"
    )


def _place(host: str, port: int) -> str:
    return host.lower() if port == SSH_PORT else f"[{host.lower()}]:{port}"


def _lines(text: str) -> Iterator[_Line]:
    for raw in text.splitlines():
        fields = raw.split()
        if not fields or fields[0].startswith("#"):
            continue
        marker = fields.pop(0) if fields[0].startswith("@") else ""
        if len(fields) < 3:  # noqa: PLR2004 - hosts, type, key
            continue
        try:
            key = HostKey(base64.b64decode(fields[2], validate=True))
        except ValueError:
            continue
        if key.kind == fields[1]:
            yield _Line(marker, fields[0], key)


def _matches(hosts: str, place: str) -> bool:
    if hosts.startswith(_HASHED):
        return _matches_hash(hosts, place)
    patterns = [pattern.lower() for pattern in hosts.split(",")]
    if any(_fits(pattern[1:], place) for pattern in patterns if pattern.startswith("!")):
        return False
    return any(_fits(pattern, place) for pattern in patterns if not pattern.startswith("!"))


def _fits(pattern: str, place: str) -> bool:
    """Return whether a pattern with `*` and `?` fits. Backtracking goes to the last star alone."""
    at = place_at = retry = 0
    star = -1
    while place_at < len(place):
        if at < len(pattern) and pattern[at] == "*":
            star, retry = at, place_at
            at += 1
        elif at < len(pattern) and pattern[at] in ("?", place[place_at]):
            at, place_at = at + 1, place_at + 1
        elif star >= 0:
            retry += 1
            at, place_at = star + 1, retry
        else:
            return False
    return not pattern[at:].strip("*")


def _matches_hash(hosts: str, place: str) -> bool:
    salt, _, wanted = hosts.removeprefix(_HASHED).partition("|")
    try:
        digest = hmac.digest(base64.b64decode(salt), place.encode(), "sha1")
        return hmac.compare_digest(digest, base64.b64decode(wanted))
    except ValueError:
        return False
