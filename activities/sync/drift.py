"""Drift: Git differs from an object's status, because of a push past porchflow or of work under way.

The comparison of a sync cannot tell these apart. So the drift check reads each suspect again: the object first, then
Git. An object with work in hand is left to its workflow. Every write carries the version of the object that was read.
"""

import contextlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from porchflow.activities.phases.lifecycle import tag_moved
from porchflow.activities.reporting import StatusReporter, acknowledged
from porchflow.activities.sync.discovered import Existing
from porchflow.api.models.conditions import Condition, ConditionType, Reason, holding, not_ready, raw_condition
from porchflow.api.models.packagerevision import Lifecycle, PackageRevision
from porchflow.api.names import ACCEPT_COMMIT_ANNOTATION, FINALIZER, RECONCILE_NOW_ANNOTATION, SYNC_TOKEN_PREFIX
from porchflow.api.work.needs import facts_of, plan
from porchflow.gitrepo.git_store import GitStore
from porchflow.gitrepo.refs import UNNUMBERED, InvalidName, PackageLocation
from porchflow.gitrepo.store.package_state import PackageState
from porchflow.kube.changes import let_go
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import Conflict, NotFound
from porchflow.kube.events import EventRecorder
from porchflow.kube.kinds import PACKAGEREVISIONS
from porchflow.kube.status import Report
from porchflow.repositories.access import RepositoryAccess
from porchflow.repositories.failures import Superseded
from porchflow.repositories.reported_lock import how_to_put_back, published_ref, reported_commit


@dataclass(frozen=True)
class Look:
    """Result of a check of one object."""

    settled: bool
    """False where the object has work in hand or changed meanwhile: the next sync should come soon."""
    waits: bool = False
    """Whether the next sync has to check again, even if no ref moves until then."""
    told: str = ""
    """Message for the Repository's Events; empty for none."""


class DriftCheck:
    """Checks objects of one Repository that differ from Git, and acts on those without work in hand."""

    def __init__(  # noqa: PLR0917 - clients
        self,
        kube: KubeClient,
        git: GitStore,
        reporter: StatusReporter,
        events: EventRecorder,
        namespace: str,
        repository: RepositoryAccess,
        grace: timedelta,
    ) -> None:
        """Create the check.

        Args:
            kube: Reads and deletes objects.
            git: Reads Git.
            reporter: Writes the status of PackageRevisions.
            events: Records Events of PackageRevisions.
            namespace: Of the Repository.
            repository: The Repository.
            grace: How long an object is kept that is gone from Git.
        """
        self._kube = kube
        self._git = git
        self._reporter = reporter
        self._events = events
        self._namespace = namespace
        self._repository = repository
        self._grace = grace

    async def look(self, suspect: Existing) -> Look:
        """Read one object and its state in Git, and act on the difference.

        Raises:
            GitError: Git cannot be read.
            KubeError: The API server cannot be reached or refuses.
        """
        try:
            obj = await self._kube.get(PACKAGEREVISIONS, self._namespace, suspect.name)
            revision = PackageRevision.model_validate(obj)
            facts = facts_of(obj, datetime.now(UTC))
            if facts.suspended:
                # Resuming the object signals its workflow; until then nothing may change it.
                return Look(settled=True)
            if facts.deleting or plan(facts):
                return Look(settled=False)
            return await self._judge(obj, await self._state(revision))
        except (Conflict, NotFound, Superseded):
            # The object changed meanwhile, so the next sync decides.
            return Look(settled=False)

    async def _state(self, revision: PackageRevision) -> PackageState:
        spec, repository = revision.spec, self._repository
        try:
            location = PackageLocation(repository.directory, spec.package_name, spec.workspace_name)
        except InvalidName:
            return PackageState(None)
        # By the reported tag, even if it was moved to a commit whose message names another workspace.
        hint = published_ref(revision.status)
        return await self._git.state(repository.remote, repository.branch, location, tag_hint=hint)

    async def _judge(self, obj: dict[str, Any], state: PackageState) -> Look:
        revision = PackageRevision.model_validate(obj)
        lock = revision.status.self_lock
        ref = lock.git.ref if lock is not None and lock.git is not None else ""
        reported, wanted = reported_commit(revision.status), revision.spec.lifecycle
        if state.lifecycle is None:
            return await self._gone(obj, revision, ref)
        if state.lifecycle is wanted and state.revision == UNNUMBERED and ref == state.ref == self._repository.branch:
            return await self._recovered(obj, revision, state)
        if (revision.status.revision or 0) > 0 and state.lifecycle.is_published and state.commit != reported:
            return await self._moved_tag(obj, state, reported)
        if state.lifecycle is wanted and state.commit == reported:
            return await self._recovered(obj, revision, state)
        if wanted is Lifecycle.PROPOSED and state.lifecycle is wanted:
            return await self._moved_proposal(obj, state, reported)
        return await self._wake(obj, state)

    async def _recovered(self, obj: dict[str, Any], revision: PackageRevision, state: PackageState) -> Look:
        """Have the workflow report Ready again, where a sync had reported Stalled."""
        if _stalled(revision) in {Reason.REMOVED_FROM_GIT, Reason.TAG_MOVED, Reason.CONTENT_CHANGED}:
            return await self._ask(
                obj, f"{SYNC_TOKEN_PREFIX}{state.commit[:12]}-{_stalled_since(revision):%Y%m%d%H%M%S}", ""
            )
        return Look(settled=True)

    async def _wake(self, obj: dict[str, Any], state: PackageState) -> Look:
        if state.lifecycle is Lifecycle.DRAFT and (obj.get("spec") or {}).get("lifecycle") == Lifecycle.DRAFT:
            told = f"newer content on the draft branch: {state.ref} is at {state.commit[:12]}; rendering it"
        else:
            told = f"Git has it as {state.lifecycle}, at {state.ref} {state.commit[:12]}; putting that right"
        return await self._ask(obj, f"{SYNC_TOKEN_PREFIX}{state.commit[:12]}-{state.lifecycle}", told, unready=True)

    async def _ask(self, obj: dict[str, Any], token: str, told: str, *, unready: bool = False) -> Look:
        """Set the reconcile-now annotation, once for each token.

        The same finding is not signalled again: the workflow may have reported that a person must act.

        Args:
            obj: The raw object as last read.
            token: Value of the annotation.
            told: Message of the Event; empty for none.
            unready: Whether the status says until the workflow's report that the object is not as Git has it.
        """
        metadata = obj["metadata"]
        if (metadata.get("annotations") or {}).get(RECONCILE_NOW_ANNOTATION) == token:
            return Look(settled=True)
        patch = {"annotations": {RECONCILE_NOW_ANNOTATION: token}, "resourceVersion": metadata["resourceVersion"]}
        asked = await self._kube.merge_patch(PACKAGEREVISIONS, self._namespace, metadata["name"], {"metadata": patch})
        if unready:
            await self._unready(asked, told)
        if told:
            self._events.record(obj, "Normal", Reason.CONTENT_CHANGED, told)
        return Look(settled=True, told=f"{metadata['name']}: {told}" if told else "")

    async def _unready(self, asked: dict[str, Any], told: str) -> None:
        """Take back `Ready` of an object whose workflow has been asked to look at Git."""
        progressing = not_ready(Reason.CONTENT_CHANGED, told, ConditionType.RECONCILING)
        with contextlib.suppress(Conflict):
            # The workflow may be quicker. Its report is the newer one, and must stay.
            await self._reporter.show(asked, Report(conditions=progressing))

    async def _moved_tag(self, obj: dict[str, Any], state: PackageState, reported: str) -> Look:
        accepted = (obj["metadata"].get("annotations") or {}).get(ACCEPT_COMMIT_ANNOTATION)
        if accepted == state.commit:
            return await self._ask(
                obj, f"{SYNC_TOKEN_PREFIX}{state.commit[:12]}-accepted", f"{state.commit[:12]} is accepted"
            )
        return await self._stall(obj, Reason.TAG_MOVED, tag_moved(state.ref, reported, state.commit))

    async def _moved_proposal(self, obj: dict[str, Any], state: PackageState, reported: str) -> Look:
        message = (
            f"{state.ref} is at {state.commit[:12]}, which nobody proposed ({reported[:12]} was): reject it by setting"
            f" spec.lifecycle to Draft, or put the branch back to {reported}"
        )
        return await self._stall(obj, Reason.CONTENT_CHANGED, message)

    async def _gone(self, obj: dict[str, Any], revision: PackageRevision, ref: str) -> Look:
        known = _stalled(revision) == Reason.REMOVED_FROM_GIT
        name = obj["metadata"]["name"]
        if revision.status.revision == UNNUMBERED or (
            known and datetime.now(UTC) - _stalled_since(revision) >= self._grace
        ):
            await self._let_go(obj)
            return Look(settled=True, told=f"{name} is deleted: {ref} is gone from Git")
        if known:
            return Look(settled=True, waits=True)
        message = (
            f"{how_to_put_back(revision.status)}; else this object is deleted by a sync after"
            f" {self._grace.total_seconds() / 60:g} minutes"
        )
        look = await self._stall(obj, Reason.REMOVED_FROM_GIT, message)
        return replace(look, waits=True)

    async def _stall(self, obj: dict[str, Any], reason: Reason, message: str) -> Look:
        known = raw_condition(obj, ConditionType.STALLED)
        if (known.get("reason"), known.get("message")) == (reason, message):
            return Look(settled=True)
        conditions = not_ready(reason, message, ConditionType.STALLED)
        await self._reporter.report(obj, Report(acknowledged(obj), conditions))
        return Look(settled=True, told=f"{obj['metadata']['name']}: {message}")

    async def _let_go(self, obj: dict[str, Any]) -> None:
        metadata = obj["metadata"]
        after = await let_go(self._kube, PACKAGEREVISIONS, obj, FINALIZER)
        await self._kube.delete(
            PACKAGEREVISIONS,
            self._namespace,
            metadata["name"],
            uid=metadata["uid"],
            resource_version=after["metadata"]["resourceVersion"],
        )


def _stalled(revision: PackageRevision) -> str:
    condition = _condition(revision)
    return condition.reason if condition is not None else ""


def _stalled_since(revision: PackageRevision) -> datetime:
    condition = _condition(revision)
    moment = condition.last_transition_time if condition is not None else None
    return moment or datetime.now(UTC)


def _condition(revision: PackageRevision) -> Condition | None:
    return holding(revision.status.conditions, ConditionType.STALLED)
