"""Reasons of failed TLS with Temporal, for people: Temporal's client only says `transport error`."""

import asyncio
import ssl
import tempfile
from pathlib import Path

from temporalio.service import TLSConfig

from porchflow.api.host_port import host_and_port
from porchflow.cli.settings import told_name

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


async def tls_trouble(address: str, tls: TLSConfig | None, seconds: float) -> str:
    """Probe a server, and return why TLS with it fails; empty where TLS is not the cause.

    Args:
        address: host:port of the server.
        tls: TLS of the client; None for plain text.
        seconds: Time limit of the probe.
    """
    try:
        async with asyncio.timeout(seconds):
            return await _look(address, tls)
    except ssl.SSLCertVerificationError as error:
        return (
            f"the certificate of {address} is not trusted: {error.verify_message}: correct"
            f" {told_name('temporal_tls_ca')} or {told_name('temporal_tls_server_name')}"
        )
    except ssl.SSLError as error:
        return _ended(address, (error.reason or str(error)).replace("_", " ").lower())
    except (OSError, TimeoutError):
        # The server cannot be reached or does not answer, which has nothing to do with TLS.
        return ""


async def _look(address: str, tls: TLSConfig | None) -> str:
    host, port = host_and_port(address)
    if not await _speaks_tls(host, port):
        return f"{address} speaks no TLS: set {told_name('temporal_tls')} to false" if tls else ""
    if tls is None:
        return (
            f"{address} speaks TLS only: set {told_name('temporal_tls')} to true, or"
            f" {told_name('temporal_tls_ca')} where its CA is a private one"
        )
    return "" if await _goes_on(host, port, tls) else _ended(address, "nothing comes after the handshake")


def _ended(address: str, why: str) -> str:
    return f"{address} ends TLS: {why}: it wants another certificate of ours: correct {told_name('temporal_tls_cert')}"


async def _speaks_tls(host: str, port: int) -> bool:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    # A refused connection raises here, because it tells nothing about TLS.
    _, plain = await asyncio.open_connection(host, port)
    plain.close()
    try:
        _, writer = await asyncio.open_connection(host, port, ssl=context)
    except ssl.SSLError as error:
        # A TLS server may answer with an alert. Any other record, or the end of the connection, is no TLS.
        return "ALERT" in (error.reason or "")
    except OSError:
        return False
    writer.close()
    return True


async def _goes_on(host: str, port: int, tls: TLSConfig) -> bool:
    """Complete a TLS handshake as the client does, and return whether the server sends anything afterwards.

    Servers of TLS 1.3 check a client's certificate only after the handshake.

    Raises:
        ssl.SSLError: The handshake fails.
    """
    context = _context(tls)
    reader, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=tls.domain or host)
    try:
        writer.write(_PREFACE)
        return bool(await reader.read(1))
    except ConnectionError:
        return False
    finally:
        writer.close()


def _context(tls: TLSConfig) -> ssl.SSLContext:
    trusted = tls.server_root_ca_cert.decode("ascii", "replace") if tls.server_root_ca_cert else None
    context = ssl.create_default_context(cadata=trusted)
    context.set_alpn_protocols(["h2"])
    if tls.client_cert and tls.client_private_key:
        with tempfile.TemporaryDirectory(prefix="porchflow-tls-") as folder:
            certificate, key = Path(folder, "tls.crt"), Path(folder, "tls.key")
            certificate.write_bytes(tls.client_cert)
            key.touch(mode=0o600)
            key.write_bytes(tls.client_private_key)
            context.load_cert_chain(certificate, key)
    return context
