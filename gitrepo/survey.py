"""Survey of a whole repository: its packages and their Kptfiles."""

from collections.abc import Sequence
from dataclasses import dataclass

import pygit2

from porchflow.api.limits import KPTFILE_BYTES, SUBPACKAGE_UPSTREAMS
from porchflow.gitrepo.discovery.discover import Discovery, DiscoveryKnowledge, digest_of, discover, relevant_refs
from porchflow.gitrepo.errors import GitQuotaExceeded
from porchflow.gitrepo.push.connection import Connection
from porchflow.gitrepo.refs import branch_ref
from porchflow.gitrepo.remote.transport import BRANCHES_AND_TAGS
from porchflow.gitrepo.store.bounds import Limits, read_blob
from porchflow.gitrepo.store.package_state import contains
from porchflow.gitrepo.store.ref_view import RefView
from porchflow.gitrepo.store.trees import InvalidContent, Mode, commit_at, list_files, tree_at


@dataclass(frozen=True)
class Survey:
    """Result of a survey.

    Attributes:
        digest: Digest of the refs that were read; an equal digest means an equal result.
        discovery: The package revisions.
    """

    digest: str
    discovery: Discovery


async def survey(connection: Connection, knowledge: DiscoveryKnowledge, branch: str, directory: str) -> Survey:
    """List the refs, fetch missing objects, and find all packages.

    Raises:
        GitError: The remote fails, or holds too much (`GitQuotaExceeded`).
    """
    # The history of the branch has the commits of most tags. A fetch that names all tags takes time quadratic in their
    # number.
    await connection.view([branch_ref(branch)], lambda _: [branch_ref(branch)], lambda *_: None)

    def read(repo: pygit2.Repository, view: RefView) -> Survey:
        found = discover(repo, view.remote_refs, knowledge, branch, directory)
        return Survey(digest_of(view.remote_refs, branch, directory), found)

    return await connection.view(
        BRANCHES_AND_TAGS, lambda view: relevant_refs(view.remote_refs, branch, directory), read
    )


async def holds_commit(connection: Connection, tip: str, commit: str) -> bool:
    """Return whether the history of `tip`, which was fetched before, holds a commit."""

    def read(repo: pygit2.Repository) -> bool:
        return commit in repo and contains(repo, pygit2.Oid(hex=tip), pygit2.Oid(hex=commit))

    return await connection.local(read)


@dataclass(frozen=True)
class PackageContent:
    """What a package holds.

    Attributes:
        size: Bytes of all files.
        kptfiles: Kptfiles of its subpackages, by path; of many the first ones.
    """

    size: int
    kptfiles: dict[str, bytes]


async def read_kptfiles(connection: Connection, trees: Sequence[str]) -> list[bytes | None]:
    """Read the Kptfiles of packages that a survey found; None for one that exceeds the limit."""

    def read(repo: pygit2.Repository) -> list[bytes | None]:
        return [kptfile_of(repo, tree) for tree in trees]

    return await connection.local(read)


async def package_contents(connection: Connection, trees: Sequence[str], limits: Limits) -> list[PackageContent | None]:
    """Return what packages that a survey found hold; None for one that exceeds the limits."""

    def read(repo: pygit2.Repository) -> list[PackageContent | None]:
        return [_package_content(repo, tree, limits) for tree in trees]

    return await connection.local(read)


def _package_content(repo: pygit2.Repository, tree: str, limits: Limits) -> PackageContent | None:
    try:
        files = list_files(repo, pygit2.Oid(hex=tree), f"tree {tree}", limits)
        below = [file for file in files if file.path.endswith("/Kptfile") and file.mode is not Mode.SYMLINK]
        kptfiles = {
            file.path: read_blob(repo, file.oid, file.size, file.path)
            # One more than a status lists, so that it can say that some are left out.
            for file in below[: SUBPACKAGE_UPSTREAMS + 1]
            if file.size <= KPTFILE_BYTES
        }
        return PackageContent(sum(file.size for file in files), kptfiles)
    except (GitQuotaExceeded, InvalidContent):
        # The content itself says what is wrong with it, once it is read.
        return None


async def same_content(connection: Connection, places: Sequence[tuple[str, str, str]]) -> list[bool]:
    """Return for each commit, directory and tree whether the commit holds that tree in that directory.

    A commit that the local repository lacks, as after a rewrite of the branch, holds nothing.
    """

    def read(repo: pygit2.Repository) -> list[bool]:
        # One read for each commit: libgit2 does not cache large trees, and the root of many packages is one.
        roots: dict[str, pygit2.Tree | None] = {}
        return [_holds(repo, roots, *place) for place in places]

    return await connection.local(read)


def _holds(repo: pygit2.Repository, roots: dict[str, pygit2.Tree | None], commit: str, path: str, tree: str) -> bool:
    if commit not in roots:
        known = commit and commit in repo
        roots[commit] = commit_at(repo, pygit2.Oid(hex=commit)).tree if known else None
    root = roots[commit]
    return root is not None and path in root and str(root[path].id) == tree


def kptfile_of(repo: pygit2.Repository, tree: str) -> bytes | None:
    """Read the Kptfile of a package, by the package's tree; None for one that exceeds the limit."""
    entry = tree_at(repo, pygit2.Oid(hex=tree))["Kptfile"]
    try:
        return read_blob(repo, entry.id, KPTFILE_BYTES, f"Kptfile of tree {tree}")
    except GitQuotaExceeded:
        return None
