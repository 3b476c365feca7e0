"""Trees as Git stores them: their entries are read, found and replaced without an object for each.

A branch of thousands of packages has thousands of entries in one tree. libgit2 parses all of them for each look, and
sorts and compresses all of them for each publish; here each is read once, and its neighbours stay as they are.
"""

import hashlib
import re
import tempfile
import threading
import zlib
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import pygit2
from pygit2.enums import FileMode, ObjectType

from porchflow.api.newest import Newest

_ENTRY = re.compile(rb"[0-7]+ [^\0]+\0.{20}", re.DOTALL)
_ID_BYTES = 20
_KIND, _EXECUTABLE = 0o170000, 0o111
"""Bits of a mode."""
_KEPT_BYTES: Final = 32 * 1024 * 1024
_COST = 3
"""Bytes of memory for each byte of a tree: its entries are objects of their own."""
_LEAST_COST = 500
_UNCOMPRESSED_BYTES = 16 * 1024
"""Trees from this size on are written without compression, which takes ten times as long as all else."""


class TreeEntry(NamedTuple):
    """One entry of a tree."""

    mode: FileMode
    oid: pygit2.Oid


class _Memory:
    """The entries of the trees that were used last. An id says what is in a tree, so all repositories share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept = Newest[bytes, tuple[tuple[bytes, ...], int]](_KEPT_BYTES, lambda kept: kept[1])
        """By id, each with the bytes of memory that it takes."""

    def get(self, oid: pygit2.Oid) -> tuple[bytes, ...] | None:
        with self._lock:
            kept = self._kept.get(oid.raw)
            return kept[0] if kept is not None else None

    def keep(self, oid: pygit2.Oid, entries: tuple[bytes, ...], size: int) -> None:
        with self._lock:
            self._kept.put(oid.raw, (entries, _COST * size + _LEAST_COST))


_memory = _Memory()


def entries_of(repo: pygit2.Repository, tree: pygit2.Oid) -> Sequence[bytes]:
    """Return the entries of a tree in Git's order, each as its bytes: mode, name and id.

    Raises:
        KeyError: The repository lacks the tree.
        ValueError: It is another object.
    """
    # Not `in repo`, which reads the object.
    if tree not in repo.odb:
        raise KeyError(str(tree))
    entries = _memory.get(tree)
    if entries is None:
        kind, data = repo.read(tree)
        if kind != ObjectType.TREE:
            raise ValueError(f"{tree} is no tree")
        entries = tuple(_ENTRY.findall(data))
        _memory.keep(tree, entries, len(data))
    return entries


def name_of(entry: bytes) -> bytes:
    """Return the name in an entry."""
    return entry[entry.index(b" ") + 1 : -_ID_BYTES - 1]


def mode_of(entry: bytes) -> FileMode:
    """Return the mode in an entry; one of an old history, such as 100664 or 040000, is the one that it stands for."""
    mode = int(entry[: entry.index(b" ")], 8)
    kind = mode & _KIND
    if kind in {FileMode.TREE, FileMode.LINK, FileMode.COMMIT}:
        return FileMode(kind)
    return FileMode.BLOB_EXECUTABLE if mode & _EXECUTABLE else FileMode.BLOB


def id_of(entry: bytes) -> pygit2.Oid:
    """Return the id in an entry."""
    return pygit2.Oid(raw=entry[-_ID_BYTES:])


def find_entry(repo: pygit2.Repository, tree: pygit2.Oid, name: str) -> TreeEntry | None:
    """Return the entry of a tree that has a name; None if there is none. Errors are those of `entries_of`."""
    entries = entries_of(repo, tree)
    at = _position(entries, name.encode())
    return TreeEntry(mode_of(entries[at]), id_of(entries[at])) if at is not None else None


def replace_entry(
    repo: pygit2.Repository, tree: pygit2.Oid | None, name: str, subtree: pygit2.Oid | None
) -> pygit2.Oid | None:
    """Write a tree in which a name is a directory, or is nothing.

    Args:
        repo: Has the tree, and gets the new one.
        tree: The tree to change; None for an empty one.
        name: The name.
        subtree: The directory; None removes the entry.

    Returns:
        The new tree; None if nothing would be in it.
    """
    entries = list(entries_of(repo, tree)) if tree is not None else []
    encoded = name.encode()
    if (at := _position(entries, encoded)) is not None:
        del entries[at]
    if subtree is not None:
        key = encoded + b"/"
        entries.insert(bisect_left(entries, key, key=_order), b"40000 %s\0%s" % (encoded, subtree.raw))
    return _write(repo, tuple(entries)) if entries else None


def _write(repo: pygit2.Repository, entries: tuple[bytes, ...]) -> pygit2.Oid:
    data = b"".join(entries)
    oid = repo.write(ObjectType.TREE, data) if len(data) < _UNCOMPRESSED_BYTES else _write_uncompressed(repo, data)
    _memory.keep(oid, entries, len(data))
    return oid


def _write_uncompressed(repo: pygit2.Repository, tree: bytes) -> pygit2.Oid:
    """Write a tree as a loose object; libgit2 cannot read what it writes itself without compression."""
    data = b"tree %d\0%s" % (len(tree), tree)
    oid = hashlib.sha1(data, usedforsecurity=False).hexdigest()
    objects = Path(repo.path) / "objects"
    path = objects / oid[:2] / oid[2:]
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        with tempfile.NamedTemporaryFile(prefix="tmp_obj_", dir=objects, delete=False) as file:
            file.write(zlib.compress(data, 0))
        Path(file.name).replace(path)
    return pygit2.Oid(hex=oid)


def _position(entries: Sequence[bytes], name: bytes) -> int | None:
    # Git sorts a directory as if its name ended with a slash.
    for key in (name, name + b"/"):
        at = bisect_left(entries, key, key=_order)
        if at < len(entries) and name_of(entries[at]) == name:
            return at
    return None


def _order(entry: bytes) -> bytes:
    name = name_of(entry)
    return name + b"/" if mode_of(entry) == FileMode.TREE else name
