"""Content of packages: trees in Git to files in memory, and back."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import pygit2
from pygit2.enums import FileMode, ObjectType

from porchflow.api.git_directory import is_git_directory
from porchflow.api.limits import COMMIT_BYTES, TAGS_OF_TAGS, TREE_BYTES
from porchflow.gitrepo.errors import GitNoCommit, GitNotFound, GitQuotaExceeded
from porchflow.gitrepo.refs import InvalidName
from porchflow.gitrepo.store.bounds import (
    DEFAULT_LIMITS,
    Bounds,
    Limits,
    check_files,
    check_header,
    read_blob,
    size_of,
    too_large,
)
from porchflow.gitrepo.tree_entries import TreeEntry, find_entry, replace_entry


class InvalidContent(InvalidName):
    """A directory in Git holds something that a package cannot hold."""


class Mode(IntEnum):
    """Mode of a file, as Git's number."""

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


def read_package(repo: pygit2.Repository, commit: pygit2.Oid, path: str, limits: Limits = DEFAULT_LIMITS) -> Files:
    """Read every file below a directory.

    Raises:
        GitNotFound: The commit holds no such directory.
        GitQuotaExceeded: The package is larger than the limits.
        InvalidContent: The package holds a submodule.
    """
    tree = subtree(repo, commit_at(repo, commit).tree_id, path)
    if tree is None:
        raise GitNotFound(f"commit {commit} has no directory {path!r}")
    found = list_files(repo, tree, f"package {path!r} at commit {commit}", limits)
    return {file.path: File(read_blob(repo, file.oid, file.size, file.path), file.mode) for file in found}


class Listed(NamedTuple):
    """A file of a package without its content.

    Attributes:
        path: Path below the package's directory.
        oid: Id of the blob.
        mode: Mode of the file.
        size: Bytes of the content.
    """

    path: str
    oid: pygit2.Oid
    mode: Mode
    size: int


def list_files(repo: pygit2.Repository, tree: pygit2.Oid, place: str, limits: Limits) -> list[Listed]:
    """List the files of a package without reading them.

    Args:
        repo: The local repository.
        tree: Tree of the package.
        place: Name of the package, for messages.
        limits: Limits of the package.

    Raises:
        GitQuotaExceeded: The package is larger than the limits.
        InvalidContent: The package holds a submodule.
    """
    bounds = Bounds(place, limits)
    found: list[Listed] = []
    for entry in files_below(repo, tree, bounds):
        file = Listed(entry.path, entry.oid, mode_of(entry), size_of(repo, entry.oid))
        bounds.take(file.path, file.size)
        found.append(file)
    return found


def write_files(repo: pygit2.Repository, files: Mapping[str, File], limits: Limits = DEFAULT_LIMITS) -> pygit2.Oid:
    """Write files as a tree; objects that the repository has are not written again.

    Raises:
        InvalidName: A path is unsafe, a path is both a file and a directory, or there are no files.
        GitQuotaExceeded: The files are larger than the limits.
    """
    if not files:
        raise InvalidName("a package without files cannot be stored in Git")
    check_files(((path, len(file.data)) for path, file in files.items()), limits)
    root: _Directory = {}
    for path, file in files.items():
        _insert(root, path, file)
    return _write_directory(repo, root)


def replace_directory(
    repo: pygit2.Repository, base: pygit2.Oid | None, path: str, content: pygit2.Oid | None
) -> pygit2.Oid | None:
    """Replace a directory by a tree.

    Args:
        repo: The local repository.
        base: The tree to change; None for an empty one.
        path: Directory to replace; missing parents are added.
        content: The directory's tree; None removes the directory, and parents that get empty.

    Returns:
        The changed tree; None if it is equal to `base`, or empty.

    Raises:
        InvalidName: A part of the path is a file.
    """
    check_path(path)
    changed = _replace(repo, base, path.split("/"), content, path)
    return None if changed == base else changed


def subtree(repo: pygit2.Repository, tree: pygit2.Oid, path: str) -> pygit2.Oid | None:
    """Return the tree of a directory, whose path is empty for the root; None if there is no such directory."""
    current = tree
    for part in path.split("/") if path else ():
        entry = _entry(repo, current, part)
        if entry is None or entry.mode != FileMode.TREE:
            return None
        current = entry.oid
    return current


def has_file(repo: pygit2.Repository, tree: pygit2.Oid, name: str) -> bool:
    """Return whether the tree holds a regular file directly."""
    entry = _entry(repo, tree, name)
    return entry is not None and entry.mode in {FileMode.BLOB, FileMode.BLOB_EXECUTABLE}


def commit_at(repo: pygit2.Repository, oid: pygit2.Oid) -> pygit2.Commit:
    """Read a commit, by its id or that of an annotated tag.

    Raises:
        GitQuotaExceeded: The commit or tag exceeds the limit, or there are too many tags of tags.
        GitNoCommit: The object is no commit.
    """
    for _ in range(TAGS_OF_TAGS + 1):
        kind, size = repo.odb.read_header(oid)
        if kind in {ObjectType.COMMIT, ObjectType.TAG} and size > COMMIT_BYTES:
            raise too_large(f"{ObjectType(kind).name.lower()} {oid}", COMMIT_BYTES)
        if kind != ObjectType.TAG:
            break
        tag = repo[oid]
        assert isinstance(tag, pygit2.Tag)  # noqa: S101 - the header says so
        oid = tag.target
    else:
        raise GitQuotaExceeded(f"tag {oid}: more than {TAGS_OF_TAGS} tags of tags (the limit)")
    if kind != ObjectType.COMMIT:
        raise GitNoCommit(f"{oid} is a {ObjectType(kind).name.lower()}, no commit")
    commit = repo[oid].peel(pygit2.Commit)
    assert isinstance(commit, pygit2.Commit)  # noqa: S101 - the header says so
    return commit


def tree_at(repo: pygit2.Repository, oid: pygit2.Oid) -> pygit2.Tree:
    """Read a tree.

    Raises:
        GitQuotaExceeded: The object exceeds the limit, or is no tree.
    """
    check_header(repo, oid, ObjectType.TREE, TREE_BYTES, f"tree {oid}")
    tree = repo[oid]
    assert isinstance(tree, pygit2.Tree)  # noqa: S101 - the header says so
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
        if is_git_directory(part):
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
    entry = _entry(repo, base, parts[0]) if base is not None else None
    if entry is not None and entry.mode != FileMode.TREE:
        raise InvalidName(f"directory {path!r} cannot be made: {parts[0]!r} is a file in the repository")
    child = _replace(repo, entry.oid if entry is not None else None, parts[1:], content, path)
    if child is None and entry is None:
        return base
    return replace_entry(repo, base, parts[0], child)


def _entry(repo: pygit2.Repository, tree: pygit2.Oid, name: str) -> TreeEntry | None:
    check_header(repo, tree, ObjectType.TREE, TREE_BYTES, f"tree {tree}")
    return find_entry(repo, tree, name)


class Entry(NamedTuple):
    """An entry of a tree.

    Attributes:
        path: Path from the start of the walk.
        oid: Id of the object.
        mode: Git's mode: of a file, a directory, a symbolic link or a submodule.
    """

    path: str
    oid: pygit2.Oid
    mode: int


def files_below(repo: pygit2.Repository, tree: pygit2.Oid, bounds: Bounds) -> Iterator[Entry]:
    """Yield every file below a tree, in Git's order, with symbolic links and submodules.

    Raises:
        GitQuotaExceeded: The tree exceeds the bounds.
    """
    bounds.enter("", 0)
    stack = [iter(_entries(repo, tree, ""))]
    while stack:
        entry = next(stack[-1], None)
        if entry is None:
            stack.pop()
        elif entry.mode == FileMode.TREE:
            bounds.enter(entry.path, len(stack))
            stack.append(iter(_entries(repo, entry.oid, f"{entry.path}/")))
        else:
            bounds.add(entry.path)
            yield entry


def objects_below(repo: pygit2.Repository, root: pygit2.Oid, seen: dict[pygit2.Oid, None], place: str) -> None:
    """Add a tree and all objects below it to `seen`; an object comes after those below it.

    Each object is read once, however often it occurs. Submodules are left out: their commits are in other repositories.

    Raises:
        GitQuotaExceeded: The directories are nested too deep.
    """
    bounds = Bounds(place, Limits(directories=TREE_BYTES))
    bounds.enter("", 0)
    stack = [(root, iter(_entries(repo, root, "")))]
    while stack:
        tree, entries = stack[-1]
        entry = next(entries, None)
        if entry is None:
            seen[tree] = None
            stack.pop()
        elif entry.mode == FileMode.TREE and entry.oid not in seen:
            bounds.enter(entry.path, len(stack))
            stack.append((entry.oid, iter(_entries(repo, entry.oid, f"{entry.path}/"))))
        elif entry.mode != FileMode.COMMIT:
            seen[entry.oid] = None


def _entries(repo: pygit2.Repository, tree: pygit2.Oid, prefix: str) -> list[Entry]:
    return [Entry(f"{prefix}{entry.name}", entry.id, entry.filemode) for entry in tree_at(repo, tree)]


def mode_of(entry: Entry) -> Mode:
    """Return the mode of a file.

    Raises:
        InvalidContent: The entry is a submodule.
    """
    match entry.mode:
        case FileMode.COMMIT:
            raise InvalidContent(f"{entry.path}: is a submodule, which a package cannot hold; add its files instead")
        case FileMode.LINK:
            return Mode.SYMLINK
        case FileMode.BLOB_EXECUTABLE:
            return Mode.EXECUTABLE
        case _:
            return Mode.REGULAR
