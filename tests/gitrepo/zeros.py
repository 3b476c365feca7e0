"""Reads blobs of zeros that are larger than the memory of this process, and says what came of it."""

import resource
import sys
import zlib
from hashlib import sha1
from pathlib import Path

import pygit2
from pygit2.enums import FileMode

from porchflow.gitrepo.errors import GitQuotaExceeded
from porchflow.gitrepo.remote.remote import Remote
from porchflow.gitrepo.store.commits import create_commit
from porchflow.gitrepo.store.snapshots import Stored, read_stored, take_snapshot
from porchflow.gitrepo.store.trees import Mode, read_package
from porchflow.gitrepo.survey import kptfile_of

SIZE = 256 << 20
ROOM = 128 << 20
PIECE = bytes(1 << 20)


def write_zeros(repo: pygit2.Repository) -> pygit2.Oid:
    """Write the object as Git would, without ever holding it."""
    digest, packer, packed = sha1(usedforsecurity=False), zlib.compressobj(1), bytearray()
    for piece in (b"blob %d\0" % SIZE, *[PIECE] * (SIZE // len(PIECE))):
        digest.update(piece)
        packed += packer.compress(piece)
    packed += packer.flush()
    name = digest.hexdigest()
    path = Path(repo.path) / "objects" / name[:2] / name[2:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(packed)
    return pygit2.Oid(hex=name)


def main(folder: str) -> None:
    """Read it in every way there is."""
    repo = pygit2.init_repository(folder, bare=True)
    blob = write_zeros(repo)
    builder = repo.TreeBuilder()
    builder.insert("Kptfile", blob, FileMode.BLOB)
    tree = builder.write()
    commit = create_commit(repo, tree=tree, parents=[], message="x")
    in_use = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + ROOM, in_use + ROOM))
    for read in (
        lambda: read_package(repo, commit, ""),
        lambda: take_snapshot(repo, Remote("https://example.com/r.git"), commit, ""),
        lambda: kptfile_of(repo, str(tree)),
        lambda: read_stored(repo, {"Kptfile": Stored(str(blob), Mode.REGULAR, 64 << 20)}),
    ):
        try:
            sys.stdout.write(f"{read()!r}\n")
        except GitQuotaExceeded as error:
            sys.stdout.write(f"{error}\n")


if __name__ == "__main__":
    main(sys.argv[1])
