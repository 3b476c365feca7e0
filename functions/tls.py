"""Certificates of the function runner and its clients, from files that may be replaced at any time."""

from dataclasses import dataclass
from pathlib import Path

import grpc


class CertificateError(Exception):
    """A certificate, key or CA file cannot be used; names the file."""


@dataclass(frozen=True)
class Identity:
    """Who one side of a connection is, and whom it believes.

    Attributes:
        certificate: PEM file with its certificate and those that vouch for it; None for none.
        key: PEM file with the certificate's key.
        ca: PEM file with the certificates that must vouch for the other side. A server without one asks its clients
            for no certificate; a client without one believes those that the system trusts.
    """

    certificate: Path | None = None
    key: Path | None = None
    ca: Path | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise CertificateError("give both a certificate and its key, or neither")

    @property
    def is_secure(self) -> bool:
        """Whether anything is given, so that connections are to be encrypted."""
        return self.certificate is not None or self.ca is not None


PLAINTEXT = Identity()
"""Nobody is anybody: connections are neither encrypted nor authenticated."""


def server_credentials(identity: Identity) -> grpc.ServerCredentials:
    """Credentials of a server; each new connection gets what is in the files then.

    Raises:
        CertificateError: a file cannot be read now.
    """
    last = _configuration(identity)

    def current() -> grpc.ServerCertificateConfiguration:
        nonlocal last
        try:
            last = _configuration(identity)
        except CertificateError:
            # Half replaced: what was there is good until both files are.
            return last
        return last

    return grpc.dynamic_ssl_server_credentials(last, current, require_client_authentication=identity.ca is not None)


def channel_credentials(identity: Identity) -> grpc.ChannelCredentials:
    """Credentials of a client, as the files are now.

    Raises:
        CertificateError: a file cannot be read.
    """
    return grpc.ssl_channel_credentials(_read(identity.ca), _read(identity.key), _read(identity.certificate))


def _configuration(identity: Identity) -> grpc.ServerCertificateConfiguration:
    key, certificate = _read(identity.key), _read(identity.certificate)
    if key is None or certificate is None:
        raise CertificateError("a function runner that asks for client certificates needs a certificate of its own")
    return grpc.ssl_server_certificate_configuration([(key, certificate)], root_certificates=_read(identity.ca))


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
