"""Credentials for registries that namespaces bring themselves, each in a Secret of its own."""

import base64
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, Protocol

from porchflow.api.limits import REGISTRY_SECRET_BYTES, REGISTRY_SECRET_ENTRIES
from porchflow.functions.function_errors import RegistryUnavailable
from porchflow.functions.registry.credentials import (
    Credentials,
    OwnCredentials,
    credentials_of,
    entries_of,
    find_entry,
)
from porchflow.functions.registry.memory import Memory
from porchflow.functions.registry.references import Reference

SECRET_TYPE: Final = "kubernetes.io/dockerconfigjson"  # noqa: S105 - no secret
SECRET_KEY: Final = ".dockerconfigjson"  # noqa: S105 - no secret

_SECONDS: Final = 10.0
"""How long the content of a Secret is used before it is read again."""
_KEPT_BYTES: Final = 16 * 1024 * 1024
_ENTRY_BYTES: Final = 1024
"""What a namespace takes in memory without any content: callers of the runner could name any number of them."""
_ENCODED_BYTES: Final = REGISTRY_SECRET_BYTES * 4 // 3 + 4
_NAMESPACE: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
"""A name that a namespace may have; callers of the runner could send any text."""


class SecretError(Exception):
    """A Secret cannot be read or used; the message names it and says how to mend that, without its content."""


class Secrets(Protocol):
    """Reads the Secrets of one name, in any namespace."""

    async def read(self, namespace: str) -> Mapping[str, Any] | None:
        """Return the raw Secret of a namespace; None if there is none, or it may not be read.

        Raises:
            SecretError: The API server does not answer.
        """
        ...


class _Content(NamedTuple):
    entries: Mapping[str, Any]
    size: int


class NamespaceCredentials:
    """The credentials of namespaces, read from their Secrets; a changed Secret counts within ten seconds."""

    def __init__(self, secrets: Secrets, name: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Create the access to the Secrets.

        Args:
            secrets: Reads them.
            name: Their name, the same in every namespace.
            clock: Seconds that pass.
        """
        self.name = name
        self._secrets = secrets
        self._contents: Memory[str, _Content] = Memory(limit=_KEPT_BYTES, weigh=lambda each: each.size, clock=clock)

    async def own(self, image: str, reference: Reference, namespace: str) -> OwnCredentials | None:
        """Return the credentials that a namespace has for an image: those of the longest path that leads to it.

        Returns:
            None if its Secret names none, or there is no Secret.

        Raises:
            RegistryUnavailable: The Secret cannot be read or used. The error is transient: it may be mended.
        """
        if not _NAMESPACE.fullmatch(namespace):
            return None
        try:
            content = self._contents.kept(namespace, _SECONDS)
            if content is None:
                content = await self._contents.look(namespace, lambda: self._read(namespace))
            found = find_entry(content.entries, reference)
            return self._own(namespace, *found) if found is not None else None
        except SecretError as error:
            raise RegistryUnavailable(image, str(error)) from None

    def _own(self, namespace: str, key: str, entry: Mapping[str, Any]) -> OwnCredentials:
        return OwnCredentials(namespace, self.name, _credentials(self.name, namespace, key, entry))

    async def _read(self, namespace: str) -> _Content:
        secret = await self._secrets.read(namespace)
        if secret is None:
            return _Content({}, _ENTRY_BYTES)
        text = _text(self.name, namespace, secret)
        return _Content(_entries(self.name, namespace, text), len(text) + _ENTRY_BYTES)


def check_secret(secret: Mapping[str, Any]) -> list[str]:
    """Check a raw Secret of a namespace in full.

    Returns:
        The registries and folders that it names.

    Raises:
        SecretError: It cannot be used.
    """
    name, namespace = secret["metadata"]["name"], secret["metadata"]["namespace"]
    entries = _entries(name, namespace, _text(name, namespace, secret))
    for key, entry in entries.items():
        _credentials(name, namespace, key, entry)
    return sorted(entries)


def _text(name: str, namespace: str, secret: Mapping[str, Any]) -> bytes:
    encoded = (secret.get("data") or {}).get(SECRET_KEY)
    if secret.get("type") != SECRET_TYPE or encoded is None:
        raise _wrong(name, namespace, f"is not of type {SECRET_TYPE} with the key {SECRET_KEY!r}")
    if len(encoded) > _ENCODED_BYTES:
        raise _wrong(name, namespace, f"key {SECRET_KEY!r} has more than {REGISTRY_SECRET_BYTES} bytes")
    try:
        return base64.b64decode(encoded, validate=True)
    except ValueError:
        raise _wrong(name, namespace, f"key {SECRET_KEY!r} is not base64") from None


def _entries(name: str, namespace: str, text: bytes) -> Mapping[str, Any]:
    try:
        entries = entries_of(text)
    except ValueError:
        # Not chained: the library's error shows parts of the text.
        entries = None
    if entries is None or not all(isinstance(each, dict) for each in entries.values()):
        what = f"key {SECRET_KEY!r} is no Docker configuration in JSON with entries in auths"
        raise _wrong(name, namespace, what)
    if len(entries) > REGISTRY_SECRET_ENTRIES:
        raise _wrong(name, namespace, f"key {SECRET_KEY!r} names more than {REGISTRY_SECRET_ENTRIES} registries")
    return entries


def _credentials(name: str, namespace: str, key: str, entry: Mapping[str, Any]) -> Credentials:
    try:
        return credentials_of(entry)
    except ValueError:
        what = f"key {SECRET_KEY!r}: the entry {key!r} cannot be read: it needs username and password, or auth"
        raise _wrong(name, namespace, what) from None


def _wrong(name: str, namespace: str, what: str) -> SecretError:
    mend = f"make it anew with `kubectl -n {namespace} create secret docker-registry {name}`"
    return SecretError(f"Secret {name!r} of namespace {namespace!r} {what}: {mend}, or delete it")
