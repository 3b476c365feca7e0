"""A remote repository and how to get in."""

import base64
import hashlib
import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from porchflow.gitrepo.errors import sanitize
from porchflow.gitrepo.refs import InvalidName
from porchflow.gitrepo.remote.known_hosts import SSH_PORT


@dataclass(frozen=True)
class BasicAuth:
    """User name and password (or token in its place)."""

    username: str
    password: str = field(repr=False)

    @property
    def header(self) -> str:
        """Value of the Authorization header."""
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


@dataclass(frozen=True)
class BearerToken:
    """A bearer token."""

    token: str = field(repr=False)

    @property
    def header(self) -> str:
        """Value of the Authorization header."""
        return f"Bearer {self.token}"


@dataclass(frozen=True)
class SshKey:
    """A private key, and the host keys of the servers that may see it."""

    private_key: str = field(repr=False)
    """In OpenSSH's format or PEM."""
    known_hosts: str = field(repr=False)
    """As sshd(8) describes it; without a line for the server there is no connection."""
    passphrase: str = field(default="", repr=False)


Credentials = BasicAuth | BearerToken | SshKey

DEFAULT_SSH_USER: Final = "git"

_SCP_LIKE = re.compile(r"(?:(?P<user>[^/@:\s]+)@)?(?P<host>\[[^]/\s]+\]|[^/@:\s\[\]]+):(?P<path>(?!//)[^\s]+)")
"""`git@host:path`, Git's short form of an SSH address."""


@dataclass(frozen=True)
class Remote:
    """A repository's address with the credentials to use. Its repr shows no secret."""

    url: str = field(repr=False)
    credentials: Credentials | None = None
    ca_bundle: str | None = field(default=None, repr=False)
    """PEM certificates to trust besides the system's, for this remote alone."""
    secret: str = ""
    """Name of the Secret that holds the credentials, for people."""

    def __post_init__(self) -> None:
        parts = _split(self.url)
        if parts.scheme not in {"http", "https", "ssh"} or not parts.hostname:
            raise InvalidName(f"repository URL {self.display!r}: give an https://, http:// or ssh:// address")
        header = self.authorization or ""
        if "\n" in header or "\r" in header:
            raise InvalidName(f"the credentials for {self.display!r} hold a line break; remove it from the Secret")

    @property
    def display(self) -> str:
        """The address as it may be shown: without user, password and query."""
        return sanitize(self.url)

    @property
    def is_ssh(self) -> bool:
        """Whether SSH leads there; else HTTP."""
        return is_ssh(self.url)

    @property
    def host(self) -> str:
        """Name or address of the server."""
        return _split(self.url).hostname or ""

    @property
    def port(self) -> int:
        """Port of the server."""
        parts = _split(self.url)
        return parts.port or {"http": 80, "https": 443}.get(parts.scheme, SSH_PORT)

    @property
    def user(self) -> str:
        """Name to log in with over SSH; the address says it."""
        return _split(self.url).username or DEFAULT_SSH_USER

    @property
    def address(self) -> str:
        """The address to connect to, without password; over SSH the user name is part of it."""
        parts = urlsplit(self.url)
        if parts.scheme == "ssh":
            place = parts.netloc.rpartition("@")[2]
            return parts._replace(netloc=f"{self.user}@{place}").geturl()
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if parts.netloc else self.url

    @property
    def authorization(self) -> str | None:
        """Value of the Authorization header: of the credentials, else of what the URL holds. None over SSH."""
        if self.is_ssh or isinstance(self.credentials, SshKey):
            return None
        if self.credentials:
            return self.credentials.header
        parts = urlsplit(self.url)
        if not parts.username:
            return None
        return BasicAuth(unquote(parts.username), unquote(parts.password or "")).header

    @property
    def identity(self) -> tuple[str, str]:
        """Address and a digest of the credentials: equal for remotes that may share listings and pushes."""
        secret = [self.authorization, self.ca_bundle, self.secret]
        if isinstance(self.credentials, SshKey):
            secret += vars(self.credentials).values()
        return self.address, hashlib.sha256(repr(secret).encode()).hexdigest()

    def __repr__(self) -> str:
        return f"Remote({self.display!r}, credentials={self.credentials!r})"


def is_ssh(url: str) -> bool:
    """Whether an address is one of SSH: `ssh://...` or `git@host:path`."""
    return _split(url).scheme == "ssh"


def _split(url: str) -> SplitResult:
    """Split an address; the short form is split as the long one would be."""
    short = _SCP_LIKE.fullmatch(url)
    if "://" in url or short is None:
        return urlsplit(url)
    return urlsplit(f"ssh://{short['user'] or DEFAULT_SSH_USER}@{short['host']}/{short['path']}")
