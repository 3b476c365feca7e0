"""Certificate authorities of a test's own."""

import datetime as dt
import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_HOUR = dt.timedelta(hours=1)


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as PEM files."""

    certificate: Path
    key: Path


class Authority:
    """Signs certificates; nobody trusts it unless told to."""

    def __init__(self, folder: Path, name: str = "test-authority") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _subject(name)
        usage = x509.BasicConstraints(ca=True, path_length=None)
        self._certificate = self._build(self._name, self._key, usage).sign(self._key, hashes.SHA256())

    @classmethod
    def of(cls, folder: Path, certificate: Path, key: Path) -> Self:
        """Take an authority that exists."""
        authority = cls(folder)
        loaded = serialization.load_pem_private_key(key.read_bytes(), password=None)
        assert isinstance(loaded, ec.EllipticCurvePrivateKey)
        authority._key = loaded
        authority._certificate = x509.load_pem_x509_certificate(certificate.read_bytes())
        authority._name = authority._certificate.subject
        return authority

    @property
    def pem(self) -> str:
        return self._certificate.public_bytes(serialization.Encoding.PEM).decode()

    def issue(self, name: str, *serves: str, valid: dt.timedelta = _HOUR) -> Pair:
        """Issue a certificate: of a server with these names, or of a client when there are none."""
        key = ec.generate_private_key(ec.SECP256R1())
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if serves else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = self._build(_subject(name), key, x509.BasicConstraints(ca=False, path_length=None), valid)
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        if serves:
            address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
            names = [x509.DNSName(each) for each in serves]
            builder = builder.add_extension(x509.SubjectAlternativeName([*names, address]), critical=False)
        return self._write(name, builder.sign(self._key, hashes.SHA256()), key)

    def _build(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        constraints: x509.BasicConstraints,
        valid: dt.timedelta = _HOUR,
    ) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 24 * _HOUR)
            .not_valid_after(now + valid)
            .add_extension(constraints, critical=True)
        )

    def _write(self, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
        pair = Pair(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        pair.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        pair.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return pair


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
