"""The package revisions that tags mark; each tag is read once."""

from dataclasses import dataclass

import pygit2

from porchflow.gitrepo.discovery.last_authors import LastTouch, touch_of
from porchflow.gitrepo.errors import GitNoCommit, GitQuotaExceeded
from porchflow.gitrepo.refs import UNNUMBERED, ParsedRef
from porchflow.gitrepo.store.commit_messages import parse_annotations
from porchflow.gitrepo.store.trees import commit_at, has_file, subtree


@dataclass(frozen=True, slots=True)
class TagFacts:
    """A tag that marks a package revision."""

    workspace: str
    commit: str
    """The tagged commit, also of an annotated tag."""
    tree: str
    touched: LastTouch


class TagReader:
    """Reads tags, and keeps the result as long as they stay where they are."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[pygit2.Oid, TagFacts | str]] = {}

    def read(self, repo: pygit2.Repository, ref: str, oid: pygit2.Oid, parsed: ParsedRef) -> TagFacts | str:
        """Return the revision that a tag marks, or why it marks none."""
        known = self._known.get(ref)
        if known is None or known[0] != oid:
            self._known[ref] = known = (oid, _read(repo, oid, parsed))
        return known[1]


def _read(repo: pygit2.Repository, oid: pygit2.Oid, parsed: ParsedRef) -> TagFacts | str:
    try:
        commit = commit_at(repo, oid)
    except (GitNoCommit, GitQuotaExceeded) as error:
        # A tag may mark any object; a package lives in a commit.
        return str(error)
    tree = subtree(repo, commit.tree_id, parsed.path)
    if tree is None or not has_file(repo, tree, "Kptfile"):
        return f"its commit has no Kptfile in {parsed.path}"
    return TagFacts(_workspace(commit, parsed), str(commit.id), str(tree), touch_of(commit))


def _workspace(commit: pygit2.Commit, parsed: ParsedRef) -> str:
    for annotation in parse_annotations(commit.message):
        if annotation.package == parsed.path and annotation.workspace:
            return annotation.workspace
    return f"v{parsed.revision}" if parsed.revision > UNNUMBERED else parsed.suffix
