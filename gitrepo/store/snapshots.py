"""Snapshots of packages: files in Git without their content, and edited trees made from them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import pygit2
from pygit2.enums import FileMode

from porchflow.gitrepo.errors import GitNotFound
from porchflow.gitrepo.refs import InvalidName
from porchflow.gitrepo.remote.remote import Remote
from porchflow.gitrepo.store.bounds import DEFAULT_LIMITS, Limits, check_files, read_blob
from porchflow.gitrepo.store.trees import File, Mode, check_path, commit_at, list_files, subtree, tree_at


@dataclass(frozen=True)
class Stored:
    """A file whose content is in Git.

    Attributes:
        id: Id of the blob.
        mode: Mode of the file.
        size: Bytes of the content.
    """

    id: str
    mode: Mode
    size: int


@dataclass(frozen=True)
class Snapshot:
    """A package at one commit of one repository."""

    remote: Remote
    commit: str
    path: str
    """The package's directory; empty for the repository's root."""
    tree: str
    """Id of the directory's tree."""
    files: dict[str, Stored]
    """The files by path below the directory."""

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return size_of(self.files)


@dataclass(frozen=True)
class Edit:
    """A package as a snapshot with changed files; unchanged files are never read."""

    base: Snapshot
    changes: Mapping[str, File | Stored | None] = field(default_factory=dict)
    """The changed files by path; None removes a file."""
    others: tuple[Snapshot, ...] = ()
    """Snapshots that the stored files among the changes come from."""

    @property
    def files(self) -> dict[str, File | Stored]:
        """The files of the edited package, by path."""
        merged = {**self.base.files, **self.changes}
        return {path: file for path, file in merged.items() if file is not None}

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return size_of(self.files)


def size_of(files: Mapping[str, File | Stored]) -> int:
    """Return the bytes of all files of a package."""
    return sum(map(length_of, files.values()))


def length_of(file: File | Stored) -> int:
    """Return the bytes of a file."""
    return file.size if isinstance(file, Stored) else len(file.data)


def take_snapshot(
    repo: pygit2.Repository, remote: Remote, commit: pygit2.Oid, path: str, limits: Limits = DEFAULT_LIMITS
) -> Snapshot:
    """Return the snapshot of a package.

    Raises:
        GitNotFound: The commit holds no such directory.
        GitQuotaExceeded: The package is larger than the limits.
        InvalidContent: The package holds a submodule.
    """
    found = commit_at(repo, commit)
    tree = subtree(repo, found.tree_id, path) if path else found.tree_id
    if tree is None:
        raise GitNotFound(f"commit {commit} of {remote.display} has no directory {path!r}")
    found_files = list_files(repo, tree, f"package {path!r} at commit {commit} of {remote.display}", limits)
    files = {file.path: Stored(str(file.oid), file.mode, file.size) for file in found_files}
    return Snapshot(remote, str(found.id), path, str(tree), files)


def read_stored(repo: pygit2.Repository, files: Mapping[str, Stored]) -> dict[str, bytes]:
    """Read the content of files, by path."""
    return {path: read_blob(repo, pygit2.Oid(hex=file.id), file.size, path) for path, file in files.items()}


def edit_tree(repo: pygit2.Repository, edit: Edit, limits: Limits = DEFAULT_LIMITS) -> pygit2.Oid:
    """Write the tree of an edit; the repository must hold every stored object.

    Raises:
        InvalidName: A path is unsafe, a path is both a file and a directory, or no file is left.
        GitQuotaExceeded: The result is larger than the limits.
    """
    files = edit.files
    check_files(((path, length_of(file)) for path, file in files.items()), limits)
    _check_new(files, [path for path, file in edit.changes.items() if file is not None])
    changes: _Directory = {}
    # Removals come first: a directory may take the place of a removed file, and a file that of a removed directory.
    for path, file in sorted(edit.changes.items(), key=lambda item: item[1] is not None):
        *parents, name = path.split("/")
        directory = changes
        for part in parents:
            child = directory.get(part)
            directory[part] = directory = child if isinstance(child, dict) else {}
        directory[name] = file
    tree = _apply(repo, pygit2.Oid(hex=edit.base.tree), changes)
    if tree is None:
        raise InvalidName("a package without files cannot be stored in Git")
    return tree


_Directory = dict[str, Any]
"""Changes in a directory by name: another directory, a file, or None for a removal."""


def _check_new(files: Mapping[str, object], added: Iterable[str]) -> None:
    directories = {str(parent) for path in files for parent in PurePosixPath(path).parents}
    for path in added:
        check_path(path)
        if path in directories:
            raise InvalidName(f"file path {path!r} is a file and a directory")
        for parent in PurePosixPath(path).parents:
            if str(parent) in files:
                raise InvalidName(f"file path {path!r}: {str(parent)!r} is a file and a directory")


def _apply(repo: pygit2.Repository, base: pygit2.Oid | None, changes: _Directory) -> pygit2.Oid | None:
    tree = tree_at(repo, base) if base is not None else None
    builder = repo.TreeBuilder(tree) if tree is not None else repo.TreeBuilder()
    for name, change in changes.items():
        old = tree[name] if tree is not None and name in tree else None
        new = _entry(repo, old, change)
        if new is not None:
            builder.insert(name, *new)
        elif old is not None:
            builder.remove(name)
    return builder.write() if len(builder) else None


def _entry(
    repo: pygit2.Repository, old: pygit2.Object | None, change: File | Stored | _Directory | None
) -> tuple[pygit2.Oid, FileMode] | None:
    """Return id and mode of the tree's entry for a change; None for no entry."""
    match change:
        case None:
            return None
        case File():
            return repo.create_blob(change.data), FileMode(change.mode)
        case Stored():
            return pygit2.Oid(hex=change.id), FileMode(change.mode)
    inner = old.id if old is not None and old.filemode == FileMode.TREE else None
    tree = _apply(repo, inner, change)
    return (tree, FileMode.TREE) if tree is not None else None
