"""Certificate authorities of a test's own, and TLS servers with the certificates they issue."""

import datetime as dt
import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from porchflow.kube.x509 import certificate_builder, common_name

_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Pair:
    """A certificate, followed by those of the authorities between it and the root, and its key, as PEM files."""

    certificate: Path
    key: Path


class Authority:
    """Signs certificates; nobody trusts it unless told to."""

    def __init__(self, folder: Path, name: str = "test-authority", *, parent: "Authority | None" = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._ca = trustme.CA(parent._ca if parent else None, organization_name=name)

    @property
    def pem(self) -> str:
        """What clients are to trust."""
        return self._ca.cert_pem.bytes().decode()

    def issue(self, name: str, *serves: str, valid: dt.timedelta = _DAY) -> Pair:
        """Issue a certificate with a common name: of a server with these host names and addresses, or of a client."""
        end = dt.datetime.now(dt.UTC) + valid
        issued = self._ca.issue_cert(*(serves or ("client.invalid",)), common_name=name, not_after=end)
        return self._write(
            name, b"".join(pem.bytes() for pem in issued.cert_chain_pems), issued.private_key_pem.bytes()
        )

    def issue_for_servers_only(self, name: str) -> Pair:
        """Issue a certificate that is good for no client; those of trustme are for both."""
        return self._write(name, *signed(self._ca, common_name(name), ExtendedKeyUsageOID.SERVER_AUTH))

    def serves(self, *names: str, valid: dt.timedelta = _DAY) -> ssl.SSLContext:
        """Return what a TLS server needs, with a certificate for these host names and addresses."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        pair = self.issue("server", *names, valid=valid)
        context.load_cert_chain(pair.certificate, pair.key)
        return context

    def _write(self, name: str, certificate: bytes, key: bytes) -> Pair:
        pair = Pair(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        pair.certificate.write_bytes(certificate)
        pair.key.write_bytes(key)
        return pair


def signed(authority: trustme.CA, subject: x509.Name, purpose: x509.ObjectIdentifier) -> tuple[bytes, bytes]:
    """Sign what trustme cannot: any subject, and one purpose alone. Returns the certificate and its key as PEM."""
    signer = serialization.load_pem_private_key(authority.private_key_pem.bytes(), password=None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    issuer = x509.load_pem_x509_certificate(authority.cert_pem.bytes()).subject
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    builder = certificate_builder(subject, issuer, key.public_key(), signer.public_key(), now=now, valid=_DAY)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    certificate = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False).sign(signer, hashes.SHA256())
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(serialization.Encoding.PEM), key.private_bytes(*form)
