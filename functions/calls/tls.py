"""TLS certificates of the function runner and its clients, from files that may be replaced at any time."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import grpc
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key


class CertificateError(Exception):
    """A certificate, key or CA file cannot be used; the message names the file."""


@dataclass(frozen=True)
class Identity:
    """Certificate files of one side of a connection.

    Attributes:
        certificate: PEM file with its certificate and the intermediate certificates; None for none.
        key: PEM file with the certificate's private key.
        ca: PEM file with the CAs of the peer's certificate. A server without one requires no client certificates; a
            client without one uses the system's CAs.
    """

    certificate: Path | None = None
    key: Path | None = None
    ca: Path | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise CertificateError("give both a certificate and its key, or neither")

    @property
    def is_secure(self) -> bool:
        """Whether any file is given, so that connections are encrypted."""
        return self.certificate is not None or self.ca is not None


PLAINTEXT = Identity()
"""No certificates: connections are neither encrypted nor authenticated."""


def server_credentials(identity: Identity) -> grpc.ServerCredentials:
    """Return the credentials of a server, which reads its files again for each connection.

    Raises:
        CertificateError: A file cannot be used.
    """
    last = _configuration(identity)

    def current() -> grpc.ServerCertificateConfiguration:
        nonlocal last
        try:
            last = _configuration(identity)
        except CertificateError:
            # The files may be half replaced: the former pair serves until both are there.
            return last
        return last

    return grpc.dynamic_ssl_server_credentials(last, current, require_client_authentication=identity.ca is not None)


class ClientCredentials:
    """Credentials of a client, which follow changes of the files."""

    def __init__(self, identity: Identity) -> None:
        """Read the files.

        Raises:
            CertificateError: A file cannot be used.
        """
        self._identity = identity
        self._material = _read_material(identity)
        _check(identity, self._material)

    def renew(self) -> bool:
        """Read the files again.

        Returns:
            Whether they have changed, so that a new connection is due.
        """
        try:
            material = _read_material(self._identity)
            if material == self._material:
                return False
            _check(self._identity, material)
        except CertificateError:
            # The files may be half replaced: the former ones serve until all are there.
            return False
        self._material = material
        return True

    def for_channel(self) -> grpc.ChannelCredentials:
        """Return the credentials for a new connection."""
        certificate, key, ca = self._material
        return grpc.ssl_channel_credentials(ca, key, certificate)


class _Material(NamedTuple):
    """Content of the files of an Identity."""

    certificate: bytes | None
    key: bytes | None
    ca: bytes | None


def _configuration(identity: Identity) -> grpc.ServerCertificateConfiguration:
    material = _read_material(identity)
    if material.key is None or material.certificate is None:
        raise CertificateError("a function runner that asks for client certificates needs a certificate of its own")
    _check(identity, material)
    pair = (material.key, material.certificate)
    return grpc.ssl_server_certificate_configuration([pair], root_certificates=material.ca)


def _read_material(identity: Identity) -> _Material:
    return _Material(_read(identity.certificate), _read(identity.key), _read(identity.ca))


def _check(identity: Identity, material: _Material) -> None:
    """Refuse files that gRPC would refuse; its message would not name the file."""
    if material.ca is not None:
        _check_ca(identity.ca, material.ca)
    if material.certificate is None or material.key is None:
        return
    if _public_of_certificate(identity.certificate, material.certificate) != _public_of_key(identity.key, material.key):
        raise CertificateError(f"the key in {identity.key} is not that of the certificate in {identity.certificate}")


def _check_ca(path: Path | None, content: bytes) -> None:
    try:
        x509.load_pem_x509_certificates(content)
    except ValueError:
        # Without the library's words: the file may be a key, given by mistake.
        raise CertificateError(f"{path} holds no certificate of a CA that can be used") from None


def _public_of_certificate(path: Path | None, content: bytes) -> PublicKeyTypes:
    try:
        return x509.load_pem_x509_certificate(content).public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateError(f"{path} holds no certificate that can be used: {error}") from None


def _public_of_key(path: Path | None, content: bytes) -> PublicKeyTypes:
    try:
        return load_pem_private_key(content, None).public_key()
    except TypeError:
        raise CertificateError(f"the key in {path} has a password; give one without") from None
    except (ValueError, UnsupportedAlgorithm):
        # Without the library's words: no part of a key may get into a log.
        raise CertificateError(f"{path} holds no private key that can be used") from None


def _read(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        content = path.read_bytes()
    except OSError as error:
        raise CertificateError(f"cannot read {path}: {error.strerror}") from None
    if b"-----BEGIN " not in content:
        raise CertificateError(f"{path} holds no PEM block")
    return content
