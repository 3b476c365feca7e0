"""A remote repository and how to get in."""

import base64
import hashlib
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from gitrepo.errors import sanitize
from gitrepo.refs import InvalidName


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


Credentials = BasicAuth | BearerToken


@dataclass(frozen=True)
class Remote:
    """A repository's address with the credentials to use. Its repr shows no secret."""

    url: str = field(repr=False)
    credentials: Credentials | None = None
    ca_bundle: str | None = field(default=None, repr=False)
    """PEM certificates to trust besides the system's. libgit2 keeps them for the whole process."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise InvalidName(f"repository URL {self.display!r}: give an http:// or https:// address")
        header = self.credentials.header if self.credentials else ""
        if "\n" in header or "\r" in header:
            raise InvalidName(f"the credentials for {self.display!r} hold a line break; remove it from the Secret")

    @property
    def display(self) -> str:
        """The address as it may be shown: without user, password and query."""
        return sanitize(self.url)

    @property
    def address(self) -> str:
        """The address to connect to, without user and password."""
        parts = urlsplit(self.url)
        return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()

    @property
    def authorization(self) -> str | None:
        """Value of the Authorization header: of the credentials, else of what the URL holds."""
        if self.credentials:
            return self.credentials.header
        parts = urlsplit(self.url)
        if not parts.username:
            return None
        return BasicAuth(unquote(parts.username), unquote(parts.password or "")).header

    @property
    def identity(self) -> tuple[str, str]:
        """Address and a digest of the credentials: equal for remotes that may share listings and pushes."""
        secret = f"{self.authorization}\n{self.ca_bundle}"
        return self.address, hashlib.sha256(secret.encode()).hexdigest()

    def __repr__(self) -> str:
        return f"Remote({self.display!r}, credentials={self.credentials!r})"
