"""Copies of objects from one local repository to another; many objects go as a pack, without a read. Blocking."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import pygit2
from pygit2.enums import ObjectType

from porchflow.gitrepo.store.bounds import size_of
from porchflow.gitrepo.store.cache import RepositoryCache
from porchflow.gitrepo.store.trees import objects_below

_FEW = 200
"""Objects that are copied one by one. A pack of more costs less, but libgit2 searches each pack for every object."""
_FEW_BYTES = 1024 * 1024


def objects_of(repo: pygit2.Repository, roots: Sequence[str]) -> list[pygit2.Oid]:
    """Return the ids of trees and blobs with all objects below them; an object comes after those below it.

    Raises:
        GitQuotaExceeded: The directories are nested too deep.
    """
    found: dict[pygit2.Oid, None] = {}
    for root in roots:
        oid = pygit2.Oid(hex=root)
        if repo.odb.read_header(oid)[0] == ObjectType.TREE:
            objects_below(repo, oid, found, f"tree {root}")
        else:
            found[oid] = None
    return list(found)


def missing(repo: pygit2.Repository, roots: Sequence[str]) -> list[str]:
    """Return the roots that the repository lacks.

    A tree is always written after the objects below it, so that a tree in the repository is complete.
    """
    return [root for root in roots if root not in repo]


def carry(source: RepositoryCache, target: RepositoryCache, roots: Sequence[str], folder: Path) -> int:
    """Copy trees and blobs with all objects below them from one repository to another.

    Commits are not copied: readers of the target see no more of the source than the copied objects.

    Args:
        source: Holds all objects.
        target: Gets the objects that it lacks.
        roots: Ids of trees and blobs.
        folder: Folder for a temporary pack, on the target's file system.

    Returns:
        Bytes that were read into this process's memory.
    """
    wanted = target.run(lambda repo: missing(repo, roots))
    if not wanted:
        return 0
    everything = source.run(lambda repo: objects_of(repo, wanted))
    lacking = target.run(lambda repo: [oid for oid in everything if oid not in repo])
    size = source.run(lambda repo: sum(size_of(repo, oid) for oid in lacking))
    if len(lacking) <= _FEW and size <= _FEW_BYTES:
        objects = source.run(lambda repo: [repo.read(oid) for oid in lacking])
        target.run(lambda repo: [repo.write(kind, data) for kind, data in objects])
        return size
    with tempfile.TemporaryDirectory(prefix="carried-", dir=folder) as name:
        source.run(lambda repo: _pack(repo, lacking, name))
        target.run(lambda repo: _add_packs(repo, Path(name)))
    return 0


def _pack(repo: pygit2.Repository, oids: Sequence[pygit2.Oid], folder: str) -> None:
    def choose(builder: pygit2.PackBuilder) -> None:
        for oid in oids:
            builder.add(oid)

    repo.pack(folder, choose, n_threads=1)


def _add_packs(repo: pygit2.Repository, folder: Path) -> None:
    packs = Path(repo.path) / "objects" / "pack"
    # The index comes last, because Git finds packs by their index.
    for file in sorted(folder.iterdir(), key=lambda file: file.suffix == ".idx"):
        file.rename(packs / file.name)
