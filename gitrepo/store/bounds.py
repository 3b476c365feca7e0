"""What foreign trees, commits and blobs may cost: every walk and every read is bounded before Git expands anything.

A repository of a few kilobytes can name billions of paths, because equal directories are stored once, and a blob of
zeros is a thousandth of its size. So directories and files are counted as often as they are there, and sizes are asked
for before content.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import pygit2
from pygit2.enums import ObjectType

from porchflow.api.limits import MIB, PACKAGE_BYTES, PACKAGE_DEPTH, PACKAGE_DIRECTORIES, PACKAGE_FILES, PATH_BYTES
from porchflow.gitrepo.errors import GitQuotaExceeded

_SHOWN = 200


@dataclass(frozen=True)
class Limits:
    """What one package may hold; see `porchflow.api.limits`."""

    files: int = PACKAGE_FILES
    bytes: int = PACKAGE_BYTES
    directories: int = PACKAGE_DIRECTORIES
    depth: int = PACKAGE_DEPTH
    path: int = PATH_BYTES


DEFAULT_LIMITS = Limits()


@dataclass
class Bounds:
    """Counts what is seen on one walk, and ends it where that is more than the limits."""

    place: str
    """What is walked over, for messages."""
    limits: Limits = DEFAULT_LIMITS
    unit: str = "files"
    """What is counted besides directories."""
    mend: str = "split it"
    """What to do about a place that holds too much."""
    files: int = field(default=0, init=False)
    bytes: int = field(default=0, init=False)
    directories: int = field(default=0, init=False)

    def enter(self, path: str, depth: int) -> None:
        """Count a directory.

        Args:
            path: Of it, below where the walk began.
            depth: Directories above it, on the walk.

        Raises:
            GitQuotaExceeded: It is one too many, or too deep.
        """
        self.directories += 1
        if depth > self.limits.depth:
            raise self._exceeded(f"deeper than {self.limits.depth:,} directories", path)
        if self.directories > self.limits.directories:
            raise self._exceeded(f"more than {self.limits.directories:,} directories", path)

    def add(self, path: str) -> None:
        """Count a file.

        Raises:
            GitQuotaExceeded: It is one too many, or its path is too long.
        """
        self.files += 1
        if self.files > self.limits.files:
            raise self._exceeded(f"more than {self.limits.files:,} {self.unit}", path)
        if len(path.encode(errors="surrogatepass")) > self.limits.path:
            raise self._exceeded(f"a path longer than {self.limits.path:,} bytes", path)

    def take(self, path: str, size: int) -> None:
        """Count the bytes of a file.

        Raises:
            GitQuotaExceeded: All files together are too large.
        """
        self.bytes += size
        if self.bytes > self.limits.bytes:
            raise self._exceeded(f"more than {shown_bytes(self.limits.bytes)}", path)

    def _exceeded(self, what: str, path: str) -> GitQuotaExceeded:
        where = path if len(path) <= _SHOWN else f"{path[:_SHOWN]}…"
        return GitQuotaExceeded(f"{self.place}: {what} (the limit) at {where or 'its root'}; {self.mend}")


def check_files(files: Iterable[tuple[str, int]], limits: Limits, place: str = "the package") -> None:
    """Refuse files that are no package for their number, paths or size.

    Args:
        files: Path and bytes of each.
        limits: What the package may hold.
        place: What it is, for messages.

    Raises:
        GitQuotaExceeded: It is more.
    """
    bounds = Bounds(place, limits)
    known: set[str] = set()
    for path, size in files:
        bounds.add(path)
        bounds.take(path, size)
        directory = path.rpartition("/")[0]
        while directory and directory not in known:
            known.add(directory)
            bounds.enter(directory, directory.count("/") + 1)
            directory = directory.rpartition("/")[0]


def read_blob(repo: pygit2.Repository, oid: pygit2.Oid, limit: int, place: str) -> bytes:
    """Read a blob whose size is asked for first.

    Args:
        repo: Where it is.
        oid: Of the blob.
        limit: Bytes that it may have.
        place: What it is, for messages.

    Raises:
        GitQuotaExceeded: It is larger, or no blob.
    """
    check_header(repo, oid, ObjectType.BLOB, limit, place)
    return repo.read(oid)[1]


def size_of(repo: pygit2.Repository, oid: pygit2.Oid) -> int:
    """Bytes of an object's content, which is not read for it."""
    return repo.odb.read_header(oid)[1]


def check_header(repo: pygit2.Repository, oid: pygit2.Oid, kind: ObjectType, limit: int, place: str) -> None:
    """Refuse an object by what its header says, before it is expanded.

    Raises:
        GitQuotaExceeded: It is too large, or another kind of object than the tree that names it says.
    """
    found, size = repo.odb.read_header(oid)
    if found != kind:
        raise GitQuotaExceeded(f"{place}: {oid} is a {ObjectType(found).name.lower()}, not a {kind.name.lower()}")
    if size > limit:
        raise too_large(place, limit)


def too_large(place: str, limit: int) -> GitQuotaExceeded:
    """The error for an object of more bytes than it may have."""
    return GitQuotaExceeded(f"{place}: more than {shown_bytes(limit)} (the limit)")


def shown_bytes(number: int) -> str:
    """A number of bytes for people: in MiB where it is that many."""
    return f"{number / MIB:g} MiB" if number >= MIB else f"{number:,} bytes"
