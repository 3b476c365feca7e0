"""The interface to packages in Git, for activities and the content API."""

import contextlib
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from porchflow.api.limits import GIT_REQUEST_SECONDS
from porchflow.api.networks import DeniedNetworks
from porchflow.gitrepo.git_settings import GitSettings
from porchflow.gitrepo.push.changes import Change, PushResult
from porchflow.gitrepo.push.connection import Connection
from porchflow.gitrepo.push.connections import Connections, configure_libgit2
from porchflow.gitrepo.reading import PackageReader
from porchflow.gitrepo.refs import UNNUMBERED, InvalidName, PackageLocation, branch_ref, branch_workspace, short_ref
from porchflow.gitrepo.remote.call import Timeouts
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
from porchflow.gitrepo.survey import PackageContent

__all__ = ["Draft", "GitStore", "PackageContent", "PackageState", "Step", "Transitioned"]

T = TypeVar("T")


class GitStore(PackageReader):
    """Packages in remote Git repositories, with a cache that may be deleted at any time.

    A store belongs to one event loop, and never blocks it: Git operations run on threads of the store. Every method
    raises a subclass of `GitError` (`gitrepo/errors.py`), which names the repository or ref and the cause, and
    `InvalidName` for names and paths that Git or a package cannot have.
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
        request_timeout: float = GIT_REQUEST_SECONDS,
        denied_upstreams: Iterable[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create a store over a sub-folder of `cache_dir` that no other process uses.

        Args:
            cache_dir: Folder of the caches of all processes on this machine.
            threads: Threads that read and write objects.
            network_threads: Threads that wait for servers: so many remotes can hang before others have to wait.
            group_limit: Changes in one push.
            connect_timeout: Seconds until a server must accept a connection.
            server_timeout: Seconds that a server may be silent, its hooks included.
            request_timeout: Seconds that a whole request may take.
            denied_upstreams: Networks that no server may be in whose address an author of packages chose
                (`Remote.is_chosen`).
            clock: Seconds, by which credentials have to prove themselves again; never goes back.
        """
        configure_libgit2()
        super().__init__()
        self._connections = Connections(
            cache_dir,
            threads=threads,
            network_threads=network_threads,
            group_limit=group_limit,
            timeouts=Timeouts(connect_timeout, server_timeout, request_timeout),
            denied=DeniedNetworks(denied_upstreams),
            clock=clock,
        )

    @classmethod
    def of(cls, settings: GitSettings, *, serves_authors: bool = False) -> Self:
        """Create a store from settings.

        Args:
            settings: The settings.
            serves_authors: Whether it reads what authors of packages choose, on their behalf and from a network that
                is not theirs. The denied upstreams count only then.
        """
        return cls(
            settings.cache_dir.expanduser(),
            threads=settings.threads,
            server_timeout=settings.timeout,
            denied_upstreams=settings.denied_upstreams if serves_authors else (),
        )

    async def aclose(self) -> None:
        """Drop waiting changes, wait for operations under way (the timeouts bound them), and release the folder."""
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
        """Folder of this process's caches."""
        return self._connections.path

    async def forget(self, url: str) -> None:
        """Delete the cache of a repository that seems unused; a cache that is in use stays."""
        with contextlib.suppress(InvalidName):
            place = Remote(url).place
            self._discovered.pop(place, None)
            await self._connections.forget(place)

    # Changes

    async def ensure_branch(self, remote: Remote, branch: str, *, create_branch: bool = False) -> str | None:
        """Check that the branch exists; with `create_branch`, make a missing one with one commit.

        Returns:
            The branch's commit; None in an empty repository.

        Raises:
            GitNotFound: The branch does not exist.
        """
        change = EnsureBranch(branch, create_branch)
        refs = await self._connection(remote).refs([branch_ref(branch)])
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
        """Make the draft of a package revision: one commit on top of the branch.

        If the same task made a draft or proposal of this workspace before, that is the result, with `existing` True.

        Args:
            remote: The repository.
            branch: The Repository's branch.
            location: The package and its workspace.
            files: The content; the stored files of an edit may be of other repositories.
            task: Origin of the content.
            author: Author of the commit.
            create_branch: Make the branch if it is missing.
            rendered: Whether the content is rendered; the commit's message then records it.

        Raises:
            GitConflict: The draft exists with another origin, or the workspace is published already.
            GitPackageExists: The task is init or clone, and the branch or a tag holds the package already.
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
        operation: str = "",
    ) -> str:
        """Commit the files of a package on its draft.

        Equal files make no commit. If an interrupted attempt made the commit already, that is the result.

        Args:
            remote: The repository.
            location: The package and its workspace.
            files: The content; the stored files of an edit may be of other repositories.
            expected_parent: The commit that the content is based on.
            task: What the commit is made for.
            author: Author of the commit.
            operation: Digest of the subpackage operation that the commit is made for; empty for none.

        Returns:
            The draft's commit.

        Raises:
            GitConflict: The draft is not at `expected_parent` any more, or is proposed.
            GitNotFound: There is no draft.
        """
        content = await self._write(remote, files)
        message = content_message(task, location.path, location.workspace, operation=operation)
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
        """Read the state of a revision and make the step that `choose` names for it, over one connection.

        A step that an interrupted attempt began is finished; a step that was made already changes nothing.

        Args:
            remote: The repository.
            branch: The Repository's branch.
            location: The package and its workspace.
            choose: Names the step. Its errors are raised here; nothing is changed then.
            author: Author of a merge.
            tag_hint: As for `state`.
            commit_hint: As for `state`.
            create_branch: Make the branch if it is missing.
            moves_branch: Whether a step that `choose` may name merges into the branch.
            approver: Name of the user who approved a publish, for the message of the merge; empty if unknown.

        Raises:
            GitConflict: Draft and proposal both exist and differ.
            GitPackageExists: The draft is from init or clone, and its package was published meanwhile.
            GitPackageOverlap: A package was published above or below meanwhile.
            GitNotFound: There is no branch, draft, proposal or published revision for the step.
            GitHookDeclined: The server refused. The refs that a server without atomic pushes updated before are reset,
                except a branch that moved: the next publish then only makes the tag.
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
        """Delete all refs of a workspace: draft, proposal, tag, deletion mark. The content of the branch stays.

        Args:
            remote: The repository.
            branch: The Repository's branch.
            location: The package and its workspace.
            author: Author of the commit that removes a package from the branch.
            revision: `status.revision`. -1 with the branch's workspace means the package on the branch: its directory
                is removed there. Names alone do not mean that: a repeated deletion of a draft with the branch's name
                would also delete the package.
            published: Whether the workspace was ever published; if not, a tag that seems to be its own stays.

        Returns:
            Whether any ref or directory was deleted.
        """
        if revision == UNNUMBERED and location.workspace == branch_workspace(branch):
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
        # The commit is fetched again if the local repository was made again since the snapshot.
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
