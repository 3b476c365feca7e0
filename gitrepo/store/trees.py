"""Package content: trees in Git to files in memory and back."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum

import pygit2
from pygit2.enums import FileMode

from porchflow.gitrepo.errors import GitNotFound, GitQuotaExceeded
from porchflow.gitrepo.refs import InvalidName

MIB = 1024 * 1024


class InvalidContent(InvalidName):
    """What a directory in Git holds can be no package."""


class Mode(IntEnum):
    """What a file is, in Git's numbers."""

    REGULAR = 0o100644
    EXECUTABLE = 0o100755
    SYMLINK = 0o120000
    """Its data is the link's target."""


@dataclass(frozen=True)
class File:
    """A file of a package."""

    data: bytes
    mode: Mode = Mode.REGULAR


Files = dict[str, File]
"""The files of a package by their path below its directory."""


@dataclass(frozen=True)
class Limits:
    """What one package may hold."""

    files: int = 10_000
    bytes: int = 64 * MIB

    def __str__(self) -> str:
        return f"{self.files} files or {self.bytes // MIB} MiB"


DEFAULT_LIMITS = Limits()


def read_package(repo: pygit2.Repository, commit: pygit2.Oid, path: str, limits: Limits = DEFAULT_LIMITS) -> Files:
    """Read every file below a directory.

    Raises:
        GitNotFound: The commit holds no such directory.
        GitQuotaExceeded: The package is larger than the limits.
        InvalidContent: It holds a submodule, which a package cannot.
    """
    tree = subtree(repo, commit_at(repo, commit).tree_id, path)
    if tree is None:
        raise GitNotFound(f"commit {commit} has no directory {path!r}")
    files: Files = {}
    size = 0
    for name, entry in files_below(repo, tree):
        mode = mode_of(name, entry)
        blob = repo[entry.id]
        assert isinstance(blob, pygit2.Blob)  # noqa: S101 - every mode that passed names a blob
        size += blob.size
        if size > limits.bytes or len(files) >= limits.files:
            raise GitQuotaExceeded(
                f"package {path!r} at commit {commit} is larger than {limits}; split it, or raise the limit"
            )
        files[name] = File(blob.data, mode)
    return files


def write_files(repo: pygit2.Repository, files: Mapping[str, File], limits: Limits = DEFAULT_LIMITS) -> pygit2.Oid:
    """Write the files as a tree of their own; what Git has already is not written again.

    Raises:
        InvalidName: A path is unsafe, or a file is in the way of a directory; or there are no files.
        GitQuotaExceeded: The files are larger than the limits.
    """
    if not files:
        raise InvalidName("a package without files cannot be stored in Git")
    if len(files) > limits.files or sum(len(file.data) for file in files.values()) > limits.bytes:
        raise GitQuotaExceeded(f"the package is larger than {limits}")
    root: _Directory = {}
    for path, file in files.items():
        _insert(root, path, file)
    return _write_directory(repo, root)


def replace_directory(
    repo: pygit2.Repository, base: pygit2.Oid | None, path: str, content: pygit2.Oid | None
) -> pygit2.Oid | None:
    """Put a tree in the place of a directory.

    Args:
        repo: Where the trees are.
        base: The tree to change; None for nothing.
        path: Directory to replace; its parents are made as needed.
        content: The directory's new tree; None removes it, and parents that get empty.

    Returns:
        The new tree. None where it would be the same as `base`, or empty.

    Raises:
        InvalidName: A file is in the way of the path.
    """
    check_path(path)
    changed = _replace(repo, base, path.split("/"), content, path)
    return None if changed == base else changed


def subtree(repo: pygit2.Repository, tree: pygit2.Oid, path: str) -> pygit2.Oid | None:
    """Find the tree of a directory, empty for the root; None where there is none."""
    current = tree
    for part in path.split("/") if path else ():
        entry = _entry(tree_at(repo, current), part)
        if entry is None or entry.filemode != FileMode.TREE:
            return None
        current = entry.id
    return current


def has_file(repo: pygit2.Repository, tree: pygit2.Oid, name: str) -> bool:
    """Whether the tree holds a regular file directly."""
    entry = _entry(tree_at(repo, tree), name)
    return entry is not None and entry.filemode in {FileMode.BLOB, FileMode.BLOB_EXECUTABLE}


def commit_at(repo: pygit2.Repository, oid: pygit2.Oid) -> pygit2.Commit:
    """Read a commit; an annotated tag leads to its commit."""
    commit = repo[oid].peel(pygit2.Commit)
    assert isinstance(commit, pygit2.Commit)  # noqa: S101 - peel says so
    return commit


def tree_at(repo: pygit2.Repository, oid: pygit2.Oid) -> pygit2.Tree:
    """Read a tree."""
    tree = repo[oid]
    assert isinstance(tree, pygit2.Tree)  # noqa: S101 - callers pass ids of trees
    return tree


def check_path(path: str) -> None:
    """Refuse a path that leaves the package or enters a `.git`.

    Raises:
        InvalidName: The path is absolute, has empty, `.`, `..` or `.git` parts, or control characters.
    """
    if any(ord(char) < ord(" ") or char == "\x7f" for char in path):
        raise InvalidName(f"file path {path!r} holds a control character")
    for part in path.split("/"):
        if part in {"", ".", ".."}:
            raise InvalidName(f"file path {path!r} must be relative, without empty, '.' or '..' parts")
        # Case-insensitive file systems and Windows read these as .git, too.
        if part.lower().partition(":")[0].rstrip(" .") in {".git", "git~1"}:
            raise InvalidName(f"file path {path!r} must not hold a part named .git")


_Directory = dict[str, "File | _Directory"]


def _insert(root: _Directory, path: str, file: File) -> None:
    check_path(path)
    *parents, name = path.split("/")
    directory = root
    for part in parents:
        child = directory.setdefault(part, {})
        if isinstance(child, File):
            raise InvalidName(f"file path {path!r}: {part!r} is a file and a directory")
        directory = child
    if name in directory:
        raise InvalidName(f"file path {path!r} is a file and a directory")
    directory[name] = file


def _write_directory(repo: pygit2.Repository, directory: _Directory) -> pygit2.Oid:
    builder = repo.TreeBuilder()
    for name, child in directory.items():
        if isinstance(child, File):
            builder.insert(name, repo.create_blob(child.data), FileMode(child.mode))
        else:
            builder.insert(name, _write_directory(repo, child), FileMode.TREE)
    return builder.write()


def _replace(
    repo: pygit2.Repository, base: pygit2.Oid | None, parts: list[str], content: pygit2.Oid | None, path: str
) -> pygit2.Oid | None:
    if not parts:
        return content
    tree = tree_at(repo, base) if base is not None else None
    entry = _entry(tree, parts[0]) if tree is not None else None
    if entry is not None and entry.filemode != FileMode.TREE:
        raise InvalidName(f"directory {path!r} cannot be made: {parts[0]!r} is a file in the repository")
    child = _replace(repo, entry.id if entry is not None else None, parts[1:], content, path)
    if child is None and entry is None:
        return base
    builder = repo.TreeBuilder(tree) if tree is not None else repo.TreeBuilder()
    if child is None:
        builder.remove(parts[0])
    else:
        builder.insert(parts[0], child, FileMode.TREE)
    return builder.write() if len(builder) else None


def _entry(tree: pygit2.Tree, name: str) -> pygit2.Object | None:
    return tree[name] if name in tree else None  # noqa: SIM401 - a Tree has no get


def files_below(repo: pygit2.Repository, tree: pygit2.Oid, prefix: str = "") -> Iterator[tuple[str, pygit2.Object]]:
    """Name every file below a tree by its path, with the entry that holds it; submodules are among them."""
    for entry in tree_at(repo, tree):
        name = f"{prefix}{entry.name}"
        if entry.filemode == FileMode.TREE:
            yield from files_below(repo, entry.id, name + "/")
        else:
            yield name, entry


def mode_of(name: str, entry: pygit2.Object) -> Mode:
    """Tell what a file is.

    Raises:
        InvalidContent: It is a submodule, which a package cannot hold.
    """
    match entry.filemode:
        case FileMode.COMMIT:
            raise InvalidContent(f"{name}: is a submodule, which a package cannot hold; add its files instead")
        case FileMode.LINK:
            return Mode.SYMLINK
        case FileMode.BLOB_EXECUTABLE:
            return Mode.EXECUTABLE
        case _:
            return Mode.REGULAR
