"""Certificate authorities of a test's own, and TLS servers with the certificates they issue."""

import datetime as dt
import ipaddress
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Authority:
    """A certificate authority; `pem` is what clients are to trust."""

    def __init__(self, name: str = "test-authority", *, parent: "Authority | None" = None) -> None:
        self._name = _name(name)
        self._key = ec.generate_private_key(ec.SECP256R1())
        signer = parent or self
        builder = _builder(self._name, signer._name, self._key, dt.timedelta(days=1))
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self._certificate = builder.sign(signer._key, hashes.SHA256())
        self._chain: list[x509.Certificate] = [self._certificate, *parent._chain] if parent else []

    @property
    def pem(self) -> str:
        return self._certificate.public_bytes(serialization.Encoding.PEM).decode()

    def issue(self, folder: Path, *names: str, valid_for: dt.timedelta = dt.timedelta(days=1)) -> Path:
        """Issue a certificate for host names and addresses; return a file with its key, itself and its chain."""
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = x509.SubjectAlternativeName([_alternative(name) for name in names])
        builder = _builder(_name("server"), self._name, key, valid_for)
        certificate = builder.add_extension(alternatives, critical=False).sign(self._key, hashes.SHA256())
        file = folder / f"{certificate.serial_number:x}.pem"
        pems = [found.public_bytes(serialization.Encoding.PEM) for found in (certificate, *self._chain)]
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file.write_bytes(b"".join([private, *pems]))
        return file

    def serves(self, folder: Path, *names: str, valid_for: dt.timedelta = dt.timedelta(days=1)) -> ssl.SSLContext:
        """Return what a TLS server needs, with a certificate as `issue` makes it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.issue(folder, *names, valid_for=valid_for))
        return context


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, valid_for: dt.timedelta
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=2))
        .not_valid_after(now + valid_for)
    )


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
