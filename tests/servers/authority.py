"""Certificate authorities of a test's own, and TLS servers with the certificates they issue."""

import datetime as dt
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from porchflow.kube.x509 import SIGNS_CERTIFICATES

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
        self._name = _subject(name)
        self._key = ec.generate_private_key(ec.SECP256R1())
        signer = parent or self
        builder = signer._builder(self._name, self._key, _DAY)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        certificate = builder.add_extension(SIGNS_CERTIFICATES, critical=True).sign(signer._key, hashes.SHA256())
        self._chain: list[x509.Certificate] = [certificate, *(parent._chain if parent else [])]

    @property
    def pem(self) -> str:
        """What clients are to trust."""
        return _pem(self._chain[0]).decode()

    def issue(self, name: str, *serves: str, valid: dt.timedelta = _DAY) -> Pair:
        """Issue a certificate: of a server with these host names and addresses, or of a client when there are none."""
        key = ec.generate_private_key(ec.SECP256R1())
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if serves else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = self._builder(_subject(name), key, valid)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        if serves:
            alternatives = x509.SubjectAlternativeName([_alternative(each) for each in serves])
            builder = builder.add_extension(alternatives, critical=False)
        return self._write(name, builder.sign(self._key, hashes.SHA256()), key)

    def serves(self, *names: str, valid: dt.timedelta = _DAY) -> ssl.SSLContext:
        """Return what a TLS server needs, with a certificate for these host names and addresses."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        pair = self.issue("server", *names, valid=valid)
        context.load_cert_chain(pair.certificate, pair.key)
        return context

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, valid: dt.timedelta
    ) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        signer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 2 * _DAY)
            .not_valid_after(now + valid)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(signer, critical=False)
        )

    def _write(self, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
        pair = Pair(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        chain = self._chain if len(self._chain) > 1 else []
        pair.certificate.write_bytes(b"".join(_pem(each) for each in (certificate, *chain)))
        pair.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return pair


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
