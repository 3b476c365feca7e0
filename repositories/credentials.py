"""From a Secret to credentials for Git. Messages name the Secret and its keys, never their values."""

import base64
from dataclasses import dataclass, field
from typing import Any, Final

from porchflow.api.git_address import parse
from porchflow.api.models.conditions import Reason
from porchflow.gitrepo.errors import GitCertificateError
from porchflow.gitrepo.remote.http.server_certificates import trust
from porchflow.gitrepo.remote.remote import BasicAuth, BearerToken, Credentials, SshKey
from porchflow.gitrepo.remote.ssh.known_hosts import KnownHosts
from porchflow.gitrepo.remote.ssh.ssh_keys import UnusableKey, key_pair
from porchflow.repositories.failures import Stalled

BASIC_AUTH: Final = "kubernetes.io/basic-auth"
SSH_AUTH: Final = "kubernetes.io/ssh-auth"
OPAQUE: Final = "Opaque"

CA_KEY: Final = "ca.crt"


@dataclass(frozen=True)
class GitSecret:
    """Credentials and certificates of a Secret."""

    credentials: Credentials | None
    ca_bundle: str | None = field(default=None, repr=False)


def read_secret(secret: dict[str, Any], url: str) -> GitSecret:
    """Read a Secret.

    Source: docs/reference/porch-git-layout.md, "Credentials". SSH, passphrases and `ca.crt` beside other keys are ours.

    Args:
        secret: The raw Secret.
        url: Address of the repository that it is for.

    Raises:
        BadAddress: Packages are not fetched from such an address.
        Stalled: The Secret cannot be used, or not for this address; the message names the key.
    """
    data = _Data(secret)
    credentials = _credentials(data)
    is_ssh = parse(url).is_ssh
    if is_ssh and not isinstance(credentials, SshKey):
        raise data.wrong(
            f"is of type {data.kind!r}, and the repository's address is one of SSH: use type {SSH_AUTH} with"
            " ssh-privatekey and known_hosts, or an https:// address"
        )
    if isinstance(credentials, SshKey) and not is_ssh:
        raise data.wrong("holds an SSH key, and the repository's address is not one of SSH: use an ssh:// address")
    return GitSecret(credentials, read_bundle(secret) if CA_KEY in data else None)


def read_bundle(secret: dict[str, Any]) -> str:
    """Return the PEM certificates of a raw Secret, its key `ca.crt`.

    Raises:
        Stalled: The key is missing, or holds no usable certificates.
    """
    data = _Data(secret)
    bundle = data.text(CA_KEY)
    try:
        trust(bundle)
    except GitCertificateError as error:
        raise data.wrong(f"key {CA_KEY!r}: {error}") from None
    return bundle


class _Data:
    """The data of one raw Secret, decoded on access."""

    def __init__(self, secret: dict[str, Any]) -> None:
        self._name = secret["metadata"]["name"]
        self._data: dict[str, str] = secret.get("data") or {}
        self.kind = secret.get("type") or OPAQUE

    def __contains__(self, key: str) -> bool:
        return key in self._data

    def wrong(self, what: str) -> Stalled:
        return Stalled(Reason.INVALID_SECRET, f"Secret {self._name!r} {what}")

    def text(self, key: str) -> str:
        try:
            return base64.b64decode(self._data[key], validate=True).decode()
        except KeyError:
            raise self.wrong(f"has no key {key!r}") from None
        except ValueError:
            # Not chained: the library's error shows the bytes that it could not decode.
            raise self.wrong(f"key {key!r} is not base64-encoded UTF-8") from None


def _credentials(data: _Data) -> Credentials | None:
    if data.kind == BASIC_AUTH:
        return BasicAuth(username=data.text("username"), password=data.text("password"))
    if data.kind == SSH_AUTH:
        return _ssh_key(data)
    if data.kind == OPAQUE and "bearerToken" in data:
        return BearerToken(token=data.text("bearerToken"))
    if data.kind == OPAQUE and CA_KEY in data:
        return None
    raise data.wrong(
        f"of type {data.kind!r} holds no Git credentials: use type {BASIC_AUTH} with username and password, type"
        f" {OPAQUE} with bearerToken, or type {SSH_AUTH} with ssh-privatekey and known_hosts"
    )


def _ssh_key(data: _Data) -> SshKey:
    passphrase = data.text("passphrase") if "passphrase" in data else ""
    key = SshKey(data.text("ssh-privatekey"), _known_hosts(data), passphrase.rstrip("\r\n"))
    try:
        key_pair(key.private_key, key.passphrase)
    except UnusableKey as error:
        raise data.wrong(f"key 'ssh-privatekey' {error} (its passphrase is read from key 'passphrase')") from None
    return key


def _known_hosts(data: _Data) -> str:
    if "known_hosts" not in data:
        raise data.wrong(
            "has no key 'known_hosts', without which the server's host key cannot be checked: put there the lines that"
            " ssh-keyscan prints for the server, after comparing the fingerprints with those of its administrator"
        )
    text = data.text("known_hosts")
    if not KnownHosts(text):
        raise data.wrong("key 'known_hosts' has no line that can be read: put there what ssh-keyscan prints")
    return text
