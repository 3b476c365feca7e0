"""Subpackage phase: one subpackage of a draft is cloned or upgraded, once for each operation that is asked for.

Source: docs/reference/porch-api.md, "Subpackage operations".
"""

from dataclasses import dataclass
from typing import Any

from porchflow.activities.definitions import PhaseInput, PhaseResult
from porchflow.activities.phases.draft_tip import draft_tip
from porchflow.activities.phases.proposals import Proposals
from porchflow.activities.phases.self_lock import draft_lock
from porchflow.activities.running.outcome import Outcome, rendered, rendering_awaited, under_way
from porchflow.activities.sources.conflicts import some_conflicts
from porchflow.activities.sources.subpackage_content import ChangedSubpackage, SubpackageContent
from porchflow.activities.sources.upstreams import Upstreams
from porchflow.activities.target import Target
from porchflow.api.error_kinds import ErrorKind
from porchflow.api.models.conditions import Reason
from porchflow.api.models.packagerevision import Lifecycle, SubpackageOperation
from porchflow.api.timestamps import timestamp
from porchflow.api.work.subpackage import is_recorded, operation_hash
from porchflow.gitrepo.errors import GitError
from porchflow.gitrepo.git_store import GitStore
from porchflow.gitrepo.store.commit_messages import TaskType
from porchflow.gitrepo.store.snapshots import Snapshot
from porchflow.kpt.format.kptfile import GitLock
from porchflow.kpt.package_errors import CONTENT_ERRORS
from porchflow.repositories.failures import PhaseError, Stalled, classify
from porchflow.repositories.reported_lock import reported_commit


@dataclass(frozen=True)
class _Asked:
    """An operation that is asked for, on the newest commit of the package revision."""

    target: Target
    operation: SubpackageOperation
    digest: str
    tip: str
    before: bool
    """Whether the status records that it was done: it is asked for again."""

    @property
    def folder(self) -> str:
        return self.operation.subpackage_dir

    @property
    def kind(self) -> str:
        return "clone" if self.operation.clone_from is not None else "upgrade"

    @property
    def rendered(self) -> bool:
        """Whether the content is rendered as it is, and reported."""
        return self.tip == reported_commit(self.target.revision.status) and not self.target.facts.render_pending


class SubpackagePhase:
    """Does the operation of `spec.subpackageOperation` on the draft, and records it with the commit of its upstream."""

    def __init__(
        self, git: GitStore, *, content: SubpackageContent, upstreams: Upstreams, proposals: Proposals
    ) -> None:
        """Create the phase.

        Args:
            git: Reads and commits drafts.
            content: Makes the content.
            upstreams: Marks package revisions that others are made from.
            proposals: Refuses publications without a proposal.
        """
        self._git = git
        self._content = content
        self._upstreams = upstreams
        self._proposals = proposals

    async def run(self, target: Target, request: PhaseInput) -> Outcome:
        """Do the operation unless it is done.

        An attempt after an interrupted one finds the commit of that, whatever was pushed on top of it.

        Raises:
            Waiting: The operation names a PackageRevision or Secret that does not exist or is not published yet.
            Stalled: The operation cannot be done as it is, or the package revision is no draft.
            GitConflict: Newer content was pushed meanwhile: the next attempt changes that.
            GitError: Git cannot be read or refuses the push.
            PackageError: The upstream is no package, or cannot be merged.
        """
        await self._proposals.check(target)
        operation, raw = target.revision.spec.subpackage_operation, target.obj["spec"].get("subpackageOperation")
        if operation is None:
            return Outcome(PhaseResult(summary="no subpackage operation is asked for", current=Lifecycle.DRAFT))
        tip, found = await draft_tip(self._git, target, request)
        if found is None:
            # The lifecycle phase says so.
            return Outcome(PhaseResult(summary="there is no draft to change", rendered=True))
        asked = _Asked(target, operation, operation_hash(raw), tip, is_recorded(target.obj, raw))
        package = await self._git.snapshot(target.repository.remote, tip, target.location.path)
        if found is not Lifecycle.DRAFT:
            return await self._of_no_draft(asked, package, found)
        if not asked.before and await self._is_committed(asked):
            return _done(asked, await self._content.lock_of(package, asked.folder), tip)
        return await self._on_draft(asked, package)

    async def _on_draft(self, asked: _Asked, package: Snapshot) -> Outcome:
        target = asked.target
        try:
            changed = await self._content.make(target, asked.operation, package)
        except (PhaseError, GitError, *CONTENT_ERRORS) as error:
            return _done_before(asked, error)
        if changed.edit is None and asked.before:
            return _nothing(asked, f"{asked.folder} is as its upstream is at {changed.upstream.commit[:12]}")
        commit = await self._commit(asked, changed)
        if changed.revision is not None:
            # Before the report, because the operation is not done again after it.
            await self._upstreams.mark(changed.revision, target.namespace, target.obj["metadata"]["name"])
        lock = GitLock(**changed.upstream.place, commit=changed.upstream.commit)
        return _done(asked, lock, commit, changed)

    async def _is_committed(self, asked: _Asked) -> bool:
        """Whether an attempt that could not report it did the operation."""
        target = asked.target
        reported = reported_commit(target.revision.status)
        done = await self._git.operations_since(target.repository.remote, asked.tip, reported)
        return asked.digest in done

    async def _commit(self, asked: _Asked, changed: ChangedSubpackage) -> str:
        if changed.edit is None:
            return asked.tip
        repository = asked.target.repository
        return await self._git.commit_on_draft(
            repository.remote,
            asked.target.location,
            changed.edit,
            expected_parent=asked.tip,
            task=TaskType.SUBPACKAGE,
            author=repository.author,
            operation=asked.digest,
        )

    async def _of_no_draft(self, asked: _Asked, package: Snapshot, found: Lifecycle) -> Outcome:
        """Take an operation for done whose subpackage the content has: the status was lost. Refuse any other.

        Raises:
            Stalled: The content has no such subpackage.
        """
        lock = await self._content.lock_of(package, asked.folder)
        if asked.before or lock is not None:
            fields = {} if asked.before else _record(asked, lock)
            result = PhaseResult(summary=f"{asked.folder} is there", current=found, rendered=True)
            return Outcome(result, under_way("the lifecycle follows", "moving the lifecycle"), fields)
        again = ": set spec.lifecycle to Draft first, or" if found is Lifecycle.PROPOSED else ":"
        raise Stalled(
            Reason.INVALID_SPEC,
            f"spec.subpackageOperation changes the content of a Draft, and this is {found}{again} take the field away;"
            " the next revision of a package is a copy or an upgrade of this one",
        )


def _done(asked: _Asked, lock: GitLock | None, commit: str, changed: ChangedSubpackage | None = None) -> Outcome:
    target, conflicts = asked.target, changed.conflicts if changed is not None else ()
    warnings = changed.warnings if changed is not None else ()
    lines, is_rendered = some_conflicts(conflicts), asked.rendered and commit == asked.tip
    met = f", {len(conflicts)} conflict{'s' if len(conflicts) > 1 else ''}" if conflicts else ""
    result = PhaseResult(
        summary=f"{asked.kind} of {asked.folder}: draft at {commit[:12]}{met}",
        notes=[*(message for _, message in warnings), *(f"conflict: {line}" for line in lines)],
        current=Lifecycle.DRAFT,
        commit=commit,
        rendered=is_rendered,
    )
    return Outcome(
        result,
        rendered(target.revision.spec.lifecycle) if is_rendered else rendering_awaited(),
        _record(asked, lock) | {"selfLock": draft_lock(target, commit)},
        warnings=(*warnings, *((Reason.MERGE_CONFLICT, line) for line in lines)),
    )


def _done_before(asked: _Asked, error: Exception) -> Outcome:
    """Return the outcome of asking in vain for what was done before: it holds up nothing, and is told.

    The upstream may be gone by now. A reconcile may have been asked for something else.

    Raises:
        Exception: The error, where the operation was never done, or where another attempt may help.
    """
    failure = classify(error)
    if not asked.before or failure.kind not in {ErrorKind.WAITING, ErrorKind.STALLED}:
        raise error
    return _nothing(
        asked,
        f"{asked.kind} of {asked.folder}: not done again",
        (Reason(failure.reason), f"not done again: {failure.message}"),
    )


def _nothing(asked: _Asked, summary: str, *warnings: tuple[Reason, str]) -> Outcome:
    result = PhaseResult(summary=summary, current=Lifecycle.DRAFT, commit=asked.tip, rendered=asked.rendered)
    standing = rendered(asked.target.revision.spec.lifecycle) if asked.rendered else None
    return Outcome(result, standing, warnings=warnings)


def _record(asked: _Asked, lock: GitLock | None) -> dict[str, Any]:
    """Return the status fields that record the operation as done."""
    change: dict[str, Any] = {
        "subpackageDir": asked.folder,
        "operation": asked.kind,
        "at": timestamp(),
    }
    if lock is not None:
        change["upstream"] = lock.model_dump()
    return {"lastSubpackageOperationHash": asked.digest, "lastSubpackageChange": change}
