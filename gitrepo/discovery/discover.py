"""Finds the package revisions of a repository. Pure over a bare repository and its refs.

Source: docs/reference/porch-git-layout.md, "What is a package" and "Revision numbers and workspaces".
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pygit2

from porchflow.api.models.packagerevision import Lifecycle
from porchflow.gitrepo.discovery.last_authors import LastTouch, PackageDates
from porchflow.gitrepo.discovery.package_tags import TagFacts, TagReader
from porchflow.gitrepo.errors import GitNoCommit, GitQuotaExceeded
from porchflow.gitrepo.refs import (
    DELETION_PROPOSED,
    DRAFTS,
    PROPOSED,
    TAGS,
    UNNUMBERED,
    InvalidName,
    PackageLocation,
    ParsedRef,
    branch_ref,
    branch_workspace,
    parse_draft_ref,
    parse_proposed_ref,
    parse_tag_ref,
    short_ref,
)
from porchflow.gitrepo.remote.transport import Refs
from porchflow.gitrepo.store.package_trees import find_packages
from porchflow.gitrepo.store.trees import commit_at, has_file, subtree


@dataclass(frozen=True, slots=True)
class Discovered:
    """One package revision in Git."""

    package: str
    """Path below the Repository's directory."""
    workspace: str
    lifecycle: Lifecycle
    revision: int
    """0 for drafts and proposals, -1 for published content without a number."""
    ref: str
    """Short, as in locks."""
    commit: str
    tree: str
    """The package's tree: equal for equal content."""
    touched: LastTouch | None = None
    """Its publisher and the time, where Git records them."""


@dataclass
class Discovery:
    """Everything below one directory of a repository, at one moment."""

    revisions: list[Discovered] = field(default_factory=list)
    branch_commit: str = ""
    """Of the Repository's branch; empty where it does not exist."""
    problems: list[str] = field(default_factory=list)
    """Refs and directories that were left out, for people: which, where and why."""


class DiscoveryKnowledge:
    """Facts about a repository's commits, which never change: the next discovery reads only new commits."""

    def __init__(self) -> None:
        self.tags = TagReader()
        self._dates: dict[str, PackageDates] = {}

    def dates(self, branch: str) -> PackageDates:
        """Return the last touches of packages in a branch's history."""
        return self._dates.setdefault(branch, PackageDates())


def relevant_refs(refs: Iterable[str], branch: str, directory: str) -> list[str]:
    """Name the refs that a discovery reads: the branch, and the refs below the directory."""
    below = f"{directory.strip('/')}/" if directory.strip("/") else ""
    prefixes = tuple(base + below for base in (TAGS, DRAFTS, PROPOSED, DELETION_PROPOSED))
    main = branch_ref(branch)
    return [ref for ref in refs if ref == main or ref.startswith(prefixes)]


def digest_of(refs: Refs, branch: str, directory: str) -> str:
    """Return a digest of the input of a discovery: equal where there is nothing new to find."""
    lines = sorted(f"{ref} {refs.ids[ref]}" for ref in relevant_refs(refs, branch, directory))
    return hashlib.sha256("\n".join([branch, directory, *lines]).encode()).hexdigest()[:32]


def discover(
    repo: pygit2.Repository, refs: Refs, knowledge: DiscoveryKnowledge, branch: str, directory: str
) -> Discovery:
    """Find every package revision.

    Of several refs for one name the most final one counts, as everywhere: a tag before a proposal or draft, both before
    the package on the branch.

    Args:
        repo: Holds the commits of all `relevant_refs`, and the branch's history.
        refs: The remote's refs.
        knowledge: Of this remote.
        branch: The Repository's branch.
        directory: The Repository's directory.

    Raises:
        GitQuotaExceeded: The branch holds more packages than can be registered.
    """
    return _Walk(repo, refs, knowledge, branch, directory.strip("/")).run()


class _Walk:
    def __init__(
        self, repo: pygit2.Repository, refs: Refs, knowledge: DiscoveryKnowledge, branch: str, directory: str
    ) -> None:
        self._repo = repo
        self._refs = refs
        self._knowledge = knowledge
        self._branch = branch
        self._directory = directory
        self._found: dict[tuple[str, str], Discovered] = {}
        self._result = Discovery()

    def run(self) -> Discovery:
        for each in (*self._tags(), *self._open(), *self._on_branch()):
            self._found.setdefault((each.package, each.workspace), each)
        self._result.revisions = list(self._found.values())
        return self._result

    def _tags(self) -> list[Discovered]:
        found = []
        for ref, oid in self._refs.items():
            parsed = parse_tag_ref(ref)
            if parsed is None or not self._is_below(parsed):
                continue
            facts = self._knowledge.tags.read(self._repo, ref, oid, parsed)
            if isinstance(facts, str):
                self._problem(f"tag {short_ref(ref)}: {facts}")
            elif (location := self._location(ref, parsed, facts.workspace)) is not None:
                found.append(self._published(location, parsed, ref, facts))
        # Several tags of one workspace: the highest number is the revision.
        return sorted(found, key=lambda each: -each.revision)

    def _published(self, location: PackageLocation, parsed: ParsedRef, ref: str, facts: TagFacts) -> Discovered:
        marked = location.deletion_proposed_ref(parsed.revision) in self._refs
        return Discovered(
            location.package,
            location.workspace,
            Lifecycle.DELETION_PROPOSED if marked else Lifecycle.PUBLISHED,
            parsed.revision,
            short_ref(ref),
            facts.commit,
            facts.tree,
            facts.touched,
        )

    def _open(self) -> Iterator[Discovered]:
        """Yield drafts and proposals; of both for one workspace, which an interrupted move leaves, the newer one."""
        proposed = {ref: oid for ref, oid in self._refs.items() if ref.startswith(PROPOSED)}
        for ref, oid in self._refs.items():
            parsed = parse_draft_ref(ref)
            if parsed is not None and proposed.get(PROPOSED + ref.removeprefix(DRAFTS)) != oid:
                yield from self._open_revision(ref, oid, parsed, Lifecycle.DRAFT)
        for ref, oid in proposed.items():
            parsed = parse_proposed_ref(ref)
            if parsed is not None:
                yield from self._open_revision(ref, oid, parsed, Lifecycle.PROPOSED)

    def _open_revision(
        self, ref: str, oid: pygit2.Oid, parsed: ParsedRef, lifecycle: Lifecycle
    ) -> Iterator[Discovered]:
        if not self._is_below(parsed):
            return
        try:
            commit = commit_at(self._repo, oid)
            tree = subtree(self._repo, commit.tree_id, parsed.path)
        except (KeyError, ValueError, AssertionError, pygit2.GitError, GitNoCommit, GitQuotaExceeded):
            self._problem(f"branch {short_ref(ref)}: {str(oid)[:12]} is no commit that can be read")
            return
        if tree is None or not has_file(self._repo, tree, "Kptfile"):
            self._problem(f"branch {short_ref(ref)}: it has no Kptfile in {parsed.path}")
        elif (location := self._location(ref, parsed, parsed.suffix)) is not None:
            yield Discovered(
                location.package, location.workspace, lifecycle, 0, short_ref(ref), str(commit.id), str(tree)
            )

    def _on_branch(self) -> Iterator[Discovered]:
        oid = self._refs.get(branch_ref(self._branch))
        if oid is None:
            return
        commit = commit_at(self._repo, oid)
        self._result.branch_commit = str(commit.id)
        dates = self._knowledge.dates(self._branch)
        dates.advance(self._repo, commit.id)
        workspace = branch_workspace(self._branch)
        for package, tree in find_packages(self._repo, commit.tree_id, self._directory, self._problem):
            ref = branch_ref(self._branch)
            location = self._location(ref, ParsedRef(self._below(package), self._branch, UNNUMBERED), workspace)
            if location is not None:
                marked = location.deletion_proposed_ref(UNNUMBERED) in self._refs
                yield Discovered(
                    package,
                    workspace,
                    Lifecycle.DELETION_PROPOSED if marked else Lifecycle.PUBLISHED,
                    UNNUMBERED,
                    self._branch,
                    str(commit.id),
                    str(tree),
                    dates.last_touch(location.path),
                )

    def _location(self, ref: str, parsed: ParsedRef, workspace: str) -> PackageLocation | None:
        try:
            return parsed.location(self._directory, workspace)
        except InvalidName as error:
            self._problem(f"{short_ref(ref)}: {error}")
            return None

    def _below(self, package: str) -> str:
        return f"{self._directory}/{package}" if self._directory else package

    def _is_below(self, parsed: ParsedRef) -> bool:
        return not self._directory or parsed.path.startswith(f"{self._directory}/")

    def _problem(self, text: str) -> None:
        self._result.problems.append(text)
