"""The pack of a push: the objects that a server lacks."""

import hashlib
import re
import tempfile
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pygit2
from pygit2.enums import ObjectType, SortMode

OUTGOING: Final = "outgoing-"
"""Begin of the names of folders in a repository that hold packs on their way; outdated ones may be deleted."""

_CHUNK_BYTES = 1 << 16
_NEAR = 200
"""Commits above what the server has, in nearly all pushes. Further down, libgit2 searches for what both have."""
_TREES_KEPT = 64
_ENTRY = re.compile(rb"([0-7]+) ([^\0]+)\0(.{20})", re.DOTALL)
_TREE_MODE, _SUBMODULE_MODE = b"40000", b"160000"
_EMPTY = b"PACK" + (2).to_bytes(4, "big") + bytes(4)


@contextmanager
def pack_of(repo: pygit2.Repository, objects: Collection[pygit2.Oid]) -> Iterator[tuple[int, Iterable[bytes]]]:
    """Make a pack; yields its size in bytes, and its bytes."""
    if not objects:
        empty = _EMPTY + hashlib.sha1(_EMPTY, usedforsecurity=False).digest()
        yield len(empty), [empty]
        return
    with tempfile.TemporaryDirectory(prefix=OUTGOING, dir=repo.path) as folder:
        builder = pygit2.PackBuilder(repo)
        builder.set_threads(1)
        for oid in objects:
            builder.add(oid)
        builder.write(folder)
        (pack,) = Path(folder).glob("*.pack")
        yield pack.stat().st_size, _chunks(pack)


def _chunks(pack: Path) -> Iterator[bytes]:
    with pack.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def objects_to_send(
    repo: pygit2.Repository, tips: Iterable[pygit2.Oid], there: Collection[pygit2.Oid]
) -> dict[pygit2.Oid, None]:
    """Return the objects that a server lacks, each once.

    Args:
        repo: Has them.
        tips: Ids that the server's refs get.
        there: Ids of the server's refs; a set.

    Raises:
        KeyError: The repository lacks one.
    """
    found: dict[pygit2.Oid, None] = {}
    starts: list[pygit2.Oid] = []
    for tip in tips:
        oid = tip
        while oid not in there and (tag := repo[oid]).type == ObjectType.TAG:
            found[oid] = None
            oid = tag.target  # type: ignore[attr-defined]  # a tag's
        starts.append(oid)
    trees = _Trees(repo)
    for commit in _commits(repo, starts, there):
        found[commit.id] = None
        trees.add_new(commit.tree_id, [parent.tree_id for parent in commit.parents], found)
    return found


def _commits(repo: pygit2.Repository, starts: list[pygit2.Oid], there: Collection[pygit2.Oid]) -> list[pygit2.Commit]:
    near: dict[pygit2.Oid, pygit2.Commit] = {}
    waiting = [oid for oid in starts if oid not in there]
    while waiting and len(near) <= _NEAR:
        oid = waiting.pop()
        if oid not in near:
            near[oid] = commit = repo[oid].peel(pygit2.Commit)
            waiting += [parent for parent in commit.parent_ids if parent not in there]
    return list(near.values()) if not waiting else _beyond(repo, starts, there)


def _beyond(repo: pygit2.Repository, starts: list[pygit2.Oid], there: Collection[pygit2.Oid]) -> list[pygit2.Commit]:
    walk = repo.walk(None, SortMode.NONE)
    for oid in starts:
        walk.push(oid)
    for oid in there:
        if oid in repo and repo[oid].type in {ObjectType.COMMIT, ObjectType.TAG}:
            walk.hide(oid)
    return list(walk)


class _Trees:
    """Entries of trees, each as mode, name and id. A walk asks for those of a parent twice."""

    def __init__(self, repo: pygit2.Repository) -> None:
        self._repo = repo
        self._read: dict[pygit2.Oid, frozenset[tuple[bytes, bytes, bytes]]] = {}

    def entries(self, oid: pygit2.Oid) -> frozenset[tuple[bytes, bytes, bytes]]:
        if oid not in self._read:
            kind, data = self._repo.read(oid)
            self._read[oid] = frozenset(_ENTRY.findall(data)) if kind == ObjectType.TREE else frozenset()
            if len(self._read) > _TREES_KEPT:
                self._read.pop(next(iter(self._read)))
        return self._read[oid]

    def add_new(self, tree: pygit2.Oid, before: Sequence[pygit2.Oid], found: dict[pygit2.Oid, None]) -> None:
        """Add a tree and what is in it, but not what the trees before it have at the same places."""
        waiting = [(tree, before)]
        while waiting:
            oid, olds = waiting.pop()
            if oid in found or oid in olds:
                continue
            found[oid] = None
            old = [self.entries(each) for each in olds]
            new = self.entries(oid).difference(*old)
            # A wide tree has few new entries, whose old ones are found among the few that went.
            gone = [each - self.entries(oid) for each in old]
            for mode, name, raw in new:
                entry = pygit2.Oid(raw=raw)
                if mode == _TREE_MODE:
                    waiting.append(
                        (entry, [pygit2.Oid(raw=at) for each in gone for _, named, at in each if named == name])
                    )
                elif mode != _SUBMODULE_MODE:
                    found[entry] = None
