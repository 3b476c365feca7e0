"""Addresses of Git repositories: parsed, compared, and shown without secrets. Pure.

`parse` accepts what Git itself accepts for HTTP and SSH (git-clone(1), "GIT URLS"). The text goes over the wire as the
user wrote it; `GitAddress.place` only identifies the repository. All code that compares, keys or shows an address uses
this module.
"""

import ipaddress
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final
from urllib.parse import quote, unquote, unquote_to_bytes

DEFAULT_PORTS: Final = {"http": 80, "https": 443, "ssh": 22}
DEFAULT_SSH_USER: Final = "git"
LONGEST_ADDRESS: Final = 4096
"""Characters; a token in place of a password can be long."""

_LONGEST_HOST = 253
_LONGEST_SHOWN = 200
_LAST_PORT = 65535
_HOME = "~"
_FIRST_PRINTABLE, _DELETE = 0x20, 0x7F

# Possessive, and begun at `://` instead of at a word: each character of a text is read a fixed number of times.
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*+)://")
_HOST = re.compile(r"[A-Za-z0-9._-]++")
_PORT = re.compile(r"[0-9]{1,5}")
_LOGIN = re.compile(r"://(?:[^/\s@]*+@)++")
_QUERY = re.compile(r"""(://[^\s?#'"]*+)(?:[?#][^\s'"]*+)?""")

_FORMS = "give https://HOST/PATH, http://HOST/PATH, ssh://[USER@]HOST/PATH or [USER@]HOST:PATH"


class BadAddress(ValueError):  # noqa: N818 - named for what happened
    """A text is no address of a Git repository; the message names the fault and how to mend it, without secrets."""


@dataclass(frozen=True)
class GitAddress:
    """An address, split into its parts."""

    text: str = field(repr=False)
    """As the user wrote it; may hold a password."""
    scheme: str
    """`http`, `https` or `ssh`."""
    host: str
    """In lower case, an IPv6 address without brackets."""
    port: int
    path: str
    """As the user wrote it, without query; in the short form without a slash before it."""
    user: str = field(default="", repr=False)
    """Without escapes; over SSH `git` where the address names none."""
    password: str = field(default="", repr=False)
    """Without escapes."""
    is_short: bool = False
    """Whether it is of the form `user@host:path`."""

    @property
    def is_ssh(self) -> bool:
        """Whether the address is reached over SSH; otherwise over HTTP."""
        return self.scheme == "ssh"

    @property
    def wire(self) -> str:
        """The address to connect to: as the user wrote it, without password; over SSH with the user."""
        if self.is_short:
            return self.text
        authority, slash, path = self.text.partition("://")[2].partition("/")
        user = f"{quote(self.user, safe='')}@" if self.is_ssh else ""
        return f"{self.scheme}://{user}{authority.rpartition('@')[2]}{slash}{path}"

    @property
    def written(self) -> str:
        """The address for status and Kptfiles: that of the wire, without a query, which may be a token."""
        return self.wire if self.is_short else self.wire.partition("?")[0]

    @property
    def display(self) -> str:
        """The address for people: without user, password and query, and bounded in length."""
        return _cut(without_secrets(self.text))

    @property
    def query(self) -> str:
        """The part after the `?` of a URL; may be a token."""
        return "" if self.is_short else self.wire.partition("?")[2]

    @property
    def ssh_path(self) -> str:
        """The path as the server's program gets it over SSH: without escapes, from a home where it begins at one."""
        if self.is_short:
            return self.path
        path = unquote(self.path)
        return path[1:] if path.startswith("/~") else path

    @property
    def origin(self) -> tuple[str, str, int]:
        """Scheme, host and port: the only server that may see credentials for this address."""
        return self.scheme, _canonical_host(self.host), self.port

    @cached_property
    def place(self) -> str:
        """The identity of the repository, in the form of an address: equal for its addresses over one protocol.

        - The default port, case of scheme and host, a final `/` or `.git`, doubled slashes, needless escapes and the
          spelling of an internationalized name make no difference.
        - User, password and query of an HTTP address identify the client, not the repository.
        - Over SSH a path that begins at a home (`alice@host:x`, `ssh://host/~alice/x`) is that user's; any other is one
          for all users. The home of `git` counts as the root: servers of Git alone, such as forges, do not tell
          `git@host:acme/x` from `ssh://git@host/acme/x`.
        - The case of the path counts: servers that keep repositories in folders tell `X` from `x`.

        Whether HTTP and SSH lead to the same repository is not known: no rule holds for all servers.
        """
        host = _canonical_host(self.host)
        host = f"[{host}]" if ":" in host else host
        return f"{self.scheme}://{host}:{self.port}/{'/'.join(self.segments)}"

    @property
    def place_for_hints(self) -> str:
        """The place without regard to the case of the path and to homes: for hints that only mean "look again".

        Webhooks name a repository as its forge spells it, and forges do not tell `Acme/X` from `acme/x`. A needless
        look costs a listing, a missed one costs an interval.
        """
        scheme, _, rest = self.place.partition("://")
        host, _, path = rest.partition("/")
        if self.is_ssh and path.startswith(_HOME) and "/" in path:
            path = path.partition("/")[2]
        return f"{scheme}://{host}/{path}".casefold()

    @cached_property
    def segments(self) -> list[str]:
        """The parts of the path that all spellings of it share; see `place`."""
        raw = [part for part in self.path.split("/") if part]
        segments = [quote(part.encode() if self.is_short else unquote_to_bytes(part), safe="") for part in raw]
        if self.is_ssh:
            segments = self._from_home(segments)
        while segments and segments[-1].endswith(".git"):
            segments[-1] = segments[-1].removesuffix(".git")
            segments = [part for part in segments if part]
        return segments

    def _from_home(self, segments: list[str]) -> list[str]:
        """Name the home that a path begins at; the root for the home of `git`."""
        home = f"{_HOME}{quote(self.user, safe='')}"
        if segments and segments[0] == _HOME:
            segments = [home, *segments[1:]]
        elif self.is_short and not self.path.startswith(("/", _HOME)):
            segments = [home, *segments]
        return segments[1:] if segments[:1] == [f"{_HOME}{DEFAULT_SSH_USER}"] else segments


def parse(text: str) -> GitAddress:
    """Read an address.

    Raises:
        BadAddress: It is none, or of a kind that porchflow does not support.
    """
    _check_text(text)
    scheme = _SCHEME.match(text)
    address = _parse_url(text, scheme[1].lower()) if scheme else _parse_short(text)
    _check_path(address)
    return address


def place_of(text: str) -> str | None:
    """Return the place of an address (`GitAddress.place`); None for a text that is no address."""
    try:
        return parse(text).place
    except BadAddress:
        return None


def without_secrets(text: str) -> str:
    """Strip user names, passwords and query strings from every URL in a text. Linear in its length."""
    return _QUERY.sub(r"\1", _LOGIN.sub("://", text))


def _check_text(text: str) -> None:
    if not text:
        raise BadAddress(f"the address of the Git repository is empty: {_FORMS}")
    if len(text) > LONGEST_ADDRESS:
        raise _bad(text, f"is longer than {LONGEST_ADDRESS} characters", "shorten it")
    for character in text:
        if character.isspace() or not character.isprintable() or character == "\\":
            mend = f"remove it, or write {quote(character.encode(errors='replace'))} for it in a URL"
            raise _bad(text, f"holds the character {character!a}", mend)


def _parse_url(text: str, scheme: str) -> GitAddress:
    if scheme not in DEFAULT_PORTS:
        raise _bad(text, f"is of scheme {_cut(scheme)!r}", _FORMS)
    rest = text.partition("://")[2]
    if "#" in rest:
        raise _bad(text, "holds a '#'", "remove what begins there, or write %23 for a '#' in the path or password")
    before, question, _ = rest.partition("?")
    authority, slash, path = before.partition("/")
    if question and not slash:
        raise _bad(text, "has a '?' before any path", "write %3F for a '?' in a password")
    login, _, place = authority.rpartition("@")
    host, port = _host_and_port(text, place, DEFAULT_PORTS[scheme])
    user, _, password = login.partition(":")
    user = unquote(user) or (DEFAULT_SSH_USER if scheme == "ssh" else "")
    return GitAddress(text, scheme, host, port, f"/{path}", user, unquote(password))


def _parse_short(text: str) -> GitAddress:
    """Read Git's short form of an SSH address, in which the first colon comes before any slash."""
    login, at, rest = text.rpartition("@")
    host, colon, path = rest.partition("]:" if rest.startswith("[") else ":")
    if not colon or "/" in host or path.startswith("//") or (at and not login) or any(sign in login for sign in ":/@["):
        raise _bad(text, "is none of a repository that can be reached", _FORMS)
    port = DEFAULT_PORTS["ssh"]
    host, _ = _host_and_port(text, f"{host}]" if rest.startswith("[") else host, port)
    return GitAddress(text, "ssh", host, port, path, login or DEFAULT_SSH_USER, is_short=True)


def _host_and_port(text: str, place: str, default: int) -> tuple[str, int]:
    brackets = place.startswith("[")
    host, closed, port = place[1:].partition("]") if brackets else place.partition(":")
    if brackets and (not closed or (port and not port.startswith(":"))):
        raise _bad(text, "has brackets that hold no host", "write an IPv6 address as [ADDRESS] or [ADDRESS]:PORT")
    host, port = host.lower(), port.removeprefix(":") if brackets else port
    _check_host(text, host, ipv6=brackets)
    if not port:
        return host, default
    if not _PORT.fullmatch(port) or not 0 < int(port) <= _LAST_PORT:
        raise _bad(text, "has a port that is no number from 1 to 65535", "correct it; a '/' in a password is %2F")
    return host, int(port)


def _check_host(text: str, host: str, *, ipv6: bool) -> None:
    if not host:
        raise _bad(text, "names no host", _FORMS)
    if len(host) > _LONGEST_HOST:
        raise _bad(text, f"names a host of more than {_LONGEST_HOST} characters", "correct it")
    try:
        good = bool(ipaddress.IPv6Address(host)) if ipv6 else _HOST.fullmatch(_canonical_host(host))
    except ValueError:
        good = False
    if not good or host.startswith("-"):
        raise _bad(text, "names a host that cannot be one", "correct it; write %40 for an '@' in a password")


def _check_path(address: GitAddress) -> None:
    # A left-over `@` belongs to a password with a `/` in it, and the text before it must not be shown.
    if "@" in address.path:
        raise _bad(address.text, "has an '@' in its path", "write %40 for it in a URL, and %2F for a '/' in a password")
    for part in address.path.split("/"):
        decoded = part.encode() if address.is_short else unquote_to_bytes(part)
        if decoded in {b".", b".."}:
            raise _bad(address.text, f"has the part {decoded.decode()!r} in its path", "give the path without it")
        if any(byte < _FIRST_PRINTABLE or byte == _DELETE for byte in decoded):
            raise _bad(address.text, "has an escaped control character in its path", "remove it")
    if address.is_ssh and address.ssh_path.startswith("-"):
        raise _bad(address.text, "has a path that begins with '-'", "give it from the root, with a '/' before it")
    if address.is_ssh and not address.segments:
        raise _bad(address.text, "names no repository on its host", _FORMS)


def _canonical_host(host: str) -> str:
    """Return a host in the form of DNS: ASCII, without the final dot; an IPv6 address in its short form.

    Raises:
        ValueError: It cannot be a name.
    """
    if ":" in host:
        return ipaddress.IPv6Address(host).compressed
    name = host if host.isascii() else host.encode("idna").decode("ascii")
    return name.removesuffix(".").lower()


def _bad(text: str, what: str, mend: str) -> BadAddress:
    return BadAddress(f"the address {_shown_of_bad(text)!r} {what}: {mend}")


def _shown_of_bad(text: str) -> str:
    """Return the safe part of a text that cannot be split: secrets may stand before an `@` and after a `?`."""
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "", text
    rest = re.split("[?#]", rest, maxsplit=1)[0].rpartition("@")[2]
    shown = f"{scheme.rpartition('@')[2]}{separator}{rest}"
    return _cut("".join(each if each.isprintable() else "?" for each in shown))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
