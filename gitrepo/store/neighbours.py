"""Packages above and below another: which there are, and which files of a directory are whose.

A file belongs to the deepest package of its own that it lies in. A package of its own has a tag, or is the first
Kptfile on the way down the branch. A Kptfile below that one is a subpackage: a part of the content, which its package
may change and remove.
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
    """What exists at, above and below a package, on one branch and in one listing of the refs."""

    repo: pygit2.Repository
    refs: RefView
    location: PackageLocation
    branch: str
    """For people."""
    tree: pygit2.Oid | None
    """Of the branch; None where there is none yet."""

    def check_new(self, *, begins: bool) -> None:
        """Refuse to make a draft where another package is, or over what is there already.

        Drafts count as packages, so that of two only one is worked on; drafts of this package do not count as content.

        Args:
            begins: Whether the draft's content is made without regard to what the package holds: by init or clone.

        Raises:
            GitPackageOverlap: A package lies above or below.
            GitPackageExists: It begins anew what exists.
        """
        if not self.exists:
            self._refuse([*self._above(drafts=True), *self._below(drafts=True)])
        if begins:
            self._check_empty()

    def check_publish(self, content: pygit2.Oid, *, begins: bool) -> None:
        """Refuse the first merge of a package where another came in between; of two drafts the first one is merged.

        Args:
            content: The tree to merge.
            begins: As for `check_new`.

        Raises:
            GitPackageOverlap: A package lies above or below.
            GitPackageExists: It began anew what exists meanwhile, and lacks a file of that.
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
        """Whether the package is published: by a tag, or on the branch as no part of another."""
        path = self.location.path
        if self._tag(path):
            return True
        return self._on_branch(path) and not any(map(self._on_branch, self._all_above()))

    @cached_property
    def kept(self) -> list[str]:
        """Paths of the packages below whose files are their own, parents first."""
        return sorted(path for path, _ in self._below(drafts=False))

    def merged(self, content: pygit2.Oid | None) -> pygit2.Oid | None:
        """Return the branch's tree with the package's content; the packages below stay as the branch has them.

        Args:
            content: The package's new tree; None removes it.

        Returns:
            None where nothing is left.

        Raises:
            GitPackageOverlap: A file of the content is where a package below is.
            InvalidName: A file of the branch is in the way of the package.
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

    # What there is

    def _above(self, *, drafts: bool) -> Iterator[tuple[str, str]]:
        """Name the packages above that this Repository could hold, each with what it has."""
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
        """Name what lies above all packages of this Repository, where it holds files at this one's place."""
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
        """Name the first Kptfiles on the way down, but for those that this package put there."""
        path = self.location.path
        if self.tree is None or self._on_branch(path):
            return
        own = self._published_content()
        for inner, _ in find_packages(self.repo, self.tree, path, lambda _: None):
            if own is None or not _is_package(self.repo, own, inner):
                yield f"{path}/{inner}"

    def _published_content(self) -> pygit2.Oid | None:
        """Return this package's newest published tree. One that is made in a subpackage has no Kptfile of its own."""
        tag = self._tag(self.location.path)
        commit = self.refs.commit(tag) if tag else None
        return subtree(self.repo, commit.tree_id, self.location.path) if commit else None

    def _all_above(self) -> list[str]:
        parts = self.location.path.split("/")
        return ["/".join(parts[:length]) for length in range(len(parts))]

    def _on_branch(self, path: str) -> bool:
        return self.tree is not None and _is_package(self.repo, self.tree, path)

    def _tag(self, path: str) -> str | None:
        """Find the tag of a package's newest revision, among tags that may mark anything."""
        return next((ref for ref in self._newest_first(path) if self._marks(ref, path)), None)

    def _newest_first(self, path: str) -> list[str]:
        tags = self.refs.directly_below(TAGS + path)
        return sorted(tags, key=lambda ref: -revision_of(ref.rpartition("/")[2]))

    def _marks(self, ref: str, path: str) -> bool:
        try:
            commit = self.refs.commit(ref)
        except (pygit2.GitError, ValueError, AssertionError):
            # A tag may mark any object; a package lives in a commit.
            return False
        if commit is None:
            return False
        approved = any(note.is_approval and note.package == path for note in parse_annotations(commit.message))
        return approved or _is_package(self.repo, commit.tree_id, path)

    def _draft(self, path: str) -> str | None:
        return next((ref for base in (DRAFTS, PROPOSED) for ref in self.refs.directly_below(base + path)), None)

    # What is said

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
    """Find what a tree holds and another does not, without a look at what is the same."""
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
    """Find what is no directory on the way to a path, or there."""
    parts = path.split("/")
    for length, name in enumerate(parts, start=1):
        within = subtree(repo, tree, "/".join(parts[: length - 1]))
        if within is None:
            return None
        if name in tree_at(repo, within) and subtree(repo, within, name) is None:
            return "/".join(parts[:length])
    return None


def _put(repo: pygit2.Repository, base: pygit2.Oid | None, path: str, content: pygit2.Oid | None) -> pygit2.Oid | None:
    """Put a tree in the place of a directory; None where nothing is left."""
    before = subtree(repo, base, path) if base is not None else None
    return base if before == content else replace_directory(repo, base, path, content)
