"""Objects of one local repository brought into another, without reading content where there is much of it. Blocking."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import pygit2
from pygit2.enums import ObjectType

from porchflow.gitrepo.store.bounds import size_of
from porchflow.gitrepo.store.cache import RepositoryCache
from porchflow.gitrepo.store.trees import objects_below

_FEW = 200
"""So many objects are written one by one; a pack of more costs less, but each pack is asked for every object."""
_FEW_BYTES = 1024 * 1024


def objects_of(repo: pygit2.Repository, roots: Sequence[str]) -> list[pygit2.Oid]:
    """Name trees and blobs with everything in them, parts before the whole.

    Raises:
        GitQuotaExceeded: Directories are too deep inside of one another.
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
    """Name the roots that are not here. Whoever writes a tree writes its parts first: one that is here is whole."""
    return [root for root in roots if root not in repo]


def carry(source: RepositoryCache, target: RepositoryCache, roots: Sequence[str], folder: Path) -> int:
    """Bring trees and blobs with everything in them from one repository to another.

    Commits stay behind: who can read the target sees no more of the source than what was asked for.

    Args:
        source: Has all of it.
        target: Gets what it lacks.
        roots: Ids of trees and blobs.
        folder: For a pack on its way; on the target's file system.

    Returns:
        Bytes that went through this process's memory.
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
    # The index last: Git looks for packs by it.
    for file in sorted(folder.iterdir(), key=lambda file: file.suffix == ".idx"):
        file.rename(packs / file.name)
