"""The state of a package revision in Git."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import pygit2

from porchflow.api.models.packagerevision import Lifecycle
from porchflow.gitrepo.refs import (
    DELETION_PROPOSED,
    TAGS,
    UNNUMBERED,
    PackageLocation,
    branch_ref,
    branch_workspace,
    revision_of,
    short_ref,
)
from porchflow.gitrepo.store.commit_messages import Annotation, parse_annotations
from porchflow.gitrepo.store.history import BranchHistory, approvals
from porchflow.gitrepo.store.ref_view import RefView
from porchflow.gitrepo.store.trees import commit_at, has_file, subtree

Commit = TypeVar("Commit", str, pygit2.Oid)


@dataclass(frozen=True)
class PackageState:
    """The state of a revision in Git."""

    lifecycle: Lifecycle | None
    """None for a revision that Git does not have."""
    commit: str = ""
    """Empty for a revision that Git does not have."""
    ref: str = ""
    """Short ref, as in locks: `drafts/P/w`, `proposed/P/w`, `P/v1`; the branch for the package on it."""
    revision: int = 0
    """0 unless published; -1 for a published revision without a number."""
    published_at: datetime | None = None
    """Time of the tagged commit."""
    complete: bool = True
    """False if the step to this lifecycle was interrupted; the same step finishes it."""
    changed: bool = False
    """In the result of a change: whether it updated any ref."""


ABSENT = PackageState(None)


@dataclass(frozen=True)
class Tag:
    """The tag of a published revision."""

    ref: str
    oid: pygit2.Oid
    revision: int


class Knowledge:
    """Facts from a repository's commits, cached for good: commits never change."""

    def __init__(self) -> None:
        self._annotations: dict[pygit2.Oid, list[Annotation] | None] = {}
        """Of tagged commits, by what the tag marks; None where that is no commit."""
        self._histories: dict[str, BranchHistory] = {}
        self._lock = threading.Lock()

    def history(self, branch: str) -> BranchHistory:
        """Return the history of a branch, which caches its approvals."""
        with self._lock:
            return self._histories.setdefault(branch, BranchHistory())

    def tag_of(self, view: RefView, location: PackageLocation, hint: str | None = None) -> Tag | None:
        """Return the tag of a workspace, by the annotation of the tagged commit; None if there is none.

        Source: docs/reference/porch-git-layout.md, "Revision numbers and workspaces".

        Args:
            view: The remote's refs.
            location: The package and its workspace.
            hint: Short name of the revision's known tag; the tagged commits are not read then.
        """
        if hint and (oid := view.get(TAGS + hint)) and (TAGS + hint).startswith(location.tag_prefix):
            return Tag(TAGS + hint, oid, revision_of(hint.rpartition("/")[2]))
        found = [tag for tag in tags_of(view, location) if self._workspace(view, location, tag) == location.workspace]
        return max(found, key=lambda tag: tag.revision, default=None)

    def _workspace(self, view: RefView, location: PackageLocation, tag: Tag) -> str:
        """Return the workspace that a tag names; empty for a tag of no commit, which is no revision's."""
        if tag.oid not in self._annotations:
            commit = view.marked(tag.ref)
            self._annotations[tag.oid] = parse_annotations(commit.message) if commit else None
        annotations = self._annotations[tag.oid]
        if annotations is None:
            return ""
        for annotation in annotations:
            if annotation.package == location.path and annotation.workspace:
                return annotation.workspace
        return f"v{tag.revision}" if tag.revision > UNNUMBERED else tag.ref.rpartition("/")[2]


def tags_of(view: RefView, location: PackageLocation) -> list[Tag]:
    """Return the tags of a package's revisions."""
    found = view.directly_below(location.tag_prefix.rstrip("/"))
    return [Tag(ref, oid, revision_of(ref.rpartition("/")[2])) for ref, oid in found.items()]


def needed_refs(view: RefView, location: PackageLocation, branch: str, hint: str | None = None) -> Iterable[str]:
    """Yield the refs whose commits `read_state` reads."""
    yield from (branch_ref(branch), location.draft_ref, location.proposed_ref)
    if hint and view.get(TAGS + hint):
        yield TAGS + hint
    else:
        yield from (tag.ref for tag in tags_of(view, location))


def state_prefixes(location: PackageLocation, branch: str, hint: str | None = None) -> list[str]:
    """Return the begins of the names of all refs that `needed_refs` and `read_state` look at."""
    names = [branch_ref(branch), location.draft_ref, location.proposed_ref, location.deletion_proposed_ref()]
    marks = f"{DELETION_PROPOSED}{location.path}/"
    return [*names, marks, location.tag_prefix, *([TAGS + hint] if hint else [])]


def read_state(
    repo: pygit2.Repository,
    view: RefView,
    knowledge: Knowledge,
    location: PackageLocation,
    branch: str,
    *,
    tag_hint: str | None = None,
    commit_hint: str | None = None,
) -> PackageState:
    """Return the state of a revision.

    Args:
        repo: The local repository.
        view: The remote's refs.
        knowledge: Cached facts of the repository.
        location: The package and its workspace.
        branch: The Repository's branch.
        tag_hint: Short name of its tag, if known.
        commit_hint: The draft's last known commit. It finds a revision whose publish was interrupted between the
            branch and the tag.
    """
    if tag := knowledge.tag_of(view, location, tag_hint):
        return _published(repo, view, knowledge.history(branch), location, branch_ref(branch), tag)
    if open_state := _open(view, location):
        return open_state
    if location.workspace == branch_workspace(branch):
        return _on_branch(repo, view, location, branch)
    if commit_hint:
        history = knowledge.history(branch)
        tip = view.remote_refs.get(branch_ref(branch))
        history.advance(repo, tip)
        approval = history.approval_of(location.path, pygit2.Oid(hex=commit_hint))
        if approval and contains(repo, tip, approval.commit):
            ref = short_ref(location.proposed_ref)
            return PackageState(Lifecycle.PROPOSED, commit_hint, ref, complete=False)
    return ABSENT


def contains(repo: pygit2.Repository, tip: pygit2.Oid | None, commit: pygit2.Oid) -> bool:
    """Return whether a commit is in the history of a tip."""
    if tip is None or tip == commit:
        return tip is not None
    # The common case comes first, because libgit2 would read far more of the history.
    return commit in commit_at(repo, tip).parent_ids or repo.descendant_of(tip, commit)


def in_branch(
    repo: pygit2.Repository, view: RefView, history: BranchHistory, branch: str, commit: pygit2.Commit
) -> bool:
    """Return whether a tagged commit is merged to the branch; True also for one that is no approval.

    Args:
        repo: The local repository.
        view: The remote's refs.
        history: History of the branch.
        branch: Full ref of the branch.
        commit: The tagged commit.
    """
    if not approvals(commit):
        return True
    tip = view.remote_refs.get(branch)
    history.advance(repo, tip)
    return history.holds(tip, commit.id) or contains(repo, view.get(branch), commit.id)


def commit_time(commit: pygit2.Commit) -> datetime:
    """Return the time of a commit."""
    return datetime.fromtimestamp(commit.commit_time, UTC)


def _published(  # noqa: PLR0917 - private, and each argument has another type
    repo: pygit2.Repository, view: RefView, history: BranchHistory, location: PackageLocation, branch: str, tag: Tag
) -> PackageState:
    commit = view.commit(tag.ref) or commit_at(repo, tag.oid)
    view.require([branch])
    leftovers = {view.get(location.draft_ref), view.get(location.proposed_ref)} & {*commit.parent_ids, commit.id}
    marked = view.get(location.deletion_proposed_ref(tag.revision))
    return PackageState(
        lifecycle=Lifecycle.DELETION_PROPOSED if marked else Lifecycle.PUBLISHED,
        commit=str(commit.id),
        ref=short_ref(tag.ref),
        revision=tag.revision,
        published_at=commit_time(commit),
        complete=not leftovers and in_branch(repo, view, history, branch, commit),
    )


def open_at(location: PackageLocation, commit_of: Callable[[str], Commit | None]) -> tuple[Lifecycle, Commit] | None:
    """Return whether a revision is a draft or a proposal, and its commit.

    If both branches are at one commit, a propose or reject was interrupted, and the revision counts as a proposal. If
    they differ, the draft counts, because it got commits since.

    Args:
        location: The package and its workspace.
        commit_of: Returns the commit of a full ref; None if there is no such ref.

    Returns:
        None if there is neither branch.
    """
    draft, proposed = commit_of(location.draft_ref), commit_of(location.proposed_ref)
    if draft is not None and draft != proposed:
        return Lifecycle.DRAFT, draft
    return (Lifecycle.PROPOSED, proposed) if proposed is not None else None


def _open(view: RefView, location: PackageLocation) -> PackageState | None:
    found = open_at(location, view.get)
    if found is None:
        return None
    lifecycle, commit = found
    own, other = location.draft_ref, location.proposed_ref
    if lifecycle is Lifecycle.PROPOSED:
        own, other = other, own
    return PackageState(lifecycle, str(commit), short_ref(own), complete=view.get(other) is None)


def _on_branch(repo: pygit2.Repository, view: RefView, location: PackageLocation, branch: str) -> PackageState:
    commit = view.commit(branch_ref(branch))
    tree = subtree(repo, commit.tree_id, location.path) if commit else None
    if commit is None or tree is None or not has_file(repo, tree, "Kptfile"):
        return ABSENT
    deletion = view.get(location.deletion_proposed_ref(UNNUMBERED))
    lifecycle = Lifecycle.DELETION_PROPOSED if deletion else Lifecycle.PUBLISHED
    return PackageState(lifecycle, str(commit.id), branch, UNNUMBERED, commit_time(commit))
