"""Which certificates of Git servers are trusted, and what is wrong with one that is not."""

import functools
import re
import ssl

from porchflow.gitrepo.errors import GitCertificateError

# X509_V_ERR_* of OpenSSL, with the remedy.
_MEND = {
    9: "look at the clocks of both machines",
    10: "the server's administrator must renew it",
    18: "put the certificate as ca.crt into the Secret that the Repository names",
    19: "put the authority's certificate as ca.crt into the Secret that the Repository names",
    20: "put the authority's certificate as ca.crt into the Secret that the Repository names",
    21: "put the authority's certificate as ca.crt into the Secret that the Repository names",
    62: "use a name that the certificate is for in the repository's address",
    64: "use a name that the certificate is for in the repository's address",
}


_CERTIFICATE = re.compile(
    "-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[^-]*-----END (?:TRUSTED |X509 )?CERTIFICATE-----"
)


@functools.lru_cache(maxsize=128)
def trust(bundle: str | None) -> ssl.SSLContext:
    """Return a TLS context that trusts the system's authorities and those of a bundle.

    Args:
        bundle: PEM certificates.

    Raises:
        GitCertificateError: The bundle holds none.
    """
    context = ssl.create_default_context()
    # A certificate from a user is trusted even if it is no root, and if strict checks would refuse it.
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VerifyFlags.VERIFY_X509_STRICT
    if bundle is not None:
        try:
            # Bundles have comments in any language between the certificates.
            context.load_verify_locations(cadata="\n".join(_CERTIFICATE.findall(bundle)))
        except (ssl.SSLError, ValueError):
            raise GitCertificateError("the CA bundle holds no usable PEM certificates; correct ca.crt") from None
    return context


def untrusted(host: str, port: int, error: ssl.SSLCertVerificationError, *, given: bool) -> GitCertificateError:
    """Return the error for a certificate that is not trusted: why, and what to do.

    Args:
        host: Name or address of the server.
        port: Its port.
        error: OpenSSL's judgement.
        given: Whether a bundle was given for the server.
    """
    mend = _MEND.get(error.verify_code, "the server's administrator must correct it")
    if given and "ca.crt" in mend:
        mend = "none of the certificates in ca.crt signed it: correct ca.crt in the Secret"
    return GitCertificateError(f"the certificate of {host}:{port} is not trusted: {error.verify_message}; {mend}")
