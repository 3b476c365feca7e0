"""Bounds on foreign trees, commits and blobs: every walk and every read is checked before Git expands any object.

A repository of a few kilobytes can have billions of paths, because Git stores equal directories once. A blob of zeros
is stored in a thousandth of its size. Walks therefore count directories and files as often as they occur, and reads
check the size before the content.
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
    """Limits of one package; see `porchflow.api.limits`."""

    files: int = PACKAGE_FILES
    bytes: int = PACKAGE_BYTES
    directories: int = PACKAGE_DIRECTORIES
    depth: int = PACKAGE_DEPTH
    path: int = PATH_BYTES


DEFAULT_LIMITS = Limits()


@dataclass
class Bounds:
    """Counts files, bytes and directories of one walk, and ends a walk that exceeds the limits."""

    place: str
    """Name of the walked tree, for messages."""
    limits: Limits = DEFAULT_LIMITS
    unit: str = "files"
    """Name of the counted files, for messages."""
    mend: str = "split it"
    """How to mend a tree that holds too much, for messages."""
    files: int = field(default=0, init=False)
    bytes: int = field(default=0, init=False)
    directories: int = field(default=0, init=False)

    def enter(self, path: str, depth: int) -> None:
        """Count a directory.

        Args:
            path: Path of the directory from the start of the walk.
            depth: Directories above it, from the start of the walk.

        Raises:
            GitQuotaExceeded: There are too many directories, or it is too deep.
        """
        self.directories += 1
        if depth > self.limits.depth:
            raise self._exceeded(f"deeper than {self.limits.depth:,} directories", path)
        if self.directories > self.limits.directories:
            raise self._exceeded(f"more than {self.limits.directories:,} directories", path)

    def add(self, path: str) -> None:
        """Count a file.

        Raises:
            GitQuotaExceeded: There are too many files, or its path is too long.
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
    """Refuse files that exceed the limits of a package by number, paths or size.

    Args:
        files: Path and size in bytes of each file.
        limits: Limits of the package.
        place: Name of the package, for messages.

    Raises:
        GitQuotaExceeded: A limit is exceeded.
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
    """Read a blob after a check of its size.

    Args:
        repo: The local repository.
        oid: Id of the blob.
        limit: Bytes of the blob at most.
        place: Name of the blob, for messages.

    Raises:
        GitQuotaExceeded: The object is larger, or no blob.
    """
    check_header(repo, oid, ObjectType.BLOB, limit, place)
    return repo.read(oid)[1]


def size_of(repo: pygit2.Repository, oid: pygit2.Oid) -> int:
    """Return the size of an object in bytes, without reading its content."""
    return repo.odb.read_header(oid)[1]


def check_header(repo: pygit2.Repository, oid: pygit2.Oid, kind: ObjectType, limit: int, place: str) -> None:
    """Refuse an object by its header, before it is expanded.

    Raises:
        GitQuotaExceeded: The object is larger than the limit, or of another kind.
    """
    found, size = repo.odb.read_header(oid)
    if found != kind:
        raise GitQuotaExceeded(f"{place}: {oid} is a {ObjectType(found).name.lower()}, not a {kind.name.lower()}")
    if size > limit:
        raise too_large(place, limit)


def too_large(place: str, limit: int) -> GitQuotaExceeded:
    """Return the error for an object that exceeds a limit in bytes."""
    return GitQuotaExceeded(f"{place}: more than {shown_bytes(limit)} (the limit)")


def shown_bytes(number: int) -> str:
    """Return a number of bytes for messages: in MiB from 1 MiB on."""
    return f"{number / MIB:g} MiB" if number >= MIB else f"{number:,} bytes"
