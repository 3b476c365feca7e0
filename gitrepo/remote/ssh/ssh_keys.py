"""Private SSH keys: checked before a server sees them, and converted to a form that ssh(1) reads."""

import base64
from dataclasses import dataclass, field

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from porchflow.gitrepo.remote.ssh.known_hosts import fingerprint

_OPENSSH = "-----BEGIN OPENSSH PRIVATE KEY-----"
_MAGIC = b"openssh-key-v1\0"

_Key = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey


class UnusableKey(ValueError):  # noqa: N818 - named for what it is
    """A private key that is not usable; the message holds no part of it."""


@dataclass(frozen=True)
class KeyPair:
    """A key in a form that ssh(1) reads."""

    public: str
    """A line as in authorized_keys."""
    private: str = field(repr=False)
    passphrase: str = field(default="", repr=False)

    @property
    def fingerprint(self) -> str:
        """Of the public half, as ssh-keygen(1) prints it."""
        return fingerprint(base64.b64decode(self.public.split()[1]))


def key_pair(private_key: str, passphrase: str = "") -> KeyPair:
    """Read a private key in OpenSSH's format or PEM: ed25519, ECDSA or RSA.

    Raises:
        UnusableKey: It is no such key, or encrypted and the passphrase is missing or wrong.
    """
    text = private_key.replace("\r\n", "\n").strip() + "\n"
    try:
        key = _load(text, passphrase)
    except UnsupportedAlgorithm:
        if not (text.startswith(_OPENSSH) and passphrase):
            raise UnusableKey("is of a type or encryption that is not supported: use ed25519, ECDSA or RSA") from None
        # Only ssh(1) can decrypt OpenSSH's own format here; a wrong passphrase shows when the key is used.
        return KeyPair(_public_of_openssh(text), text, passphrase)
    if not isinstance(key, _Key):
        raise UnusableKey(f"is of a type that is not supported ({type(key).__name__}): use ed25519, ECDSA or RSA")
    private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return KeyPair(public.decode(), private.decode())


def _load(text: str, passphrase: str) -> object:
    data, password = text.encode(), passphrase.encode() or None
    load = serialization.load_ssh_private_key if text.startswith(_OPENSSH) else serialization.load_pem_private_key
    try:
        return load(data, password)
    except TypeError:
        if password is None:
            raise UnusableKey("is encrypted: give its passphrase, too, or a key without one") from None
        return load(data, None)
    except ValueError:
        if "ENCRYPTED" in text.partition("\n\n")[0]:
            raise UnusableKey("cannot be decrypted: the passphrase is wrong") from None
        raise UnusableKey(
            "is no private key in OpenSSH's format or PEM: it starts with -----BEGIN ... PRIVATE KEY-----"
        ) from None


def _public_of_openssh(text: str) -> str:
    """Read the public half, which OpenSSH's format does not encrypt (PROTOCOL.key in its sources)."""
    try:
        blob = base64.b64decode("".join(text.strip().splitlines()[1:-1]), validate=True)
    except ValueError:
        raise UnusableKey("is damaged: its body is not base64") from None
    rest = blob.removeprefix(_MAGIC)
    for _ in range(3):  # cipher, key derivation, its options
        _, rest = _string(rest)
    public, _ = _string(rest[4:])
    kind, _ = _string(public)
    return f"{kind.decode('ascii', 'replace')} {base64.b64encode(public).decode()}"


def _string(data: bytes) -> tuple[bytes, bytes]:
    length = int.from_bytes(data[:4], "big")
    return data[4 : 4 + length], data[4 + length :]
