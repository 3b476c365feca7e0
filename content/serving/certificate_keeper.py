"""Keeps the server's certificate, where no other tool provides one.

The server makes and renews it, and writes the authority to trust into the APIService. All replicas share one Secret.
The authority signs one certificate and its key is thrown away, so the only key to guard is the server's own.
"""

import asyncio
import base64
import datetime as dt
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from porchflow.kube.client import KubeClient
from porchflow.kube.errors import Conflict, KubeError
from porchflow.kube.kinds import APISERVICES, SECRETS
from porchflow.kube.whole_files import write_whole
from porchflow.kube.x509 import SIGNS_CERTIFICATES, authority_name, certificate_builder, common_name

logger = logging.getLogger(__name__)

VALID = dt.timedelta(days=90)
RENEW_BEFORE = dt.timedelta(days=30)
"""The certificate is replaced this long before it expires; from then on both authorities are trusted."""
_CHECK_SECONDS = 60.0
_CERTIFICATE, _KEY, _AUTHORITIES = "tls.crt", "tls.key", "ca.crt"


@dataclass(frozen=True)
class Pair:
    """A serving certificate with its key, and the authorities to trust; PEM."""

    certificate: str
    key: str
    authorities: str
    """The authority that signed the certificate first, then those of certificates that other replicas may still use."""

    @classmethod
    def make(cls, names: Sequence[str], now: dt.datetime, before: str = "") -> "Pair":
        """Make a certificate and an authority for it.

        Args:
            names: DNS names of the server; the first one is its common name.
            now: Start of its validity.
            before: Authorities to keep trusting, as long as they are valid.
        """
        authority, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        public = authority.public_key()
        issuer = authority_name("porchflow content API", public)
        signer = (
            certificate_builder(issuer, issuer, public, public, now=now, valid=VALID)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(SIGNS_CERTIFICATES, critical=True)
        )
        serving = (
            certificate_builder(common_name(names[0][:64]), issuer, key.public_key(), public, now=now, valid=VALID)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        )
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return cls(
            certificate=_pem(serving.sign(authority, hashes.SHA256())),
            key=private.decode(),
            authorities=_pem(signer.sign(authority, hashes.SHA256())) + _still_valid(before, now),
        )

    @classmethod
    def of_secret(cls, secret: Mapping[str, Any]) -> "Pair | None":
        """Read a Secret; None where it holds no pair."""
        data = secret.get("data") or {}
        try:
            certificate, key, authorities = (
                base64.b64decode(data[name], validate=True).decode() for name in (_CERTIFICATE, _KEY, _AUTHORITIES)
            )
        except (KeyError, TypeError, ValueError):
            return None
        return cls(certificate, key, authorities)

    @property
    def data(self) -> dict[str, str]:
        """The `data` of the Secret."""
        parts = {_CERTIFICATE: self.certificate, _KEY: self.key, _AUTHORITIES: self.authorities}
        return {name: _base64(text) for name, text in parts.items()}

    def serves(self, names: Sequence[str], now: dt.datetime) -> bool:
        """Return whether the pair is valid for a server of these names, and need not be renewed yet."""
        try:
            certificate = x509.load_pem_x509_certificate(self.certificate.encode())
            key = serialization.load_pem_private_key(self.key.encode(), password=None)
            authority = x509.load_pem_x509_certificates(self.authorities.encode())[0]
            certificate.verify_directly_issued_by(authority)
            covered = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
            return False
        return (
            certificate.public_key() == key.public_key()
            and certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc - RENEW_BEFORE
            and set(names) <= set(covered.get_values_for_type(x509.DNSName))
        )


class CertificateKeeper:
    """Keeps a certificate in a Secret, its authority in an APIService, and a copy in files for the server."""

    def __init__(
        self, kube: KubeClient, *, namespace: str, secret: str, apiservice: str, names: Sequence[str], folder: Path
    ) -> None:
        """Create the keeper; nothing is read or written yet.

        Args:
            kube: The API server.
            namespace: Namespace of the Secret.
            secret: Name of the Secret, which exists: it may be empty.
            apiservice: Name of the APIService, which exists.
            names: DNS names by which the API server reaches this server.
            folder: Folder of the files; other users should not be able to read it.
        """
        self._kube = kube
        self._namespace = namespace
        self._secret = secret
        self._apiservice = apiservice
        self._names = tuple(names)
        self._folder = folder
        self._pair: Pair | None = None

    @property
    def certificate(self) -> Path:
        """File of the certificate; exists after the first `check`."""
        return self._folder / _CERTIFICATE

    @property
    def key(self) -> Path:
        """File of the private key; exists after the first `check`."""
        return self._folder / _KEY

    async def check(self) -> None:
        """Bring Secret, APIService and files up to date.

        Raises:
            KubeError: The API server cannot be reached or refuses, or Secret or APIService do not exist.
        """
        pair = await self._agreed()
        # The APIService first: a server with a certificate that the API server does not know could serve no request.
        await self._announce(pair.authorities)
        if pair != self._pair:
            await asyncio.to_thread(self._store, pair)
            self._pair = pair

    async def run(self, every: float = _CHECK_SECONDS) -> None:
        """Check periodically until cancelled; the server notices changed files by itself.

        Args:
            every: Seconds between two checks.
        """
        while True:
            await asyncio.sleep(every)
            try:
                await self.check()
            except (KubeError, OSError) as error:
                logger.warning("cannot check the certificate, next attempt in %g s: %s", every, error)

    async def _agreed(self) -> Pair:
        """Return the pair of the Secret; makes one where the Secret has no valid one."""
        while True:
            secret = await self._kube.get(SECRETS, self._namespace, self._secret)
            now = dt.datetime.now(dt.UTC)
            found = Pair.of_secret(secret)
            if found is not None and found.serves(self._names, now):
                return found
            # A user who empties the Secret need not interrupt the clients.
            ours = self._pair if found is None else None
            if ours is None or not ours.serves(self._names, now):
                ours = await asyncio.to_thread(Pair.make, self._names, now, (found or ours or _NOTHING).authorities)
            patch = {"metadata": {"resourceVersion": secret["metadata"]["resourceVersion"]}, "data": ours.data}
            try:
                await self._kube.merge_patch(SECRETS, self._namespace, self._secret, patch)
            except Conflict:
                # Another replica was faster: all replicas use its pair.
                continue
            logger.info("stored a new certificate in Secret %s/%s", self._namespace, self._secret)
            return ours

    async def _announce(self, authorities: str) -> None:
        service = await self._kube.get(APISERVICES, None, self._apiservice)
        wanted = _base64(authorities)
        if (service.get("spec") or {}).get("caBundle") != wanted:
            patch = {"spec": {"caBundle": wanted, "insecureSkipTLSVerify": False}}
            await self._kube.merge_patch(APISERVICES, None, self._apiservice, patch)
            logger.info("wrote the authority of the certificate into APIService %s", self._apiservice)

    def _store(self, pair: Pair) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path, text in ((self.key, pair.key), (self.certificate, pair.certificate)):
            write_whole(path, text.encode())


_NOTHING = Pair("", "", "")


def _still_valid(authorities: str, now: dt.datetime) -> str:
    """Return the first of some authorities where it is valid: certificates of the older ones are no longer in use."""
    try:
        newest = x509.load_pem_x509_certificates(authorities.encode())[0]
    except ValueError:
        return ""
    return _pem(newest) if newest.not_valid_after_utc > now else ""


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
