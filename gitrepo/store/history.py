"""Approvals of package revisions in a branch's history; each commit is read once."""

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
    """The approvals in the history of one branch; it grows with the branch.

    The revision numbers of commits that a rewrite of the branch removed stay known, because they were used.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tip: pygit2.Oid | None = None
        self._highest: dict[str, int] = {}
        self._by_content: dict[pygit2.Oid, list[Approval]] = {}
        self._commits: set[pygit2.Oid] = set()

    def advance(self, repo: pygit2.Repository, tip: pygit2.Oid | None) -> None:
        """Read the commits since the last call.

        Args:
            repo: A local repository with the whole history of `tip`.
            tip: The branch's commit on the remote. It must be pushed: the number of a local commit is not taken yet.
        """
        with self._lock:
            if tip is None or tip == self._tip:
                return
            walk = repo.walk(tip)
            if self._tip is not None and self._tip in repo:
                if repo.descendant_of(self._tip, tip):
                    # The listing is older than the last one, or the branch was reset. Its next commit shows a reset.
                    return
                if repo.descendant_of(tip, self._tip):
                    walk.hide(self._tip)
                else:
                    self._by_content, self._commits = {}, set()
            for commit in walk:
                self._read(commit)
            self._tip = tip

    def highest(self, path: str) -> int:
        """Return the highest revision number that a package ever had on the branch; 0 for none."""
        return self._highest.get(path, 0)

    def approval_of(self, path: str, content: pygit2.Oid) -> Approval | None:
        """Return the approval that merged a draft's commit; a branch that was reset may not hold it any more."""
        found = [item for item in self._by_content.get(content, []) if item.annotation.package == path]
        return max(found, key=lambda item: item.revision, default=None)

    def holds(self, tip: pygit2.Oid | None, commit: pygit2.Oid) -> bool:
        """Return whether a commit is an approval in the history of a tip; False if another tip was read last."""
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
    """Return the approvals in a commit's message."""
    return [item for item in parse_annotations(commit.message) if item.is_approval]
