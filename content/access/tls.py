"""TLS of the server: its certificate and the authority of its clients change while it runs."""

import logging
import ssl
from pathlib import Path

logger = logging.getLogger(__name__)


class ServingTls:
    """TLS settings of further connections; open connections keep theirs."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Read the certificate and its key, PEM files.

        Raises:
            OSError: A file cannot be read, or (`ssl.SSLError`) the two are no pair.
        """
        self._certificate = certificate
        self._key = key
        self._authorities = ""
        self._read = self._signature()
        self._current = self._build()
        self.context = self._build()
        """The context for the server's socket."""
        self.context.sni_callback = self._choose

    def trust(self, authorities: str) -> None:
        """Accept client certificates that these authorities (PEM) signed, and no others."""
        self._authorities = authorities
        self._current = self._build()

    def refresh(self) -> bool:
        """Read the files again where they changed; files that are not usable change nothing.

        Returns:
            Whether further connections get another certificate.
        """
        try:
            seen = self._signature()
            if seen == self._read:
                return False
            self._current = self._build()
        except OSError as error:
            # Half of a pair may be written; the next refresh finds the other half.
            logger.warning("cannot use the new certificate %s, the one before stays: %s", self._certificate, error)
            return False
        self._read = seen
        logger.info("serving with the new certificate %s", self._certificate)
        return True

    def _choose(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:  # noqa: ARG002 - ssl's signature
        connection.context = self._current

    def _build(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self._certificate, self._key)
        # A client without a certificate gets an answer that states so; a wrong certificate ends the handshake.
        context.verify_mode = ssl.CERT_OPTIONAL
        if self._authorities:
            context.load_verify_locations(cadata=self._authorities)
        return context

    def _signature(self) -> tuple[tuple[int, int], ...]:
        stats = (path.stat() for path in (self._certificate, self._key))
        return tuple((each.st_ino, each.st_mtime_ns) for each in stats)
