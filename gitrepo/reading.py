"""The reading half of `GitStore`: refs, the state of revisions, and the content of packages."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

import pygit2
from pygit2.enums import ObjectType

from porchflow.gitrepo.discovery.discover import DiscoveryKnowledge, digest_of
from porchflow.gitrepo.errors import GitNotFound
from porchflow.gitrepo.push.connection import Connection
from porchflow.gitrepo.refs import HEADS, TAGS, PackageLocation, branch_ref
from porchflow.gitrepo.remote.remote import Remote
from porchflow.gitrepo.store.bounds import DEFAULT_LIMITS
from porchflow.gitrepo.store.commit_messages import TaskType
from porchflow.gitrepo.store.drafts import Draft, draft_refs, made_by, operations_since
from porchflow.gitrepo.store.neighbours import Neighbours
from porchflow.gitrepo.store.package_state import PackageState, needed_refs, read_state, state_prefixes, tags_of
from porchflow.gitrepo.store.ref_view import RefView
from porchflow.gitrepo.store.snapshots import Snapshot, read_stored, take_snapshot
from porchflow.gitrepo.store.transition import task_of
from porchflow.gitrepo.store.trees import Files, commit_at, read_package
from porchflow.gitrepo.survey import (
    PackageContent,
    Survey,
    holds_commit,
    package_contents,
    read_kptfiles,
    same_content,
    survey,
)


class PackageReader(ABC):
    """The half of a `GitStore` that changes nothing; see there for errors.

    Attributes:
        bytes_read: Bytes of package content that were read into this process's memory.
    """

    def __init__(self) -> None:
        self._limits = DEFAULT_LIMITS
        self.bytes_read = 0
        self._discovered: dict[str, DiscoveryKnowledge] = {}

    @abstractmethod
    def _connection(self, remote: Remote) -> Connection:
        """Return the process's connection to a remote."""

    async def list_refs(self, remote: Remote) -> dict[str, str]:
        """Return the commit ids of branches and tags by full ref name. Concurrent callers share one request."""
        return dict((await self._connection(remote).refs()).ids)

    async def state(
        self,
        remote: Remote,
        branch: str,
        location: PackageLocation,
        *,
        tag_hint: str | None = None,
        commit_hint: str | None = None,
    ) -> PackageState:
        """Return the state of a revision in Git, from one listing of the refs.

        Args:
            remote: The repository.
            branch: The Repository's branch.
            location: The package and its workspace.
            tag_hint: `status.selfLock.ref` of a published revision; the package's tags are not read then.
            commit_hint: `status.selfLock.commit`; it finds a revision whose publish was interrupted.
        """
        connection = self._connection(remote)

        async def read() -> PackageState:
            return await connection.view(
                state_prefixes(location, branch, tag_hint),
                lambda view: needed_refs(view, location, branch, tag_hint),
                lambda repo, view: read_state(
                    repo, view, connection.knowledge, location, branch, tag_hint=tag_hint, commit_hint=commit_hint
                ),
            )

        state = await read()
        # One list alone may lack what exists: see `RefView.believe_absent`.
        return state if state.lifecycle else await read()

    async def draft_made_by(
        self, remote: Remote, branch: str, location: PackageLocation, task: TaskType
    ) -> Draft | None:
        """Return the draft or proposal that a task made; None if there is none, or it has another origin."""

        def read(repo: pygit2.Repository, view: RefView) -> Draft | None:
            return made_by(repo, view, branch, location, task)

        names = draft_refs(location, branch)
        return await self._connection(remote).view(names, lambda _: names, read)

    async def resolve(self, remote: Remote, ref: str, directory: str = "") -> str:
        """Return the commit that a ref of an upstream means.

        Source: docs/reference/porch-git-layout.md, "Refs of an upstream".

        Args:
            remote: The repository.
            ref: Tag, branch or full commit id, tried in this order; each with `directory` before it first.
            directory: The upstream package's directory.

        Raises:
            GitNotFound: The repository has no such ref.
        """
        connection = self._connection(remote)
        prefix = f"{directory.strip('/')}/" if directory.strip("/") else ""
        candidates = [base + name for name in dict.fromkeys((prefix + ref, ref)) for base in (TAGS, HEADS)]

        def read(_: pygit2.Repository, view: RefView) -> str | None:
            found = next((commit for name in candidates if (commit := view.commit(name))), None)
            return str(found.id) if found else None

        found = await connection.view(
            candidates, lambda view: [name for name in candidates if view.get(name)][:1], read
        )
        if found:
            return found
        if _is_commit_id(ref):
            return await connection.commit(ref, lambda repo: str(_as_commit(repo, remote, ref).id))
        raise GitNotFound(f"{remote.display} has no branch, tag or commit {ref!r}")

    async def read_package(self, remote: Remote, commit: str, path: str) -> Files:
        """Read the files of a package.

        Args:
            remote: The repository.
            commit: Full commit id.
            path: The package's directory in the repository.

        Raises:
            GitNotFound: There is no such commit or directory.
            GitQuotaExceeded: The package is larger than the limits.
            InvalidContent: The package holds a submodule.
        """
        if not _is_commit_id(commit):
            raise GitNotFound(f"{commit!r} is no commit id")
        limits = self._limits
        files = await self._connection(remote).commit(
            commit, lambda repo: read_package(repo, pygit2.Oid(hex=commit), path, limits)
        )
        self.bytes_read += sum(len(file.data) for file in files.values())
        return files

    async def snapshot(self, remote: Remote, commit: str, path: str) -> Snapshot:
        """List the files of a package without reading them; arguments and errors are those of `read_package`.

        Args:
            remote: The repository.
            commit: Full commit id.
            path: The package's directory; empty for the repository's root.
        """
        if not _is_commit_id(commit):
            raise GitNotFound(f"{commit!r} is no commit id")
        limits = self._limits
        return await self._connection(remote).commit(
            commit, lambda repo: take_snapshot(repo, remote, _as_commit(repo, remote, commit).id, path, limits)
        )

    async def read_files(self, snapshot: Snapshot, paths: Iterable[str]) -> dict[str, bytes]:
        """Read files of a package, by path; the content of a symbolic link is its target."""
        wanted = {path: snapshot.files[path] for path in paths}
        if not wanted:
            return {}
        connection = self._connection(snapshot.remote)
        files = await connection.commit(snapshot.commit, lambda repo: read_stored(repo, wanted))
        self.bytes_read += sum(map(len, files.values()))
        return files

    async def fetch(self, remote: Remote, commits: Sequence[str]) -> None:
        """Fetch commits before their packages are read: one request to the server instead of one for each.

        Raises:
            GitNotFound: A commit does not exist; the others may have been fetched or not.
        """
        await self._connection(remote).fetch(commits)

    async def task_of(self, remote: Remote, commit: str, location: PackageLocation) -> str:
        """Return the task that made a commit of a draft: a `TaskType`; empty for a commit that porchflow did not make.

        Raises:
            GitNotFound: There is no such commit.
        """
        return await self._connection(remote).commit(commit, lambda repo: task_of(repo, commit, location))

    async def packages_below(self, remote: Remote, branch: str, location: PackageLocation) -> list[str]:
        """Return the paths of the independent packages below a package, within the package, parents first.

        Their files are no part of its content, and a publish keeps them as the branch has them.

        Args:
            remote: The repository.
            branch: The Repository's branch.
            location: The package.
        """

        def needs(view: RefView) -> list[str]:
            return [branch_ref(branch), *(tag.ref for tag in tags_of(view, location))]

        def read(repo: pygit2.Repository, view: RefView) -> list[str]:
            tip = view.commit(branch_ref(branch))
            neighbours = Neighbours(repo, view, location, branch, tip.tree_id if tip is not None else None)
            return [below.removeprefix(f"{location.path}/") for below in neighbours.kept]

        prefixes = [branch_ref(branch), location.tag_prefix]
        return await self._connection(remote).view(prefixes, needs, read)

    async def operations_since(self, remote: Remote, tip: str, reported: str) -> set[str]:
        """Return the digests of the subpackage operations that were done on a draft after the reported commit.

        Args:
            remote: The repository.
            tip: The draft's newest commit.
            reported: The commit in the last report; empty without one.

        Raises:
            GitNotFound: There is no such tip.
        """
        return await self._connection(remote).commit(
            tip, lambda repo: operations_since(repo, pygit2.Oid(hex=tip), reported)
        )

    # Whole repositories

    async def refs_digests(self, remote: Remote, places: Sequence[tuple[str, str]]) -> list[str]:
        """Return for each branch and directory a digest of the refs that a survey reads there.

        An equal digest means an equal result. The refs are listed once for all places.
        """
        refs = await self._connection(remote).refs()
        # Each looks at every ref: of many places together that would hold up the event loop for seconds.
        return [await asyncio.to_thread(digest_of, refs, branch, directory) for branch, directory in places]

    async def survey(self, remote: Remote, branch: str, directory: str) -> Survey:
        """Find all package revisions below a directory; see `porchflow.gitrepo.survey.survey`.

        Args:
            remote: The repository.
            branch: The Repository's branch.
            directory: The Repository's directory.
        """
        knowledge = self._discovered.setdefault(remote.place, DiscoveryKnowledge())
        return await survey(self._connection(remote), knowledge, branch, directory)

    async def read_kptfiles(self, remote: Remote, trees: Sequence[str]) -> list[bytes | None]:
        """Read the Kptfiles of packages that a survey found, by the packages' trees."""
        return await read_kptfiles(self._connection(remote), trees)

    async def package_contents(self, remote: Remote, trees: Sequence[str]) -> list[PackageContent | None]:
        """Return what packages that a survey found hold, by the packages' trees; None for one beyond the limits."""
        return await package_contents(self._connection(remote), trees, self._limits)

    async def holds_commit(self, remote: Remote, tip: str, commit: str) -> bool:
        """Return whether the history of `tip`, the branch in a survey, holds a commit."""
        return await holds_commit(self._connection(remote), tip, commit)

    async def same_content(self, remote: Remote, places: Sequence[tuple[str, str, str]]) -> list[bool]:
        """Return for each commit, directory and tree whether the commit holds that tree in that directory."""
        return await same_content(self._connection(remote), places)


def _is_commit_id(text: str) -> bool:
    return len(text) == 40 and all(char in "0123456789abcdef" for char in text)  # noqa: PLR2004 - SHA-1 in hexadecimal


def _as_commit(repo: pygit2.Repository, remote: Remote, commit: str) -> pygit2.Commit:
    """Read a commit by an id that a user wrote, which may be of any object.

    Raises:
        GitNotFound: The id is of another kind of object.
    """
    oid = pygit2.Oid(hex=commit)
    if repo.odb.read_header(oid)[0] not in {ObjectType.COMMIT, ObjectType.TAG}:
        raise GitNotFound(f"{commit} of {remote.display} is no commit")
    return commit_at(repo, oid)
