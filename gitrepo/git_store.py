"""Packages in Git: what the activities call."""

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from porchflow.gitrepo.git_settings import GitSettings
from porchflow.gitrepo.push.changes import Change, PushResult
from porchflow.gitrepo.push.connection import Connection
from porchflow.gitrepo.push.connections import Connections, configure_libgit2
from porchflow.gitrepo.reading import PackageReader
from porchflow.gitrepo.refs import UNNUMBERED, InvalidName, PackageLocation, branch_ref, short_ref
from porchflow.gitrepo.remote.remote import Remote
from porchflow.gitrepo.remote.stats import GitStats
from porchflow.gitrepo.store.commit_messages import TaskType, content_message
from porchflow.gitrepo.store.commits import DEFAULT_AUTHOR, Author
from porchflow.gitrepo.store.drafts import CommitOnDraft, Content, CreateDraft, Draft, EnsureBranch
from porchflow.gitrepo.store.object_copy import missing
from porchflow.gitrepo.store.package_state import PackageState
from porchflow.gitrepo.store.publishing import Delete, DeleteFromBranch
from porchflow.gitrepo.store.snapshots import Edit, Snapshot, Stored, edit_tree
from porchflow.gitrepo.store.transition import Choose, Step, Transition, Transitioned
from porchflow.gitrepo.store.trees import Files, write_files

__all__ = ["Draft", "GitStore", "PackageState", "Step", "Transitioned"]

T = TypeVar("T")


class GitStore(PackageReader):
    """Packages in remote Git repositories, with a cache that may be deleted at any time.

    Belongs to one event loop. Nothing here blocks it: Git's work runs on threads of the store. Every method raises
    `GitError` (`gitrepo/errors.py`) that says which repository or ref and why, and `InvalidName` for names and paths
    that Git or a package cannot have.
    """

    def __init__(
        self,
        cache_dir: Path,
        *,
        threads: int = 8,
        network_threads: int = 32,
        group_limit: int = 100,
        connect_timeout: float = 10.0,
        server_timeout: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take a sub-folder of `cache_dir`, which other processes may share.

        Args:
            cache_dir: GIT_CACHE_DIR.
            threads: Threads that read and write objects.
            network_threads: Threads that wait for servers: so many remotes can hang before others have to wait.
            group_limit: Changes in one push.
            connect_timeout: Seconds until a server must accept a connection; libgit2 keeps it for the process.
            server_timeout: Seconds that a server may be silent, its hooks included; kept for the process.
            clock: Seconds, by which credentials have to prove themselves again; never goes back.
        """
        configure_libgit2(connect_timeout=connect_timeout, server_timeout=server_timeout)
        super().__init__()
        self._connections = Connections(
            cache_dir, threads=threads, network_threads=network_threads, group_limit=group_limit, clock=clock
        )

    @classmethod
    def of(cls, settings: GitSettings) -> Self:
        """Return a store as the settings say."""
        return cls(settings.cache_dir.expanduser(), threads=settings.threads, server_timeout=settings.timeout)

    async def aclose(self) -> None:
        """Drop what waits, wait for what is under way (at most as long as the timeouts), free the cache folder."""
        await self._connections.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    @property
    def stats(self) -> GitStats:
        """Counts since the start."""
        return self._connections.stats(bytes_read=self.bytes_read)

    # The cache

    @property
    def cache_path(self) -> Path:
        """The folder that this process keeps its caches in."""
        return self._connections.path

    async def forget(self, url: str) -> None:
        """Delete what is kept of a repository that nobody seems to need any more; what is used now stays."""
        with contextlib.suppress(InvalidName):
            place = Remote(url).place
            self._discovered.pop(place, None)
            await self._connections.forget(place)

    # Changes

    async def ensure_branch(self, remote: Remote, branch: str, *, create_branch: bool = False) -> str | None:
        """Check that the branch exists; make it with one commit if asked to.

        Returns:
            The branch's commit; None in a repository that is still empty.

        Raises:
            GitNotFound: The branch does not exist.
        """
        change = EnsureBranch(branch, create_branch)
        refs = await self._connection(remote).refs()
        tip = refs.get(branch_ref(branch))
        if tip is not None:
            return str(tip)
        await self._push(remote, change)
        return change.tip

    async def create_draft(
        self,
        remote: Remote,
        branch: str,
        location: PackageLocation,
        files: Files | Edit,
        *,
        task: TaskType,
        author: Author = DEFAULT_AUTHOR,
        create_branch: bool = False,
        rendered: bool = False,
    ) -> Draft:
        """Make the draft of a new revision: one commit on top of the branch.

        With `rendered` its message says that functions made the content what it is.

        A draft or proposal of this workspace that the same task made already is the result, with `existing` True.
        Stored files of an edit come from whichever repository its snapshots are of.

        Raises:
            GitConflict: The draft exists with another origin, or the workspace is published already.
            GitPackageExists: The task begins anew what the branch or a tag holds already.
            GitPackageOverlap: Another package lies above or below this one.
            GitNotFound: The branch does not exist.
        """
        location.check_new()
        connection = self._connection(remote)
        content = await self._write(remote, files)
        change = CreateDraft(connection.knowledge, location, branch, content, task, author, create_branch, rendered)
        await self._push(remote, change)
        return _result(change.result)

    async def commit_on_draft(
        self,
        remote: Remote,
        location: PackageLocation,
        files: Files | Edit,
        *,
        expected_parent: str,
        task: TaskType,
        author: Author = DEFAULT_AUTHOR,
    ) -> str:
        """Commit the package's new files on its draft.

        Equal files make no commit. The commit that an interrupted attempt made is recognized.

        Returns:
            The draft's commit.

        Raises:
            GitConflict: The draft is not at `expected_parent` any more, or is proposed.
            GitNotFound: There is no draft.
        """
        content = await self._write(remote, files)
        message = content_message(task, location.path, location.workspace)
        change = CommitOnDraft(location, content, expected_parent, message, author)
        await self._push(remote, change)
        return _result(change.result)

    async def transition(
        self,
        remote: Remote,
        branch: str,
        location: PackageLocation,
        choose: Choose,
        *,
        author: Author = DEFAULT_AUTHOR,
        tag_hint: str | None = None,
        commit_hint: str | None = None,
        create_branch: bool = False,
        moves_branch: bool = True,
        approver: str = "",
    ) -> Transitioned:
        """Find out where a revision is and make the step that this asks for, over one connection.

        Every step is finished where an interrupted attempt began it, and changes nothing where it is made already.

        Args:
            remote: The repository.
            branch: The Repository's branch.
            location: The package and its workspace.
            choose: Says which step; what it raises is raised here, and nothing is changed then.
            author: Author of a merge.
            tag_hint: As for `state`.
            commit_hint: As for `state`.
            create_branch: Make the branch where it is missing.
            moves_branch: Whether a step that `choose` may name merges into the branch.
            approver: Who approved what is published, for the merge's message; empty where nobody knows.

        Raises:
            GitConflict: Draft and proposal both exist and differ.
            GitPackageExists: What is published first begins anew what was published meanwhile.
            GitPackageOverlap: Another package came to lie above or below meanwhile.
            GitNotFound: There is no branch, draft, proposal or published revision to make the step with.
            GitHookDeclined: The server refused. What one that cannot take a push as a whole did of it was taken back,
                but for a branch that moved: publishing again then makes the tag only.
        """
        knowledge = self._connection(remote).knowledge
        change = Transition(
            knowledge,
            location,
            branch,
            choose,
            author,
            create_branch,
            tag_hint=tag_hint,
            commit_hint=commit_hint,
            moves_branch=moves_branch,
            approver=approver,
        )
        await self._push(remote, change)
        return _result(change.result)

    async def delete(
        self,
        remote: Remote,
        branch: str,
        location: PackageLocation,
        *,
        author: Author = DEFAULT_AUTHOR,
        revision: int | None = None,
        published: bool = True,
    ) -> bool:
        """Delete what a workspace has: draft, proposal, tag, deletion mark. What the branch holds stays.

        Args:
            remote: The repository.
            branch: The Repository's branch.
            location: The package and its workspace.
            author: Author of the commit that removes a package from the branch.
            revision: `status.revision`. -1 with the branch as workspace means the package on the branch: its directory
                is removed there. Never guessed from the names, because a repeated deletion of a draft called like the
                branch would take the package with it.

            published: Whether the workspace was ever published; else a tag that seems to be its own is left alone.

        Returns:
            Whether there was anything to delete.
        """
        if revision == UNNUMBERED and location.workspace == branch:
            removal = DeleteFromBranch(location, branch, author)
            await self._push(remote, removal)
            return removal.changed
        change = Delete(self._connection(remote).knowledge, location, _tag_hint(location, revision), published)
        await self._push(remote, change)
        return change.changed

    async def _write(self, remote: Remote, files: Files | Edit) -> Content:
        connection, limits = self._connection(remote), self._limits
        if not isinstance(files, Edit):
            return Content(files, await connection.local(lambda repo: write_files(repo, files, limits)))
        named = {file.id for file in files.changes.values() if isinstance(file, Stored)}
        await self._bring(files.base, remote, [files.base.tree])
        for other in files.others:
            own = {file.id for file in other.files.values()}
            await self._bring(other, remote, sorted(named & own))
        return Content(files, await connection.local(lambda repo: edit_tree(repo, files, limits)))

    async def _bring(self, snapshot: Snapshot, remote: Remote, roots: list[str]) -> None:
        """Make stored objects available in the local repository of another remote."""
        target = self._connection(remote)
        if await target.local(lambda repo: not missing(repo, roots)):
            return
        source = self._connection(snapshot.remote)
        # Fetched again where the local repository was made anew since.
        await source.commit(snapshot.commit, lambda _: None)
        if snapshot.remote.place != remote.place:
            self.bytes_read += await source.carry(target, roots, self.cache_path)

    async def _push(self, remote: Remote, change: Change) -> PushResult:
        return await self._connection(remote).push(change)

    def _connection(self, remote: Remote) -> Connection:
        return self._connections.to(remote)


def _tag_hint(location: PackageLocation, revision: int | None) -> str | None:
    return short_ref(location.tag_ref(revision)) if revision and revision > 0 else None


def _result(result: T | None) -> T:
    if result is None:
        raise AssertionError("a change that went through has a result")
    return result
