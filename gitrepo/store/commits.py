"""Commits, their authors and committers.

Source: docs/reference/porch-git-layout.md, "Authors and committers".
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import pygit2
from pygit2.enums import ObjectType

from porchflow.gitrepo.refs import InvalidName


@dataclass(frozen=True)
class Author:
    """A person or program, as Git records it. The e-mail may be empty."""

    name: str
    email: str

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise InvalidName("a commit's author needs a name")
        if any(char in "<>\n\r\0" for char in self.name + self.email):
            raise InvalidName(f"author {self.name!r} {self.email!r} must not hold angle brackets or line breaks")

    @classmethod
    def of_repository(cls, author: str | None, email: str | None) -> Self:
        """Return the author from a Repository's `git.author` and `git.email`; without both, the controller's."""
        if not author and not email:
            return cls("porch-controller", "porch-controller@kpt.dev")
        return cls(author or email or "", email or "")

    def at(self, seconds: int) -> str:
        """Return the identity in the form of a commit.

        Args:
            seconds: Seconds since 1970; the time zone is UTC.
        """
        return f"{self.name.strip()} <{self.email.strip()}> {seconds} +0000"


COMMITTER = Author("Package Orchestration Service", "porch@kpt.dev")
DEFAULT_AUTHOR = Author.of_repository(None, None)


def is_ours(commit: pygit2.Commit) -> bool:
    """Return whether porchflow made a commit, by its committer: an amended commit keeps the message."""
    return (commit.committer.name, commit.committer.email) == (COMMITTER.name, COMMITTER.email)


def create_commit(
    repo: pygit2.Repository,
    *,
    tree: pygit2.Oid,
    parents: Sequence[pygit2.Oid],
    message: str,
    author: Author = DEFAULT_AUTHOR,
) -> pygit2.Oid:
    """Write a commit object with the present time; no ref moves."""
    now = int(time.time())
    # Not by libgit2's function: it refuses an author without e-mail, which Git and Porch allow.
    lines = [
        f"tree {tree}",
        *(f"parent {parent}" for parent in parents),
        f"author {author.at(now)}",
        f"committer {COMMITTER.at(now)}",
        "",
        message,
    ]
    return repo.write(ObjectType.COMMIT, "\n".join(lines).encode())
