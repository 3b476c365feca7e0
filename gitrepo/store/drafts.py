"""Changes to drafts and proposals. Each is level-triggered: a change that was made already succeeds again."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import pygit2

from porchflow.api.limits import DRAFT_COMMITS
from porchflow.api.models.packagerevision import Lifecycle
from porchflow.gitrepo.errors import GitBranchMissing, GitConflict, GitNotFound, GitUnavailable
from porchflow.gitrepo.refs import DELETION_PROPOSED, DRAFTS, HEADS, PROPOSED, PackageLocation, branch_ref, short_ref
from porchflow.gitrepo.remote.transport import RefUpdate
from porchflow.gitrepo.store.commit_messages import (
    BRANCH_MESSAGE,
    TaskType,
    content_message,
    operation_of,
    parse_annotations,
    says_rendered,
)
from porchflow.gitrepo.store.commits import COMMITTER, Author, create_commit, is_ours
from porchflow.gitrepo.store.neighbours import Neighbours
from porchflow.gitrepo.store.package_state import Knowledge, PackageState, tags_of
from porchflow.gitrepo.store.ref_view import RefView
from porchflow.gitrepo.store.snapshots import Edit
from porchflow.gitrepo.store.trees import File, Files, commit_at, replace_directory, write_files

_README = b"Created by porch"


BEGINNINGS = frozenset({TaskType.INIT, TaskType.CLONE})
"""Tasks whose content replaces the package's, without regard to it."""


@dataclass(frozen=True)
class Draft:
    """The draft of a task.

    Attributes:
        commit: Its newest commit.
        ref: Its short ref: `drafts/P/w`, or `proposed/P/w` if it is proposed already.
        existing: Whether an earlier call made it.
        rendered: Whether its newest commit is the task's own, and its message states that the content was rendered.
    """

    commit: str
    ref: str
    existing: bool = False
    rendered: bool = False


@dataclass(frozen=True)
class Content:
    """A package's content, with the id of its tree in the local repository."""

    files: Files | Edit
    tree: pygit2.Oid

    def tree_in(self, repo: pygit2.Repository) -> pygit2.Oid:
        """Return the tree; write it again if the local repository was made again meanwhile.

        Raises:
            GitUnavailable: The content is an edit, and the local repository no longer holds its stored files.
        """
        if self.tree in repo:
            return self.tree
        if isinstance(self.files, Edit):
            raise GitUnavailable("the local Git cache was made again while a package was put together; trying again")
        return write_files(repo, self.files)


@dataclass
class CreateDraft:
    """The first commit of a new draft, on top of the branch."""

    moves_branch: ClassVar[bool] = False
    knowledge: Knowledge
    location: PackageLocation
    branch: str
    content: Content
    task: TaskType
    author: Author
    create_branch: bool
    rendered: bool = False
    result: Draft | None = None

    def needs(self, refs: RefView) -> Iterable[str]:
        """Name the branch, the draft and proposal of the revision, and all tags of the package."""
        location = self.location
        tags = [tag.ref for tag in tags_of(refs, location)]
        return [branch_ref(self.branch), location.draft_ref, location.proposed_ref, *tags]

    def build(self, repo: pygit2.Repository, refs: RefView) -> Sequence[RefUpdate]:
        """Make the commit, unless the task made the draft already."""
        location = self.location
        for ref in (location.draft_ref, location.proposed_ref):
            if refs.get(ref):
                self.result = made_by(repo, refs, self.branch, location, self.task)
                if self.result is None:
                    raise GitConflict(
                        f"{short_ref(ref)} exists already, and no commit in it made this package by"
                        f" {self.task.name.lower()}; delete the branch or choose another workspace name"
                    )
                return []
        if tag := self.knowledge.tag_of(refs, location):
            raise GitConflict(
                f"workspace {location.workspace!r} of {location.path!r} is published as {short_ref(tag.ref)}; choose"
                " another workspace name"
            )
        updates, base = base_commit(repo, refs, self.branch, create=self.create_branch)
        tip = commit_at(repo, base).tree_id if base else None
        Neighbours(repo, refs, location, self.branch, tip).check_new(begins=self.task in BEGINNINGS)
        # The base is the branch on the remote, without other changes of the group: if those fail, the draft must not
        # have them in its history.
        base = refs.remote_refs.get(branch_ref(self.branch)) or base
        old = commit_at(repo, base).tree_id if base else None
        tree = replace_directory(repo, old, location.path, self.content.tree_in(repo)) or old
        assert tree is not None  # noqa: S101 - content is never empty
        message = content_message(self.task, location.path, location.workspace, rendered=self.rendered)
        parents = [base] if base else []
        commit = create_commit(repo, tree=tree, parents=parents, message=message, author=self.author)
        self.result = Draft(str(commit), short_ref(location.draft_ref), rendered=self.rendered)
        return [*updates, RefUpdate(location.draft_ref, None, commit)]


def draft_refs(location: PackageLocation, branch: str) -> list[str]:
    """Name the refs that `made_by` reads."""
    return [branch_ref(branch), location.draft_ref, location.proposed_ref]


def made_by(
    repo: pygit2.Repository, refs: RefView, branch: str, location: PackageLocation, task: TaskType
) -> Draft | None:
    """Return the draft or proposal of a workspace if the annotations of its commits name the task; else None."""
    ref = next((ref for ref in (location.draft_ref, location.proposed_ref) if refs.get(ref)), None)
    tip = refs.commit(ref) if ref else None
    if ref is None or tip is None:
        return None
    if task not in tasks_of(repo, tip.id, refs.get(branch_ref(branch)), location):
        return None
    rendered = is_ours(tip) and says_rendered(tip.message) and task in _tasks(tip, location)
    return Draft(str(tip.id), short_ref(ref), existing=True, rendered=rendered)


def tasks_of(
    repo: pygit2.Repository, tip: pygit2.Oid, base: pygit2.Oid | None, location: PackageLocation
) -> Iterator[str]:
    """Yield the tasks that the commits of a draft were made for, newest first.

    Args:
        repo: The local repository.
        tip: The draft's newest commit.
        base: The branch's commit; commits in its history are no part of the draft.
        location: The package and its workspace.
    """
    walk = repo.walk(tip)
    if base is not None:
        walk.hide(base)
    for commit in itertools.islice(walk, DRAFT_COMMITS):
        yield from _tasks(commit, location)


def operations_since(repo: pygit2.Repository, tip: pygit2.Oid, reported: str) -> set[str]:
    """Return the digests of the subpackage operations that were done on a draft after one of its commits.

    Args:
        repo: The local repository.
        tip: The draft's newest commit.
        reported: The commit; one that is empty or unknown hides nothing.
    """
    walk = repo.walk(tip)
    if reported and reported in repo:
        walk.hide(pygit2.Oid(hex=reported))
    commits = itertools.islice(walk, DRAFT_COMMITS)
    return {operation for commit in commits if is_ours(commit) and (operation := operation_of(commit.message))}


def _tasks(commit: pygit2.Commit, location: PackageLocation) -> list[str]:
    own = (location.path, location.workspace)
    return [note.task for note in parse_annotations(commit.message) if (note.package, note.workspace) == own]


@dataclass
class CommitOnDraft:
    """A commit on a draft, on top of the commit that its content is based on."""

    moves_branch: ClassVar[bool] = False
    location: PackageLocation
    content: Content
    expected_parent: str
    message: str
    author: Author
    result: str | None = None
    """The draft's commit."""

    def needs(self, refs: RefView) -> Iterable[str]:  # noqa: ARG002 - part of the protocol
        """Name the draft's branch."""
        return [self.location.draft_ref]

    def build(self, repo: pygit2.Repository, refs: RefView) -> Sequence[RefUpdate]:
        """Make the commit, unless the files are the same, or an interrupted attempt made it."""
        ref = self.location.draft_ref
        tip = refs.commit(ref)
        if tip is None:
            raise self._absent(refs)
        parent = refs.commit_by_id(self.expected_parent)
        tree = replace_directory(repo, parent.tree_id, self.location.path, self.content.tree_in(repo))
        ours = tip.parent_ids == [parent.id] and tip.tree_id == tree and tip.message == self.message
        if ours or (tip.id == parent.id and tree is None):
            self.result = str(tip.id)
            return []
        if tip.id != parent.id or tree is None:
            raise GitConflict(f"{short_ref(ref)} moved to {tip.id}; the change was made for {parent.id}")
        commit = create_commit(repo, tree=tree, parents=[parent.id], message=self.message, author=self.author)
        self.result = str(commit)
        return [RefUpdate(ref, tip.id, commit)]

    def _absent(self, refs: RefView) -> GitConflict | GitNotFound:
        if refs.get(self.location.proposed_ref):
            return GitConflict(f"{short_ref(self.location.proposed_ref)} is proposed; reject it to change it")
        return GitNotFound(f"there is no branch {short_ref(self.location.draft_ref)}")


@dataclass
class Move:
    """Propose or reject: the same commit under another branch."""

    moves_branch: ClassVar[bool] = False
    source: str
    target: str
    lifecycle: Lifecycle
    """Lifecycle of the revision after the move."""
    result: PackageState | None = None

    def needs(self, refs: RefView) -> Iterable[str]:  # noqa: ARG002 - part of the protocol
        """Name both branches."""
        return [self.source, self.target]

    def build(self, repo: pygit2.Repository, refs: RefView) -> Sequence[RefUpdate]:  # noqa: ARG002 - part of the protocol
        """Move the branch, or finish the move of an interrupted attempt."""
        source, target = refs.get(self.source), refs.get(self.target)
        commit = source or target
        if commit is None:
            raise GitNotFound(f"there is neither a branch {short_ref(self.source)} nor {short_ref(self.target)}")
        updates = []
        if source and target != source:
            updates.append(RefUpdate(self.target, target, source))
        if source:
            updates.append(RefUpdate(self.source, source, None))
        self.result = PackageState(self.lifecycle, str(commit), short_ref(self.target), changed=bool(updates))
        return updates


@dataclass
class EnsureBranch:
    """The Repository's branch; a missing one is made with one commit."""

    moves_branch: ClassVar[bool] = True
    branch: str
    create: bool
    tip: str | None = None

    def needs(self, refs: RefView) -> Iterable[str]:  # noqa: ARG002 - part of the protocol
        """Name no refs: no commit is read."""
        return []

    def build(self, repo: pygit2.Repository, refs: RefView) -> Sequence[RefUpdate]:
        """Make the branch if it is missing."""
        updates, base = base_commit(repo, refs, self.branch, create=self.create)
        self.tip = str(base) if base else None
        return updates


def _is_empty(refs: RefView) -> bool:
    """Return whether a repository holds only drafts, so that a missing branch is no error."""
    own = (DRAFTS, PROPOSED, DELETION_PROPOSED)
    return all(ref.startswith(own) for ref in refs if ref.startswith(HEADS))


def base_commit(
    repo: pygit2.Repository, refs: RefView, branch: str, *, create: bool
) -> tuple[list[RefUpdate], pygit2.Oid | None]:
    """Return the branch's commit, with the update that makes a missing branch if `create` is set.

    Returns:
        The updates, none for an existing branch; and the commit, None in an empty repository.

    Raises:
        GitBranchMissing: The branch does not exist.
    """
    ref = branch_ref(branch)
    if tip := refs.get(ref):
        return [], tip
    if create:
        tree = write_files(repo, {"README.md": File(_README)})
        commit = create_commit(repo, tree=tree, parents=[], message=BRANCH_MESSAGE, author=COMMITTER)
        return [RefUpdate(ref, None, commit)], commit
    if not _is_empty(refs):
        raise GitBranchMissing(f"branch {branch!r} doesn't exist")
    return [], None
