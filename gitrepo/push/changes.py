"""Changes to a remote's refs, and the state of each while it is pushed together with others."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pygit2

from porchflow.gitrepo.errors import GitError
from porchflow.gitrepo.push.batching import shared_error
from porchflow.gitrepo.remote.transport import RefUpdate
from porchflow.gitrepo.store.ref_view import RefView


class Change(Protocol):
    """A change to a remote's refs."""

    @property
    def moves_branch(self) -> bool:
        """Whether it may build on the tip of a branch that all packages share, and move that branch."""

    def needs(self, refs: RefView) -> Iterable[str]:
        """Name the refs (in full) and commits (by id) whose objects `build` reads; all are fetched together."""

    def build(self, repo: pygit2.Repository, refs: RefView) -> Sequence[RefUpdate]:
        """Make the objects and return the refs to update; none means success without a push.

        Called again, with fresher refs, whenever the updates could not be pushed; runs on a thread of its own.

        Raises:
            GitError: The change does not fit the refs as they are; its waiter gets this error.
        """


@dataclass(frozen=True)
class PushResult:
    """The result of a change that succeeded."""

    updates: tuple[RefUpdate, ...]
    """The updates that were pushed for it; empty where nothing was to do."""
    attempts: int


@dataclass(eq=False)
class Pending:
    """A change in progress: built, pushed, and built again until it has a result."""

    change: Change
    updates: tuple[RefUpdate, ...] = ()
    assumed: set[str] = field(default_factory=set)
    """Refs of earlier changes of the group that this one was built on."""
    attempts: int = 0
    result: PushResult | Exception | None = None
    alone: bool = False
    """Built without another change before it: an error is then its own."""
    saw_nothing: bool = False
    """Whether its refs were not in the last list; see `RefView.believe_absent`."""
    conflict: str = ""
    """Why it must be built again."""

    def done(self) -> None:
        """Complete it with success."""
        self.result = PushResult(self.updates, self.attempts)


def fold(built: Iterable[Pending]) -> dict[str, RefUpdate]:
    """Join the updates of all changes: for each ref the first old and the last new; creations and moves go first."""
    folded: dict[str, RefUpdate] = {}
    for update in (update for pending in built for update in pending.updates):
        first = folded.get(update.ref, update)
        folded[update.ref] = RefUpdate(update.ref, first.old, update.new)
    real = [update for update in folded.values() if update.old != update.new]
    return {update.ref: update for update in sorted(real, key=lambda update: update.new is None)}


def fail_all(pendings: Iterable[Pending], error: GitError) -> None:
    """Complete all that have no result with an error, each with a copy of its own."""
    waiting = [pending for pending in pendings if pending.result is None]
    for pending, own in zip(waiting, shared_error(error, len(waiting)), strict=True):
        pending.result = own
