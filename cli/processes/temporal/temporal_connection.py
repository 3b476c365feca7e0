"""The connection to Temporal: credentials from the settings and from Temporal's own environment configuration.

Source of the variables `TEMPORAL_*` and of profiles: `temporalio.envconfig`.
"""

import asyncio
import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from temporalio.client import Client
from temporalio.envconfig import ClientConfig
from temporalio.service import RPCError, RPCStatusCode, TLSConfig

from porchflow.cli.processes.temporal.encryption_keys import KeyRing
from porchflow.cli.processes.temporal.payload_encryption import EncryptionCodec
from porchflow.cli.processes.temporal.tls_trouble import tls_trouble
from porchflow.cli.settings import SettingsError, told_name
from porchflow.cli.temporal_settings import TemporalSettings
from porchflow.functions.calls.tls import CertificateError, ClientCredentials, Identity
from porchflow.workflows.converter import DATA_CONVERTER, encrypting

logger = logging.getLogger(__name__)

_KEY_SECONDS = 10.0
"""Between two reads of the file of the API key."""

_REFUSED = frozenset({RPCStatusCode.UNAUTHENTICATED, RPCStatusCode.PERMISSION_DENIED})
_REFUSED_AT_THE_START = re.compile(r"code: (?:Unauthenticated|PermissionDenied), message: \"([^\"]*)\"")
"""The error text of the client's first call, which it makes while it connects."""


@dataclass(frozen=True)
class TemporalConnection:
    """Address and credentials of Temporal.

    Attributes:
        address: host:port.
        namespace: Of the workflows.
        tls: Certificates and server name; None means plain text.
        api_key: Sent with every call; None for none.
        metadata: Headers that are sent with every call.
        codec: Encrypts and decrypts what Temporal keeps; None where nothing is encrypted.
    """

    address: str
    namespace: str
    tls: TLSConfig | None
    api_key: str | None = field(repr=False)
    metadata: Mapping[str, str | bytes] = field(repr=False)
    codec: EncryptionCodec | None = None

    async def connect(self, **options: Any) -> Client:  # noqa: ANN401 - those of `Client.connect`
        """Connect a client, which encrypts where there are keys for it."""
        return await Client.connect(
            self.address,
            namespace=self.namespace,
            tls=self.tls or False,
            api_key=self.api_key,
            rpc_metadata=self.metadata,
            data_converter=encrypting(self.codec) if self.codec else DATA_CONVERTER,
            **options,
        )

    async def explain(self, error: Exception, seconds: float) -> str:
        """Return why a call failed, for people; where TLS may be the cause, a probe of the port tells.

        Args:
            error: The client's error.
            seconds: Time limit of the probe.
        """
        if refused := _refusal(error):
            return (
                f"it refuses the credentials: {refused}: renew the API key or the certificate"
                f" ({told_name('temporal_api_key_file')}, {told_name('temporal_tls_cert')})"
            )
        if isinstance(error, RPCError):
            return str(error)
        return await tls_trouble(self.address, self.tls, seconds) or str(error)


def _refusal(error: Exception) -> str:
    if isinstance(error, RPCError):
        return error.message if error.status in _REFUSED else ""
    found = _REFUSED_AT_THE_START.search(str(error))
    return found[1] if found else ""


def read_connection(settings: TemporalSettings) -> TemporalConnection:
    """Read address and credentials: from the settings, else Temporal's own variables and profile, else defaults.

    Raises:
        SettingsError: A file cannot be used, or settings contradict each other.
    """
    profile = _profile()
    given = settings.model_fields_set
    tls = _tls(settings, profile.get("tls"))
    return TemporalConnection(
        address=settings.address if "address" in given else profile.get("target_host", settings.address),
        namespace=settings.namespace if "namespace" in given else profile.get("namespace", settings.namespace),
        tls=tls,
        # An API key is never sent in plain text.
        api_key=(read_api_key(settings) or profile.get("api_key")) if tls else None,
        metadata=profile.get("rpc_metadata", {}),
        codec=EncryptionCodec(KeyRing(settings.encryption_keys_file)) if settings.encryption_keys_file else None,
    )


def _profile() -> Mapping[str, Any]:
    try:
        # An empty variable counts as unset, as for settings.
        given = {name: value for name, value in os.environ.items() if value}
        return {**ClientConfig.load_client_connect_config(override_env_vars=given)}
    except (RuntimeError, ValueError, OSError) as error:
        raise SettingsError(
            f"Temporal's own configuration (TEMPORAL_CONFIG_FILE, TEMPORAL_PROFILE, TEMPORAL_*): {error}"
        ) from None


def _tls(settings: TemporalSettings, profile: Any) -> TLSConfig | None:  # noqa: ANN401 - TLSConfig, bool or None
    ours = settings.model_fields_set - {"address", "namespace", "tls", "encryption_keys_file"}
    if settings.tls is False:
        if ours:
            name = told_name(f"temporal_{min(ours)}")
            raise SettingsError(f"{told_name('temporal_tls')} is false, and {name} needs TLS: unset one of them")
        return None
    try:
        ClientCredentials(Identity(settings.tls_cert, settings.tls_key, settings.tls_ca))
    except CertificateError as error:
        raise SettingsError(f"TLS with Temporal (PORCHFLOW_TEMPORAL_TLS_*): {error}") from None
    if not (settings.tls or ours or profile):
        return None
    base = profile if isinstance(profile, TLSConfig) else TLSConfig()
    return TLSConfig(
        server_root_ca_cert=_read(settings, "tls_ca") or base.server_root_ca_cert,
        domain=settings.tls_server_name or base.domain,
        client_cert=_read(settings, "tls_cert") or base.client_cert,
        client_private_key=_read(settings, "tls_key") or base.client_private_key,
    )


def read_api_key(settings: TemporalSettings) -> str | None:
    """Return the API key in the file; None where no file is set.

    Raises:
        SettingsError: The file cannot be read, or holds no key.
    """
    content = _read(settings, "api_key_file")
    if content is None:
        return None
    key = content.decode("ascii", "replace").strip()
    if not key.isprintable() or not key.isascii() or " " in key:
        raise SettingsError(f"{told_name('temporal_api_key_file')}: {settings.api_key_file} holds no API key")
    return key


def _read(settings: TemporalSettings, name: str) -> bytes | None:
    path: Path | None = getattr(settings, name)
    if path is None:
        return None
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{told_name(f'temporal_{name}')}: cannot read {path}: {error.strerror}") from None
    if not content.strip():
        raise SettingsError(f"{told_name(f'temporal_{name}')}: {path} is empty")
    return content


async def keep_api_key(client: Client, settings: TemporalSettings, *, seconds: float = _KEY_SECONDS) -> None:
    """Update a client's API key from the file whenever it changes, until cancelled.

    Args:
        client: A connected client.
        settings: Name the file.
        seconds: Between two reads of the file.
    """
    said = ""
    while True:
        await asyncio.sleep(seconds)
        try:
            key = await asyncio.to_thread(read_api_key, settings)
        except SettingsError as error:
            # The file may be replaced at this moment. The key from before may still be valid.
            if error.message != said:
                logger.warning("going on with the API key from before: %s", error.message)
            said = error.message
            continue
        said = ""
        if key is not None and key != client.api_key:
            client.api_key = key
            logger.info("took the new API key from %s", settings.api_key_file)
