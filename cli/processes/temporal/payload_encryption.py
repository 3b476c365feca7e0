"""Encrypts what Temporal keeps: inputs, results, failures, memos and summaries of runs."""

import os
import time
from collections.abc import Callable, Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadCodec

from porchflow.cli.processes.temporal.encryption_keys import KeyRing
from porchflow.workflows.converter import ENCRYPTED, UnreadablePayloadError

_ENCODING: Final = ENCRYPTED.encode()
_NONCE_BYTES: Final = 12
"""As AES-GCM takes it. It is random: a key serves for 2**32 payloads."""
_REMEMBERED_SECONDS: Final = 300.0
"""How long a missing key counts: Temporal tries a task again sooner, and nobody needs an old run for longer."""
_SHOWN: Final = 64
"""Characters of an id that a payload names, which anybody may have written."""


class EncryptionCodec(PayloadCodec):
    """Encrypts payloads with AES-256-GCM. Payloads of before encryption are decoded as they are.

    An encrypted payload has the metadata `encoding` (`binary/encrypted`), `encryption-cipher` and `encryption-key-id`;
    its data is the nonce and the encrypted payload with its own metadata. The id of the key is authenticated.
    Source: docs/reference/temporal-codec.md, "Payloads".

    Attributes:
        keys: The keys.
    """

    def __init__(self, keys: KeyRing, clock: Callable[[], float] = time.monotonic) -> None:
        """Encrypt with the newest of the keys.

        Args:
            keys: The keys.
            clock: Returns the time in seconds.
        """
        self.keys = keys
        self._clock = clock
        self._missing = ""
        self._missed = 0.0

    @property
    def problem(self) -> str:
        """Why payloads cannot be decrypted, or will not be after a restart; empty where all is well."""
        if self.keys.get(self._missing) or self._clock() - self._missed > _REMEMBERED_SECONDS:
            self._missing = ""
        return self._without_key(self._missing) if self._missing else self.keys.problem

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Encrypt payloads with the newest key."""
        key_id, cipher = self.keys.newest()
        metadata = {"encoding": _ENCODING, "encryption-cipher": b"AES-256-GCM", "encryption-key-id": key_id.encode()}
        encrypted = []
        for payload in payloads:
            nonce = os.urandom(_NONCE_BYTES)
            data = cipher.encrypt(nonce, payload.SerializeToString(), key_id.encode())
            encrypted.append(Payload(metadata=metadata, data=nonce + data))
        return encrypted

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Decrypt those payloads that are encrypted.

        Raises:
            UnreadablePayloadError: A key is missing, or is another one than that which encrypted.
        """
        return [self._decrypted(each) if each.metadata.get("encoding") == _ENCODING else each for each in payloads]

    def _decrypted(self, payload: Payload) -> Payload:
        key_id = payload.metadata.get("encryption-key-id", b"").decode(errors="replace")[:_SHOWN]
        cipher = self.keys.get(key_id)
        if cipher is None:
            self._missing, self._missed = key_id or "?", self._clock()
            raise UnreadablePayloadError(self._without_key(key_id))
        nonce, data = payload.data[:_NONCE_BYTES], payload.data[_NONCE_BYTES:]
        try:
            return Payload.FromString(cipher.decrypt(nonce, data, key_id.encode()))
        except (InvalidTag, ValueError):
            raise UnreadablePayloadError(
                f"the payload cannot be decrypted with the key {key_id!r} in {self.keys.path}: it was changed, or that"
                " id had another key when it was encrypted: bring that key back under this id"
            ) from None

    def _without_key(self, key_id: str) -> str:
        return (
            f"a payload is encrypted with the key {key_id!r}, which {self.keys.path} does not have: add it there"
            " below the first line; it is read at once"
        )
