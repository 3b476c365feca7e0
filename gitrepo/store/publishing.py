"""Changes to published revisions: publish, propose deletion, delete. Each is level-triggered like those of drafts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import pygit2

from porchflow.api.models.packagerevision import Lifecycle
from porchflow.gitrepo.errors import GitConflict, GitNotFound
from porchflow.gitrepo.refs import TAGS, UNNUMBERED, PackageLocation, branch_ref, revision_of, short_ref
from porchflow.gitrepo.remote.transport import RefUpdate
from porchflow.gitrepo.store.commit_messages import approval_message, delete_message
from porchflow.gitrepo.store.commits import Author, create_commit
from porchflow.gitrepo.store.drafts import BEGINNINGS, base_commit, tasks_of
from porchflow.gitrepo.store.neighbours import Neighbours
from porchflow.gitrepo.store.package_state import (
    Knowledge,
    PackageState,
    Tag,
    commit_time,
    contains,
    in_branch,
    needed_refs,
    read_state,
    tags_of,
)
from porchflow.gitrepo.store.ref_view import RefView
from porchflow.gitrepo.store.trees import commit_at, subtree


@dataclass
class Publish:
    """Merge a draft to the branch, tag the merge with the next number, remove the draft: one push.

    The tag takes the number. If the server has a part of an earlier attempt, the change makes the rest.
    """

    moves_branch: ClassVar[bool] = True
    knowledge: Knowledge
    location: PackageLocation
    branch: str
    author: Author
    known_commit: str | None = None
    """The commit to publish if an interrupted attempt removed draft and proposal already."""
    tag_hint: str | None = None
    create_branch: bool = False
    approver: str = ""
    """Name of the user who approved, for the merge commit; empty if unknown."""
    result: PackageState | None = None
    _source: pygit2.Oid | None = None

    def needs(self, refs: RefView) -> Iterable[str]:
        """Name the refs of the revision's state."""
        return needed_refs(refs, self.location, self.branch, self.tag_hint)

    def build(self, repo: pygit2.Repository, refs: RefView) -> Sequence[RefUpdate]:
        """Make the merge commit; return the updates of branch, tag, draft and proposal."""
        if tag := self.knowledge.tag_of(refs, self.location, self.tag_hint):
            return self._finish(repo, refs, tag)
        source = self._find_source(refs)
        history = self.knowledge.history(self.branch)
        tip = refs.remote_refs.get(branch_ref(self.branch))
        history.advance(repo, tip)
        approval = history.approval_of(self.location.path, source)
        ours = approval is not None and approval.annotation.workspace == self.location.workspace
        if approval and ours and contains(repo, tip, approval.commit):
            tag_ref = self.location.tag_ref(approval.revision)
            if refs.get(tag_ref) is None:
                self.result = self._published(repo, tag_ref, approval.commit, approval.revision)
                return [RefUpdate(tag_ref, None, approval.commit), *self._removals(repo, refs, source)]
        return self._approve(repo, refs, source, history.highest(self.location.path))

    def _find_source(self, refs: RefView) -> pygit2.Oid:
        """Return the commit to publish, also if an interrupted attempt removed its branch already."""
        location = self.location
        proposed, draft = refs.get(location.proposed_ref), refs.get(location.draft_ref)
        if proposed and draft and proposed != draft:
            raise GitConflict(
                f"{short_ref(location.proposed_ref)} and {short_ref(location.draft_ref)} both exist and differ; delete"
                " the one that is not meant"
            )
        if found := proposed or draft:
            self._source = found
        elif self._source is None and self.known_commit:
            self._source = refs.commit_by_id(self.known_commit).id
        if self._source is None:
            raise GitNotFound(
                f"there is neither a branch {short_ref(location.proposed_ref)} nor a tag for it to publish"
            )
        return self._source

    def _approve(self, repo: pygit2.Repository, refs: RefView, source: pygit2.Oid, highest: int) -> Sequence[RefUpdate]:
        tip = refs.get(branch_ref(self.branch))
        begins = not BEGINNINGS.isdisjoint(tasks_of(repo, source, tip, self.location))
        self._neighbours(repo, refs, tip).check_publish(self._content(repo, source), begins=begins)
        revision = 1 + max([highest, 0, *(tag.revision for tag in tags_of(refs, self.location))])
        moves, merge = self._merge(repo, refs, source, revision)
        tag = RefUpdate(self.location.tag_ref(revision), None, merge)
        self.result = self._published(repo, tag.ref, merge, revision)
        return [*moves, tag, *self._removals(repo, refs, source)]

    def _finish(self, repo: pygit2.Repository, refs: RefView, tag: Tag) -> Sequence[RefUpdate]:
        """Finish a publish whose tag exists: merge the commit if the branch lacks it, and remove the draft."""
        commit = refs.commit(tag.ref) or commit_at(repo, tag.oid)
        updates = list(self._removals(repo, refs, commit.id))
        if not in_branch(repo, refs, self.knowledge.history(self.branch), branch_ref(self.branch), commit):
            newer = self.knowledge.history(self.branch).highest(self.location.path) > tag.revision
            moves, _ = self._merge(repo, refs, commit.id, tag.revision, keep=newer)
            updates = [*moves, *updates]
        self.result = self._published(repo, tag.ref, commit.id, tag.revision, changed=bool(updates))
        return updates

    def _merge(
        self, repo: pygit2.Repository, refs: RefView, source: pygit2.Oid, revision: int, *, keep: bool = False
    ) -> tuple[Sequence[RefUpdate], pygit2.Oid]:
        """Merge a commit's package to the branch.

        Args:
            repo: The local repository.
            refs: The remote's refs.
            source: The commit that holds the package.
            revision: The number in the message.
            keep: Keep the branch's content, because it is newer.

        Returns:
            The updates of the branch, and the merge commit.
        """
        location, content = self.location, self._content(repo, source)
        _, tip = base_commit(repo, refs, self.branch, create=self.create_branch)
        old = commit_at(repo, tip).tree_id if tip else None
        tree = old if keep else self._neighbours(repo, refs, tip).merged(content)
        assert tree is not None  # noqa: S101 - content is never empty
        commit = create_commit(
            repo,
            tree=tree,
            parents=[tip, source] if tip else [source],
            message=approval_message(location.path, location.workspace, revision, self.approver),
            author=self.author,
        )
        ref = branch_ref(self.branch)
        return [RefUpdate(ref, refs.get(ref), commit)], commit

    def _content(self, repo: pygit2.Repository, source: pygit2.Oid) -> pygit2.Oid:
        content = subtree(repo, commit_at(repo, source).tree_id, self.location.path)
        if content is None:
            raise GitNotFound(f"commit {source} has no directory {self.location.path!r} to publish")
        return content

    def _neighbours(self, repo: pygit2.Repository, refs: RefView, tip: pygit2.Oid | None) -> Neighbours:
        tree = commit_at(repo, tip).tree_id if tip else None
        return Neighbours(repo, refs, self.location, self.branch, tree)

    def _removals(self, repo: pygit2.Repository, refs: RefView, published: pygit2.Oid) -> Iterable[RefUpdate]:
        """Yield the removals of draft and proposal, except one with commits that are not published."""
        for ref in (self.location.draft_ref, self.location.proposed_ref):
            tip = refs.get(ref)
            if tip and contains(repo, published, tip):
                yield RefUpdate(ref, tip, None)

    def _published(
        self, repo: pygit2.Repository, tag: str, commit: pygit2.Oid, revision: int, *, changed: bool = True
    ) -> PackageState:
        return PackageState(
            lifecycle=Lifecycle.PUBLISHED,
            commit=str(commit),
            ref=short_ref(tag),
            revision=revision,
            published_at=commit_time(commit_at(repo, commit)),
            changed=changed,
        )


@dataclass
class ProposeDeletion:
    """Mark a published revision, or the package on the branch, for deletion; or remove the mark."""

    moves_branch: ClassVar[bool] = False
    knowledge: Knowledge
    location: PackageLocation
    branch: str
    proposed: bool
    """False removes the mark."""
    tag_hint: str | None = None
    result: PackageState | None = None

    def needs(self, refs: RefView) -> Iterable[str]:
        """Name the refs of the revision's state."""
        return needed_refs(refs, self.location, self.branch, self.tag_hint)

    def build(self, repo: pygit2.Repository, refs: RefView) -> Sequence[RefUpdate]:
        """Make or delete the branch that marks the revision."""
        state = read_state(repo, refs, self.knowledge, self.location, self.branch, tag_hint=self.tag_hint)
        if state.lifecycle is None or not state.lifecycle.is_published:
            raise GitNotFound(
                f"workspace {self.location.workspace!r} of {self.location.path!r} is {state.lifecycle or 'absent'}, not"
                " published"
            )
        mark = self.location.deletion_proposed_ref(state.revision)
        old = refs.get(mark)
        new = (old or pygit2.Oid(hex=state.commit)) if self.proposed else None
        lifecycle = Lifecycle.DELETION_PROPOSED if self.proposed else Lifecycle.PUBLISHED
        self.result = replace(state, lifecycle=lifecycle, changed=old != new)
        return [RefUpdate(mark, old, new)] if old != new else []


@dataclass
class Delete:
    """Delete all refs of a workspace: draft, proposal, tag, deletion mark. The branch's content stays."""

    moves_branch: ClassVar[bool] = False
    knowledge: Knowledge
    location: PackageLocation
    tag_hint: str | None = None
    published: bool = True
    """Whether a tag may be the workspace's. If not, a tag beside the draft is foreign, and stays."""
    changed: bool = False

    def needs(self, refs: RefView) -> Iterable[str]:
        """Name the tags that could be the workspace's."""
        if not self.published:
            return []
        hinted = self.tag_hint and refs.get(TAGS + self.tag_hint)
        return [] if hinted else [tag.ref for tag in tags_of(refs, self.location)]

    def build(self, repo: pygit2.Repository, refs: RefView) -> Sequence[RefUpdate]:  # noqa: ARG002 - part of the protocol
        """Delete the refs that exist.

        Raises:
            GitNotFound: None exists in the first list of the refs; another list decides.
        """
        location = self.location
        names = [location.draft_ref, location.proposed_ref, location.deletion_proposed_ref()]
        if not self.published:
            names = [location.draft_ref, location.proposed_ref]
        elif tag := self.knowledge.tag_of(refs, location, self.tag_hint):
            names += [tag.ref, location.deletion_proposed_ref(tag.revision)]
        elif self.tag_hint:
            # An interrupted attempt deleted the tag; its mark may still exist.
            names.append(location.deletion_proposed_ref(revision_of(self.tag_hint.rpartition("/")[2])))
        existing = {name: oid for name in names if (oid := refs.get(name))}
        if not existing:
            refs.believe_absent(f"branch or tag of {location.path} {location.workspace}")
        self.changed = bool(existing)
        return [RefUpdate(name, oid, None) for name, oid in existing.items()]


@dataclass
class DeleteFromBranch:
    """Remove a package from the branch, without the packages below it, and delete its deletion mark."""

    moves_branch: ClassVar[bool] = True
    location: PackageLocation
    branch: str
    author: Author
    changed: bool = False

    def needs(self, refs: RefView) -> Iterable[str]:  # noqa: ARG002 - part of the protocol
        """Name the branch."""
        return [branch_ref(self.branch)]

    def build(self, repo: pygit2.Repository, refs: RefView) -> Sequence[RefUpdate]:
        """Commit the removal, unless the package is gone."""
        updates = []
        ref = branch_ref(self.branch)
        tip = refs.commit(ref)
        if tip and subtree(repo, tip.tree_id, self.location.path):
            neighbours = Neighbours(repo, refs, self.location, self.branch, tip.tree_id)
            tree = neighbours.merged(None) or repo.TreeBuilder().write()
            if tree != tip.tree_id:
                message = delete_message(self.location.path)
                commit = create_commit(repo, tree=tree, parents=[tip.id], message=message, author=self.author)
                updates.append(RefUpdate(ref, tip.id, commit))
        mark = self.location.deletion_proposed_ref(UNNUMBERED)
        if old := refs.get(mark):
            updates.append(RefUpdate(mark, old, None))
        self.changed = bool(updates)
        return updates
