"""The last author of each package, from one walk over a branch's history."""

import threading
from dataclasses import dataclass
from datetime import UTC, datetime

import pygit2
from pygit2.enums import SortMode

from porchflow.gitrepo.store.commit_messages import approver_of, parse_annotations
from porchflow.gitrepo.store.commits import is_ours


@dataclass(frozen=True, slots=True)
class LastTouch:
    """The author of a commit, or the approver that it names, and its time."""

    seconds: int
    """Since the epoch."""
    by: str
    """The approver, for a publishing commit that names one; otherwise the author's e-mail address."""

    @property
    def at(self) -> datetime:
        """The time in UTC."""
        return datetime.fromtimestamp(self.seconds, UTC)


def touch_of(commit: pygit2.Commit) -> LastTouch:
    """Return the author or approver of a commit, and its time.

    The approver is as trustworthy as the author: a user who can push a commit can write both into it.
    """
    approver = approver_of(commit.message) if is_ours(commit) else ""
    return LastTouch(commit.author.time, approver or commit.author.email)


class PackageDates:
    """For each package the newest commit of a branch's history that names it in a `kpt:{...}` line.

    The history is read once for all packages, and after that only new commits.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tip: pygit2.Oid | None = None
        self._last: dict[str, LastTouch] = {}

    def advance(self, repo: pygit2.Repository, tip: pygit2.Oid) -> None:
        """Read the commits since the last call; all of them where the branch was rewritten."""
        with self._lock:
            if tip == self._tip:
                return
            walk = repo.walk(tip, SortMode.TOPOLOGICAL | SortMode.TIME)
            if self._tip is not None and self._tip in repo and repo.descendant_of(tip, self._tip):
                walk.hide(self._tip)
            else:
                self._last = {}
            newer: dict[str, LastTouch] = {}
            for commit in walk:
                for annotation in parse_annotations(commit.message):
                    newer.setdefault(annotation.package, touch_of(commit))
            self._last.update(newer)
            self._tip = tip

    def last_touch(self, path: str) -> LastTouch | None:
        """Return the last touch of the package with this full path; None where no commit names it."""
        return self._last.get(path)
