"""Package content as the JSON of `spec.resources`, encoded once and sent many times."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from porchflow.gitrepo.store.trees import File, Files, Mode

_PIECE_BYTES: Final = 256 * 1024
"""Encoded between two turns of other tasks: the encoder holds the interpreter while it runs."""


@dataclass(frozen=True)
class Encoded:
    """The files of a package that text can represent.

    Attributes:
        resources: The JSON object from path to text, in pieces.
        count: How many files it holds.
        hidden: Paths of files that JSON cannot hold: symbolic links, and files that are not UTF-8.
        field: The field of the spec that holds it.
    """

    resources: tuple[bytes, ...]
    count: int
    hidden: tuple[str, ...] = ()
    field: Literal["resources", "resourcePaths"] = "resources"

    @property
    def size(self) -> int:
        """Bytes, approximately."""
        return sum(map(len, self.resources))


def text_of(file: File) -> str | None:
    """Return a file as text; None where text cannot represent it."""
    if file.mode is Mode.SYMLINK:
        return None
    try:
        return file.data.decode()
    except UnicodeDecodeError:
        return None


async def encode_files(files: Files) -> Encoded:
    """Encode a package's files as JSON, byte for byte; yields to other tasks meanwhile."""
    pieces: list[bytes] = []
    piece: list[str] = []
    hidden: list[str] = []
    length = count = 0
    for path in sorted(files):
        text = text_of(files[path])
        if text is None:
            hidden.append(path)
            continue
        piece.append(("," if count else "{") + _dumps(path) + ":" + _dumps(text))
        count += 1
        length += len(text)
        if length >= _PIECE_BYTES:
            pieces.append("".join(piece).encode())
            piece, length = [], 0
            await asyncio.sleep(0)
    piece.append("}" if count else "{}")
    pieces.append("".join(piece).encode())
    return Encoded(tuple(pieces), count, tuple(hidden))


def encode_names(files: Files) -> Encoded:
    """Encode the paths of a package's files, without their content."""
    shown = [path for path in sorted(files) if text_of(files[path]) is not None]
    hidden = tuple(sorted(files.keys() - set(shown)))
    return Encoded((_dumps(shown).encode(),), len(shown), hidden, "resourcePaths")


def _dumps(value: Any) -> str:  # noqa: ANN401 - JSON
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def dumps(value: Mapping[str, Any]) -> bytes:
    """Encode a JSON object compactly."""
    return _dumps(value).encode()
