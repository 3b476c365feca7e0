"""Packages above and below another package, and the owner of each file in a directory.

A file belongs to the deepest independent package above it. An independent package has a tag, or has the first Kptfile
on the way down the tree of the branch. A Kptfile below that one belongs to a subpackage: a part of the package's
content, which the package may change and remove.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import pygit2
from pygit2.enums import FileMode

from porchflow.gitrepo.errors import GitPackageExists, GitPackageOverlap
from porchflow.gitrepo.refs import DRAFTS, PROPOSED, TAGS, PackageLocation, revision_of, short_ref
from porchflow.gitrepo.store.commit_messages import parse_annotations
from porchflow.gitrepo.store.package_trees import find_packages
from porchflow.gitrepo.store.ref_view import RefView
from porchflow.gitrepo.store.trees import has_file, replace_directory, subtree, tree_at

_KPTFILE = "Kptfile"


@dataclass
class Neighbours:
    """The packages at, above and below a location, on one branch and in one listing of the refs."""

    repo: pygit2.Repository
    refs: RefView
    location: PackageLocation
    branch: str
    """Name of the branch, for messages."""
    tree: pygit2.Oid | None
    """Tree of the branch; None for a missing branch."""

    def check_new(self, *, begins: bool) -> None:
        """Refuse a draft whose package would overlap with another one or replace existing content.

        Drafts of other packages count as packages, so that a conflict shows before a publish. Drafts of this package do
        not count as content.

        Args:
            begins: Whether the draft's content is from init or clone, without regard to the package's content.

        Raises:
            GitPackageOverlap: A package lies above or below.
            GitPackageExists: The draft is from init or clone, and the package or its directory exists.
        """
        if not self.exists:
            self._refuse([*self._above(drafts=True), *self._below(drafts=True)])
        if begins:
            self._check_empty()

    def check_publish(self, content: pygit2.Oid, *, begins: bool) -> None:
        """Refuse the merge of a draft that conflicts with a package which was published meanwhile.

        Args:
            content: The tree to merge.
            begins: As for `check_new`.

        Raises:
            GitPackageOverlap: A package lies above or below.
            GitPackageExists: The draft is from init or clone, and lacks a file that the package has meanwhile.
        """
        if not self.exists:
            self._refuse([*self._above(drafts=False), *self._below(drafts=False), *self._around()])
        elif begins and self.tree is not None:
            path = self.location.path
            there = subtree(self.repo, self.tree, path)
            if there is not None and (lost := _first_lost(self.repo, there, content)):
                raise GitPackageExists(
                    f"package {path!r} was published since this draft began anew, and this would drop {path}/{lost};"
                    " make its next revision with copyFrom or upgrade"
                )

    @cached_property
    def exists(self) -> bool:
        """Whether the package is published: it has a tag, or is on the branch and no part of another package."""
        path = self.location.path
        if self._tag(path):
            return True
        return self._on_branch(path) and not any(map(self._on_branch, self._all_above()))

    @cached_property
    def kept(self) -> list[str]:
        """Paths of the independent packages below, parents first."""
        return sorted(path for path, _ in self._below(drafts=False))

    def merged(self, content: pygit2.Oid | None) -> pygit2.Oid | None:
        """Return the branch's tree with the package's content; the packages below stay as the branch has them.

        Args:
            content: The package's new tree; None removes it.

        Returns:
            The tree; None if no file is left.

        Raises:
            GitPackageOverlap: The content has a file at the path of a package below.
            InvalidName: The branch has a file at the package's path or above it.
        """
        path = self.location.path
        for below in self.kept:
            theirs = subtree(self.repo, self.tree, below) if self.tree is not None else None
            inner = below.removeprefix(f"{path}/")
            if content is not None and (file := _file_on_the_way(self.repo, content, inner)):
                raise GitPackageOverlap(
                    f"{path}/{file} is a file of this package, and the package {below!r} is there; rename the file"
                )
            if theirs is not None or content is not None:
                content = _put(self.repo, content, inner, theirs)
        return _put(self.repo, self.tree, path, content)

    # Packages that exist

    def _above(self, *, drafts: bool) -> Iterator[tuple[str, str]]:
        """Yield the paths of packages above within the Repository's directory, each with where it was found."""
        parts = self.location.package.split("/")
        prefix = f"{self.location.directory}/" if self.location.directory else ""
        for length in range(1, len(parts)):
            path = prefix + "/".join(parts[:length])
            if self._on_branch(path):
                yield path, f"on branch {self.branch!r}"
            elif tag := self._tag(path):
                yield path, f"tag {short_ref(tag)}"
            elif drafts and (ref := self._draft(path)):
                yield path, f"branch {short_ref(ref)}"

    def _around(self) -> Iterator[tuple[str, str]]:
        """Yield packages above at any level, also outside the Repository's directory, if the path holds files.

        Each comes with where it was found.
        """
        if self.tree is not None and subtree(self.repo, self.tree, self.location.path) is not None:
            for path in self._all_above():
                if self._on_branch(path):
                    yield path, f"on branch {self.branch!r}"

    def _below(self, *, drafts: bool) -> Iterator[tuple[str, str]]:
        path = self.location.path
        folders = self.refs.folders_below(TAGS + path)
        self.refs.require([tag for folder in folders for tag in self._newest_first(folder.removeprefix(TAGS))[:1]])
        for folder in folders:
            if tag := self._tag(folder.removeprefix(TAGS)):
                yield folder.removeprefix(TAGS), f"tag {short_ref(tag)}"
        for below in self._below_on_branch():
            yield below, f"on branch {self.branch!r}"
        for base in (DRAFTS, PROPOSED) if drafts else ():
            for folder in self.refs.folders_below(base + path):
                below = folder.removeprefix(base)
                if ref := self._draft(below):
                    yield below, f"branch {short_ref(ref)}"

    def _below_on_branch(self) -> Iterator[str]:
        """Yield the first packages on the way down the tree, without subpackages of this package."""
        path = self.location.path
        if self.tree is None or self._on_branch(path):
            return
        own = self._published_content()
        for inner, _ in find_packages(self.repo, self.tree, path, lambda _: None):
            if own is None or not _is_package(self.repo, own, inner):
                yield f"{path}/{inner}"

    def _published_content(self) -> pygit2.Oid | None:
        """Return this package's newest published tree; it has no Kptfile if init made only a subpackage."""
        tag = self._tag(self.location.path)
        commit = self.refs.commit(tag) if tag else None
        return subtree(self.repo, commit.tree_id, self.location.path) if commit else None

    def _all_above(self) -> list[str]:
        parts = self.location.path.split("/")
        return ["/".join(parts[:length]) for length in range(len(parts))]

    def _on_branch(self, path: str) -> bool:
        return self.tree is not None and _is_package(self.repo, self.tree, path)

    def _tag(self, path: str) -> str | None:
        """Return the tag of a package's newest revision; other tags may mark any object."""
        return next((ref for ref in self._newest_first(path) if self._marks(ref, path)), None)

    def _newest_first(self, path: str) -> list[str]:
        tags = self.refs.directly_below(TAGS + path)
        return sorted(tags, key=lambda ref: -revision_of(ref.rpartition("/")[2]))

    def _marks(self, ref: str, path: str) -> bool:
        # A tag may mark any object; a package lives in a commit.
        commit = self.refs.marked(ref)
        if commit is None:
            return False
        approved = any(note.is_approval and note.package == path for note in parse_annotations(commit.message))
        return approved or _is_package(self.repo, commit.tree_id, path)

    def _draft(self, path: str) -> str | None:
        return next((ref for base in (DRAFTS, PROPOSED) for ref in self.refs.directly_below(base + path)), None)

    # Errors

    def _refuse(self, others: Iterable[tuple[str, str]]) -> None:
        path = self.location.path
        for other, where in others:
            below = other.startswith(f"{path}/")
            what = f"package {other!r}" if other else "package in the root of the repository"
            raise GitPackageOverlap(
                f"{path!r} would lie {'above' if below else 'below'} the {what} ({where}), and the files of"
                f" {'that' if below else 'this'} one among the other's"
            )

    def _check_empty(self) -> None:
        path, tag = self.location.path, self._tag(self.location.path)
        if tag or self._on_branch(path):
            raise GitPackageExists(
                f"package {path!r} exists already ({f'tag {short_ref(tag)}' if tag else f'on branch {self.branch!r}'}),"
                " and what begins anew would drop its files; make its next revision with copyFrom or upgrade"
            )
        if self.tree is not None and subtree(self.repo, self.tree, path) is not None:
            raise GitPackageExists(
                f"branch {self.branch!r} holds files in {path!r} that are no package's, and this would drop them; move"
                " them away, or add a Kptfile there and make the next revision with copyFrom"
            )


def _is_package(repo: pygit2.Repository, root: pygit2.Oid, path: str) -> bool:
    tree = subtree(repo, root, path)
    return tree is not None and has_file(repo, tree, _KPTFILE)


def _first_lost(repo: pygit2.Repository, old: pygit2.Oid, new: pygit2.Oid) -> str | None:
    """Return the path of the first entry that a tree has and another lacks; equal subtrees are skipped."""
    if old == new:
        return None
    after = tree_at(repo, new)
    for entry in tree_at(repo, old):
        name = str(entry.name)
        if name not in after:
            return name
        other = after[name]
        if entry.filemode == other.filemode == FileMode.TREE and (lost := _first_lost(repo, entry.id, other.id)):
            return f"{name}/{lost}"
    return None


def _file_on_the_way(repo: pygit2.Repository, tree: pygit2.Oid, path: str) -> str | None:
    """Return the first path that is no directory, on the way to a path or at it; None if there is none."""
    parts = path.split("/")
    for length, name in enumerate(parts, start=1):
        within = subtree(repo, tree, "/".join(parts[: length - 1]))
        if within is None:
            return None
        if name in tree_at(repo, within) and subtree(repo, within, name) is None:
            return "/".join(parts[:length])
    return None


def _put(repo: pygit2.Repository, base: pygit2.Oid | None, path: str, content: pygit2.Oid | None) -> pygit2.Oid | None:
    """Replace a directory by a tree; None if no file is left."""
    before = subtree(repo, base, path) if base is not None else None
    return base if before == content else replace_directory(repo, base, path, content)
