"""What a branch's history says about published revisions; read once, then only what is new."""

import threading
from dataclasses import dataclass

import pygit2

from porchflow.gitrepo.store.commit_messages import Annotation, parse_annotations


@dataclass(frozen=True)
class Approval:
    """A commit that published a revision."""

    annotation: Annotation
    commit: pygit2.Oid

    @property
    def revision(self) -> int:
        """The revision's number."""
        return self.annotation.number


class BranchHistory:
    """The approvals in the history of one branch.

    Grows with the branch. Of what a rewritten branch no longer holds the numbers stay known, because they were used.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tip: pygit2.Oid | None = None
        self._highest: dict[str, int] = {}
        self._by_content: dict[pygit2.Oid, list[Approval]] = {}
        self._commits: set[pygit2.Oid] = set()

    def advance(self, repo: pygit2.Repository, tip: pygit2.Oid | None) -> None:
        """Read the commits that are new since the last time.

        Args:
            repo: Holds the whole history of `tip`.
            tip: The branch as the remote has it. Never a commit that is not pushed yet: its number is not taken.
        """
        with self._lock:
            if tip is None or tip == self._tip:
                return
            walk = repo.walk(tip)
            if self._tip is not None and self._tip in repo:
                if repo.descendant_of(self._tip, tip):
                    # An older look at the branch; or it was set back, which the next commit on it tells.
                    return
                if repo.descendant_of(tip, self._tip):
                    walk.hide(self._tip)
                else:
                    self._by_content, self._commits = {}, set()
            for commit in walk:
                self._read(commit)
            self._tip = tip

    def highest(self, path: str) -> int:
        """The highest number that a package ever had here; 0 for none."""
        return self._highest.get(path, 0)

    def approval_of(self, path: str, content: pygit2.Oid) -> Approval | None:
        """Find the approval that merged a draft's commit. A branch that was set back does not hold it any more."""
        found = [item for item in self._by_content.get(content, []) if item.annotation.package == path]
        return max(found, key=lambda item: item.revision, default=None)

    def holds(self, tip: pygit2.Oid | None, commit: pygit2.Oid) -> bool:
        """Whether a commit is an approval in the history of a tip; False also where that is not the one read last."""
        with self._lock:
            return tip == self._tip and commit in self._commits

    def _read(self, commit: pygit2.Commit) -> None:
        for annotation in approvals(commit):
            package = annotation.package
            self._highest[package] = max(self._highest.get(package, 0), annotation.number)
            self._commits.add(commit.id)
            if commit.parent_ids:
                self._by_content.setdefault(commit.parent_ids[-1], []).append(Approval(annotation, commit.id))


def approvals(commit: pygit2.Commit) -> list[Annotation]:
    """The approvals that a commit's message tells of."""
    return [item for item in parse_annotations(commit.message) if item.is_approval]
