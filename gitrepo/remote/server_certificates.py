"""Checks server certificates for one remote, with the authorities that its Secret adds.

libgit2 keeps authorities for the whole process and passes its callback the server's own certificate only. So where
libgit2 does not trust a certificate, Python's `ssl` opens a connection of its own to the same server, and checks chain,
name and dates against the system's and the remote's authorities. Trusted is the very certificate of that connection.
"""

import functools
import hashlib
import logging
import socket
import ssl
import threading
import time
from collections import OrderedDict

from porchflow.gitrepo.errors import GitCertificateError, GitUnavailable

logger = logging.getLogger(__name__)

_TRUSTED_SECONDS = 600.0
_MOST_TRUSTED = 1000
_TRIES = 3
"""A name may lead to several servers with certificates of their own."""

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

_Identity = tuple[str, int, str | None, bytes]


class _Trusted:
    """Certificates that were checked a moment ago."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: OrderedDict[_Identity, float] = OrderedDict()

    def has(self, identity: _Identity) -> bool:
        with self._lock:
            return self._until.get(identity, 0.0) > time.monotonic()

    def add(self, identity: _Identity) -> None:
        with self._lock:
            self._until[identity] = time.monotonic() + _TRUSTED_SECONDS
            self._until.move_to_end(identity)
            while len(self._until) > _MOST_TRUSTED:
                self._until.popitem(last=False)


_trusted = _Trusted()


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
            context.load_verify_locations(cadata=bundle)
        except (ssl.SSLError, ValueError):
            raise GitCertificateError("the CA bundle holds no usable PEM certificates; correct ca.crt") from None
    return context


def check_certificate(host: str, port: int, shown: bytes, bundle: str | None, *, timeout: float) -> None:
    """Accept the certificate that a server showed.

    Args:
        host: Name or address of the server.
        port: Its port.
        shown: The certificate, DER.
        bundle: PEM certificates to trust besides the system's.
        timeout: Seconds that the server may take.

    Raises:
        GitCertificateError: It is not trusted; the message states why, and what to do.
        GitUnavailable: The server does not answer.
    """
    digest = hashlib.sha256(shown).digest()
    identity = (host, port, hashlib.sha256(bundle.encode()).hexdigest() if bundle else None, digest)
    if _trusted.has(identity):
        return
    for _ in range(_TRIES):
        if hashlib.sha256(_verified(host, port, bundle, timeout)).digest() == digest:
            _trusted.add(identity)
            return
    raise GitCertificateError(
        f"{host}:{port} shows different certificates from one connection to the next; the connection may be intercepted"
    )


def _verified(host: str, port: int, bundle: str | None, timeout: float) -> bytes:
    try:
        with (
            socket.create_connection((host, port), timeout=timeout) as plain,
            trust(bundle).wrap_socket(plain, server_hostname=host) as connection,
        ):
            return connection.getpeercert(binary_form=True) or b""
    except ssl.SSLCertVerificationError as error:
        raise GitCertificateError(_explain(host, port, error, given=bundle is not None)) from None
    except OSError as error:
        raise GitUnavailable(f"cannot check the certificate of {host}:{port}: {error}") from None


def _explain(host: str, port: int, error: ssl.SSLCertVerificationError, *, given: bool) -> str:
    mend = _MEND.get(error.verify_code, "the server's administrator must correct it")
    if given and "ca.crt" in mend:
        mend = "none of the certificates in ca.crt signed it: correct ca.crt in the Secret"
    return f"the certificate of {host}:{port} is not trusted: {error.verify_message}; {mend}"
