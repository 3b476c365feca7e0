"""The keys that encrypt what Temporal keeps, from a file that is read again when it changes."""

import base64
import binascii
import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from porchflow.api.limits import ENCRYPTION_KEYS_BYTES
from porchflow.cli.settings import SettingsError, told_name

logger = logging.getLogger(__name__)

_BYTES = 32
"""Length of a key: AES-256."""
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_MAKE = f"'ID ' and what `openssl rand -base64 {_BYTES}` prints"
_State = tuple[int, int, int]


class KeyRing:
    """The keys of one file, by id; the first one encrypts, and all of them decrypt.

    A line of the file is an id, a space, and 32 bytes in base64. Empty lines and those that begin with `#` say nothing.
    """

    def __init__(self, path: Path) -> None:
        """Read the keys.

        Raises:
            SettingsError: The file cannot be read, has no key, or one that cannot be used; the message never has a key.
        """
        self._path = path
        self._state = self._look()
        self._keys = _parse(self._path, self._read())
        self._said = ""

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the keys, that of the one that encrypts first."""
        self._refresh()
        return tuple(self._keys)

    @property
    def problem(self) -> str:
        """Why the file as it is now cannot be used; empty where it can."""
        self._refresh()
        return self._said

    def newest(self) -> tuple[str, AESGCM]:
        """Return the id and the cipher of the key that encrypts."""
        self._refresh()
        return next(iter(self._keys.items()))

    def get(self, key_id: str) -> AESGCM | None:
        """Return the cipher of a key; None where the file has no such key."""
        self._refresh()
        return self._keys.get(key_id)

    def _refresh(self) -> None:
        """Read the file again if it is another one; go on with the keys from before while it cannot be used."""
        try:
            state = self._look()
            if state == self._state:
                return
            self._keys = _parse(self._path, self._read())
        except SettingsError as error:
            if error.message != self._said:
                logger.warning("going on with the encryption keys from before: %s", error.message)
            self._said = error.message
            return
        self._state, self._said = state, ""
        logger.info("took the encryption keys %s from %s", ", ".join(self._keys), self._path)

    def _look(self) -> _State:
        try:
            found = os.stat(self._path)  # noqa: PTH116 - as quick as it can be: once for each payload
        except OSError as error:
            raise _unusable(f"cannot read {self._path}: {error.strerror}") from None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def _read(self) -> bytes:
        try:
            with self._path.open("rb") as file:
                return file.read(ENCRYPTION_KEYS_BYTES + 1)
        except OSError as error:
            raise _unusable(f"cannot read {self._path}: {error.strerror}") from None


def _unusable(why: str) -> SettingsError:
    return SettingsError(f"{told_name('temporal_encryption_keys_file')}: {why}")


def _parse(path: Path, content: bytes) -> Mapping[str, AESGCM]:
    if len(content) > ENCRYPTION_KEYS_BYTES:
        raise _unusable(f"{path} is larger than {ENCRYPTION_KEYS_BYTES} bytes: it is no file of keys")
    keys: dict[str, AESGCM] = {}
    for number, line in enumerate(content.decode("ascii", "replace").splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        where = f"{path}: line {number}"
        key_id, key = words[0], _decoded(words[1]) if len(words) == 2 else b""  # noqa: PLR2004 - id and key
        # The id is said only where it is one: what stands in its place may be a key.
        if not key or not _ID.fullmatch(key_id):
            raise _unusable(f"{where} is no key: it must be {_MAKE}")
        if len(key) != _BYTES:
            raise _unusable(f"{where}: the key {key_id!r} has {len(key)} bytes and must have {_BYTES}: {_MAKE}")
        if key_id in keys:
            raise _unusable(f"{where}: there is another key {key_id!r}: give each an id of its own")
        keys[key_id] = AESGCM(key)
    if not keys:
        raise _unusable(f"{path} has no key: a line must be {_MAKE}")
    return keys


def _decoded(text: str) -> bytes:
    """Return the bytes of base64; none for anything else."""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return b""
