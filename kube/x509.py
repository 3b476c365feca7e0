"""X.509 certificates that API servers, and what they talk to, prove themselves with."""

import datetime as dt
import os
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

_BACKDATED: Final = dt.timedelta(hours=1)
"""For clocks that differ a little."""

SIGNS_CERTIFICATES: Final = x509.KeyUsage(
    digital_signature=False,
    key_cert_sign=True,
    crl_sign=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)
"""What the key of an authority may be used for."""


def certificate_builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    signer: ec.EllipticCurvePublicKey,
    *,
    now: dt.datetime,
    valid: dt.timedelta,
) -> x509.CertificateBuilder:
    """Begin a certificate with what each one has; what it is for is still to be added.

    Both key identifiers are in it, as RFC 5280 asks: Python trusts no certificate without them from 3.13 on.

    Args:
        subject: Whose certificate it is.
        issuer: Name of the authority that will sign it.
        key: The subject's.
        signer: The authority's.
        now: From when it is valid.
        valid: For how long.
    """
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + valid)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer), critical=False)
    )


def authority_name(role: str, key: ec.EllipticCurvePublicKey) -> x509.Name:
    """Name an authority after what it is for and its key.

    A client may hold an authority and the one before it, and looks for the signer of a certificate by name.
    """
    return common_name(f"{role} {x509.SubjectKeyIdentifier.from_public_key(key).digest.hex()[:12]}")


def common_name(text: str) -> x509.Name:
    """Return a name that is a common name alone."""
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def write_private(path: Path, content: bytes) -> None:
    """Write a file that nobody else can read, in one step.

    Raises:
        OSError: It cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    partial.replace(path)
