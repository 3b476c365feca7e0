"""A lifecycle change that reads the state of a revision, and moves it, over one connection."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import pygit2

from porchflow.api.models.packagerevision import Lifecycle
from porchflow.gitrepo.refs import PackageLocation
from porchflow.gitrepo.remote.transport import RefUpdate
from porchflow.gitrepo.store.commit_messages import parse_annotations
from porchflow.gitrepo.store.commits import Author, is_ours
from porchflow.gitrepo.store.drafts import Move
from porchflow.gitrepo.store.package_state import Knowledge, PackageState, needed_refs, read_state
from porchflow.gitrepo.store.publishing import ProposeDeletion, Publish
from porchflow.gitrepo.store.ref_view import RefView
from porchflow.gitrepo.store.trees import commit_at


class Step(StrEnum):
    """One step of the lifecycle."""

    PROPOSE = "propose"
    REJECT = "reject"
    PUBLISH = "publish"
    PROPOSE_DELETION = "propose the deletion"
    UNDO_DELETION = "undo the proposed deletion"


TaskOf = Callable[[str], str]
"""Returns the task that made a commit: a `TaskType`; empty for a commit that porchflow did not make."""

Choose = Callable[[PackageState, TaskOf], Step | None]
"""Returns the step to make from a state, None for none. Pure: it runs on a thread, and again after a conflict."""


@dataclass(frozen=True)
class Transitioned:
    """Result of a transition.

    Attributes:
        before: The state that was read first.
        after: The state after the step; that before it if there was no step.
    """

    before: PackageState
    after: PackageState


@dataclass
class Transition:
    """The step that `choose` names for the state of a revision."""

    knowledge: Knowledge
    location: PackageLocation
    branch: str
    choose: Choose
    author: Author
    create_branch: bool = False
    tag_hint: str | None = None
    commit_hint: str | None = None
    moves_branch: bool = True
    """Whether a step that `choose` may name moves the branch."""
    approver: str = ""
    """Name of the user who approved, for a step that publishes; empty if unknown."""
    before: PackageState | None = None
    _found: PackageState | None = None
    _step: Move | Publish | ProposeDeletion | None = None

    @property
    def result(self) -> Transitioned | None:
        """Result of the transition; None before the first build."""
        if self.before is None or self._found is None:
            return None
        after = self._step.result if self._step else self._found
        return Transitioned(self.before, after) if after else None

    def needs(self, refs: RefView) -> Iterable[str]:
        """Name the refs of the revision's state; no step needs others."""
        return needed_refs(refs, self.location, self.branch, self.tag_hint)

    def build(self, repo: pygit2.Repository, refs: RefView) -> Sequence[RefUpdate]:
        """Read the state of the revision, choose the step, and build it."""
        found = read_state(
            repo,
            refs,
            self.knowledge,
            self.location,
            self.branch,
            tag_hint=self.tag_hint,
            commit_hint=self.commit_hint,
        )
        if found.lifecycle is None and self._step is None:
            refs.believe_absent(f"branch or tag of {self.location.path} {self.location.workspace}")
        if found.lifecycle is not None or self._step is None:
            # Otherwise a server that took only a part of the push removed the last ref. The step from the build before
            # knows its commit.
            step = self.choose(found, lambda commit: task_of(repo, commit, self.location))
            self._step, self._found = self._change(step, found), found
        self.before = self.before or found
        return self._step.build(repo, refs) if self._step else []

    def _change(self, step: Step | None, state: PackageState) -> Move | Publish | ProposeDeletion | None:
        location = self.location
        is_open = state.lifecycle in {Lifecycle.DRAFT, Lifecycle.PROPOSED}
        match step:
            case Step.PROPOSE:
                return Move(location.draft_ref, location.proposed_ref, Lifecycle.PROPOSED)
            case Step.REJECT:
                return Move(location.proposed_ref, location.draft_ref, Lifecycle.DRAFT)
            case Step.PUBLISH:
                return Publish(
                    self.knowledge,
                    location,
                    self.branch,
                    self.author,
                    state.commit if is_open else None,
                    self.tag_hint,
                    self.create_branch,
                    self.approver,
                )
            case Step.PROPOSE_DELETION | Step.UNDO_DELETION:
                proposed = step is Step.PROPOSE_DELETION
                return ProposeDeletion(self.knowledge, location, self.branch, proposed, self._tag(state))
            case None:
                return None

    def _tag(self, state: PackageState) -> str | None:
        return state.ref if state.revision > 0 else None


def task_of(repo: pygit2.Repository, commit: str, location: PackageLocation) -> str:
    """Return the task that made a commit of a draft: a `TaskType`; empty for a commit that porchflow did not make.

    Raises:
        GitNotFound: There is no such commit.
    """
    found = commit_at(repo, pygit2.Oid(hex=commit))
    if not is_ours(found):
        return ""
    ours = (location.path, location.workspace)
    return next((a.task for a in parse_annotations(found.message) if (a.package, a.workspace) == ours), "")
