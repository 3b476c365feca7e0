"""Search for the packages in a tree: directories with a Kptfile; all files below one belong to it.

Source: docs/reference/porch-git-layout.md, "What is a package".
"""

from collections.abc import Callable, Iterator

import pygit2
from pygit2.enums import FileMode

from porchflow.api.limits import BRANCH_DIRECTORIES, BRANCH_PACKAGES, PACKAGE_DEPTH
from porchflow.gitrepo.store.bounds import Bounds, Limits
from porchflow.gitrepo.store.trees import subtree, tree_at

_LIMITS = Limits(files=BRANCH_PACKAGES, directories=BRANCH_DIRECTORIES)

Tell = Callable[[str], None]


def find_packages(
    repo: pygit2.Repository, root: pygit2.Oid, directory: str, tell: Tell
) -> Iterator[tuple[str, pygit2.Oid]]:
    """Find every package below a directory.

    Symbolic links and submodules are never followed: a link to a directory holds no package, and a submodule is another
    repository's content.

    Args:
        repo: Holds the trees.
        root: The tree of a commit.
        directory: The directory to search; empty for the root.
        tell: Called with a message for each entry that was left out.

    Yields:
        Path below the directory, and tree, of each package.

    Raises:
        GitQuotaExceeded: There are more packages or directories than the limits allow.
    """
    start = subtree(repo, root, directory) if directory else root
    if start is None:
        return
    where = directory or "the root of the repository"
    kptfile = _kptfile(tree_at(repo, start))
    if kptfile is not None and kptfile.filemode != FileMode.LINK:
        tell(f"{where} is a package itself, which has no name here: move it to a directory below")
        return
    yield from _Search(repo, directory, tell).below(start)


class _Search:
    def __init__(self, repo: pygit2.Repository, directory: str, tell: Tell) -> None:
        self._repo = repo
        self._prefix = f"{directory}/" if directory else ""
        self._tell = tell
        self._barren: set[pygit2.Oid] = set()
        self._bounds = Bounds("the branch", _LIMITS, unit="packages", mend="set spec.git.directory")

    def below(self, start: pygit2.Oid) -> Iterator[tuple[str, pygit2.Oid]]:
        yield from self._look(start, "", 0)

    def _look(self, tree: pygit2.Oid, path: str, depth: int) -> Iterator[tuple[str, pygit2.Oid]]:
        """Search the sub-directories of a directory that is no package."""
        if tree in self._barren:
            return
        if depth > PACKAGE_DEPTH:
            self._tell(f"{self._prefix}{path}: deeper than {PACKAGE_DEPTH} directories; not looked at")
            return
        self._bounds.enter(path, depth)
        before = self._bounds.files
        for entry in tree_at(self._repo, tree):
            name = f"{path}/{entry.name}" if path else str(entry.name)
            if entry.filemode == FileMode.COMMIT:
                self._tell(f"{self._prefix}{name} is a submodule; what it names is not looked at")
            elif entry.filemode == FileMode.TREE:
                yield from self._enter(entry.id, name, depth)
        if self._bounds.files == before:
            # A tree without packages is searched once, however often it occurs.
            self._barren.add(tree)

    def _enter(self, tree: pygit2.Oid, path: str, depth: int) -> Iterator[tuple[str, pygit2.Oid]]:
        kptfile = _kptfile(tree_at(self._repo, tree))
        if kptfile is not None and kptfile.filemode in {FileMode.BLOB, FileMode.BLOB_EXECUTABLE}:
            self._bounds.add(path)
            yield path, tree
            return
        if kptfile is not None and kptfile.filemode == FileMode.LINK:
            self._tell(f"{self._prefix}{path}/Kptfile is a symbolic link, which is not followed: make it a file")
        yield from self._look(tree, path, depth + 1)


def _kptfile(tree: pygit2.Tree) -> pygit2.Object | None:
    return tree["Kptfile"] if "Kptfile" in tree else None  # noqa: SIM401 - a Tree has no get
