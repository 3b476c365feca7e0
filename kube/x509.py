"""X.509 certificates of API servers and their clients."""

import datetime as dt
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

_BACKDATED: Final = dt.timedelta(hours=1)
"""Tolerance for clocks that differ a little."""

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
"""Permitted uses of an authority's key."""


def certificate_builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    signer: ec.EllipticCurvePublicKey,
    *,
    now: dt.datetime,
    valid: dt.timedelta,
) -> x509.CertificateBuilder:
    """Begin a certificate with the parts that every certificate has; the caller adds its purpose.

    It holds both key identifiers, as RFC 5280 demands: Python trusts no certificate without them from 3.13 on.

    Args:
        subject: Name of the certificate's owner.
        issuer: Name of the authority that will sign it.
        key: The subject's public key.
        signer: The authority's public key.
        now: Start of its validity.
        valid: Length of its validity.
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
    """Name an authority after its role and its key.

    A client may hold an authority and the one before it, and looks for the signer of a certificate by name.
    """
    return common_name(f"{role} {x509.SubjectKeyIdentifier.from_public_key(key).digest.hex()[:12]}")


def common_name(text: str) -> x509.Name:
    """Return a name that consists of a common name."""
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])
