"""A remote repository: address and credentials."""

import base64
import hashlib
from dataclasses import dataclass, field
from functools import cached_property

from porchflow.api.git_address import BadAddress, GitAddress, parse
from porchflow.gitrepo.refs import InvalidName


@dataclass(frozen=True)
class BasicAuth:
    """User name and password (or a token in its place)."""

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
    """In the format of sshd(8); without a line for the server there is no connection."""
    passphrase: str = field(default="", repr=False)


Credentials = BasicAuth | BearerToken | SshKey


@dataclass(frozen=True)
class Remote:
    """A repository's address with the credentials to use. Its repr shows no secret."""

    url: str = field(repr=False)
    credentials: Credentials | None = None
    ca_bundle: str | None = field(default=None, repr=False)
    """PEM certificates to trust besides the system's, for this remote alone."""
    secret: str = ""
    """Name of the Secret that holds the credentials, for people."""
    is_chosen: bool = False
    """Whether an author of packages chose the address, and nobody registered it: not every server is asked then."""

    def __post_init__(self) -> None:
        header = self.authorization or ""
        if not (header.isascii() and header.isprintable()):
            raise InvalidName(
                f"the credentials for {self.display!r} hold a line break or another character that no header takes;"
                " remove it from the Secret"
            )

    @cached_property
    def parsed(self) -> GitAddress:
        """The address in parts.

        Raises:
            InvalidName: The text is no address. Never raised for an existing Remote: its construction parses the
                address.
        """
        try:
            return parse(self.url)
        except BadAddress as error:
            raise InvalidName(str(error)) from None

    @property
    def display(self) -> str:
        """The address for people: without user, password and query."""
        return self.parsed.display

    @property
    def named_secret(self) -> str:
        """The Secret that the credentials are from, for people."""
        return f"Secret {self.secret!r}" if self.secret else "the Secret that the Repository names"

    @property
    def is_ssh(self) -> bool:
        """Whether the remote is reached over SSH; otherwise over HTTP."""
        return self.parsed.is_ssh

    @property
    def host(self) -> str:
        """Name or IP address of the server."""
        return self.parsed.host

    @property
    def port(self) -> int:
        """Port of the server."""
        return self.parsed.port

    @property
    def user(self) -> str:
        """User to log in as over SSH; part of the address."""
        return self.parsed.user

    @property
    def address(self) -> str:
        """The address to connect to, without password; over SSH with the user."""
        return self.parsed.wire

    @property
    def written(self) -> str:
        """The address for status and Kptfiles."""
        return self.parsed.written

    @property
    def place(self) -> str:
        """The identity of the repository, however its address is spelled."""
        return self.parsed.place

    @property
    def authorization(self) -> str | None:
        """Value of the Authorization header: from the credentials, else from the URL. None over SSH."""
        if self.is_ssh or isinstance(self.credentials, SshKey):
            return None
        if self.credentials:
            return self.credentials.header
        if not self.parsed.user:
            return None
        return BasicAuth(self.parsed.user, self.parsed.password).header

    @property
    def account(self) -> tuple[str, str]:
        """Place and a digest of the credentials: equal for remotes that may share pushes and cached reads."""
        secret = [self.authorization, self.ca_bundle, self.secret, self.parsed.query]
        if self.is_ssh:
            secret.append(self.user)
        if self.is_chosen:
            secret.append("chosen")
        if isinstance(self.credentials, SshKey):
            secret += vars(self.credentials).values()
        return self.place, hashlib.sha256(repr(secret).encode()).hexdigest()

    @property
    def identity(self) -> tuple[str, str, str]:
        """The account, and the spelling of the address: equal for remotes that share one connection."""
        return *self.account, self.address

    def __repr__(self) -> str:
        return f"Remote({self.display!r}, credentials={self.credentials!r})"
