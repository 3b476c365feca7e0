"""A sync: list the refs of a repository, and where they moved, make the objects of the Repository agree with Git."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from temporalio import activity

from porchflow.activities.definitions import SyncActivities, SyncRequest, SyncResult
from porchflow.activities.heartbeat import heartbeating
from porchflow.activities.reporting import StatusReporter
from porchflow.activities.running.deaths import death
from porchflow.activities.sync.comparison import Work, compare
from porchflow.activities.sync.discovered import Existing, existing_of
from porchflow.activities.sync.drift import DriftCheck
from porchflow.activities.sync.duplicates import check_alone, has_worked, is_shared
from porchflow.activities.sync.paced_writes import Write, Writer
from porchflow.activities.sync.registration import Registration
from porchflow.activities.sync.removal import Removal
from porchflow.activities.sync.repository_changes import change_repository
from porchflow.activities.sync.repository_status import REPOSITORY_STATUS, failure_report, handled, progress_report
from porchflow.activities.sync.sync_rules import (
    check_places,
    conditions_of,
    handled_by,
    is_due,
    next_full_sync,
)
from porchflow.activities.sync.sync_settings import SyncSettings
from porchflow.api.models.conditions import ConditionType, Reason, raw_condition
from porchflow.api.names import (
    REPOSITORY_FINALIZER,
    V1ALPHA2_MIGRATION_ANNOTATION,
)
from porchflow.api.timestamps import timestamp
from porchflow.api.work.run_once import run_once_due
from porchflow.api.work.suspension import Suspension, suspension_of
from porchflow.gitrepo.discovery.discover import Discovery
from porchflow.gitrepo.git_store import GitStore
from porchflow.kube.background import in_background
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import KubeError, NotFound
from porchflow.kube.events import EventRecorder
from porchflow.kube.kinds import PACKAGEREVISIONS, REPOSITORIES
from porchflow.kube.status import Report, StatusWriter
from porchflow.repositories.access import Repositories, RepositoryAccess
from porchflow.repositories.failures import Lost, PhaseError, classify, out_of_memory, to_application_error
from porchflow.repositories.scope import ScopeSettings

_SHOW_SECONDS = 5.0
"""Between two reports of a sync under way."""


@dataclass
class Progress:
    """Progress of a sync. Heartbeats carry its text to the Temporal UI."""

    text: str = "looking at the refs"
    total: int = 0
    writer: Writer | None = None

    def say(self, text: str) -> None:
        """Set the text."""
        self.text = text

    def __str__(self) -> str:
        return f"{self.text}: {self.writer.done} of {self.total}" if self.writer is not None else self.text


@dataclass
class _Run:
    """One sync of one Repository."""

    asked: dict[str, Any]
    """The raw Repository as it was when the sync began: later changes are for the next sync."""
    raw: dict[str, Any]
    """The raw Repository as last read or written."""
    access: RepositoryAccess
    progress: Progress
    shared: bool
    """Whether a Repository of another namespace works on the same packages."""
    problems: list[str] = field(default_factory=list)
    """Messages about revisions that have no object."""
    incomplete: list[str] = field(default_factory=list)
    """Messages about revisions whose objects lack the values of their Kptfiles."""
    objects: int = 0
    """Package revisions that have an object."""
    rewritten: str = ""
    """Message about a branch whose history was replaced; empty for none."""
    unsettled: int = 0
    waits: bool = False
    written: int = 0


class RepositorySync(SyncActivities):
    """The implementation that a worker registers. The caller closes the clients."""

    def __init__(
        self, *, kube: KubeClient, git: GitStore, events: EventRecorder, scope: ScopeSettings, settings: SyncSettings
    ) -> None:
        self._kube = kube
        self._git = git
        self._events = events
        self._scope = scope
        self._settings = settings
        self._repositories = Repositories(kube, annotated_only=scope.annotated_repositories_only)
        self._reporter = StatusWriter(kube, events, REPOSITORY_STATUS)
        self._objects = StatusReporter(kube, events)
        self._removal = Removal(kube, at_once=self._settings.sync_writes)

    @activity.defn(name="sync_repository")
    async def sync_repository(self, request: SyncRequest) -> SyncResult:
        """See `SyncActivities.sync_repository`."""
        progress = Progress()
        async with heartbeating(lambda: str(progress)):
            raw: dict[str, Any] | None = None
            try:
                raw = await self._repositories.raw(request.namespace, request.name)
                _check_isolated(request, raw)
                return await self._sync(raw, progress)
            except Lost as lost:
                # The status says so already.
                raise to_application_error(lost) from None
            except MemoryError:
                raise to_application_error(out_of_memory()) from None
            except Exception as error:  # noqa: BLE001 - every error is sorted, shown and given to Temporal
                failure = classify(error)
                if raw is not None:
                    await self._show_failure(raw, failure)
                raise to_application_error(failure) from None

    async def died(self, request: SyncRequest, how: str) -> SyncResult:
        """Report that the process of an isolated sync ended.

        Args:
            request: The request that the process was given.
            how: How it ended, for people, with "it" for the sync.

        Returns:
            The result where the Repository is gone meanwhile.

        Raises:
            ApplicationError: Of type Lost, or Stalled after `PHASE_DEATHS`.
        """
        raw = await self._repositories.raw(request.namespace, request.name)
        if raw is None:
            return SyncResult(summary="the Repository is gone")
        failure = death("the sync", request.deaths + 1, how)
        await self._show_failure(raw, failure)
        raise to_application_error(failure)

    async def _sync(self, raw: dict[str, Any] | None, progress: Progress) -> SyncResult:
        if raw is None:
            return SyncResult(summary="the Repository is gone")
        if self._repositories.is_left_to_porch(raw):
            return SyncResult(summary=f"left to Porch: it has no annotation {V1ALPHA2_MIGRATION_ANNOTATION}: true")
        if "deletionTimestamp" in raw["metadata"]:
            removed = await self._removal.run(raw, progress.say)
            await self._git.forget(raw["spec"]["git"]["repo"])
            return removed
        suspension = suspension_of(raw["metadata"].get("annotations") or {})
        if suspension is not None and suspension.is_active(datetime.now(UTC)):
            return await self._suspended(raw, suspension)
        check_places(raw)
        due = is_due(raw)
        shared = await check_alone(self._kube, raw, self._scope.namespaces) if due else is_shared(raw)
        access = await self._repositories.opened(raw)
        if due and access.warning:
            self._reporter.record(raw, Reason.CREDENTIALS_UNENCRYPTED, access.warning)
        await self._git.ensure_branch(access.remote, access.branch, create_branch=access.create_branch)
        known = "" if due else raw["status"]["observedRefs"]
        if known and await self._git.refs_digests(access.remote, [(access.branch, access.directory)]) == [known]:
            return SyncResult(
                summary="the refs have not moved", revisions=(raw.get("status") or {}).get("packageCount") or 0
            )
        return await self._compare(_Run(raw, await self._hold(raw), access, progress, shared))

    async def _suspended(self, raw: dict[str, Any], suspension: Suspension) -> SyncResult:
        await self._reporter.report(raw, Report(handled(raw), suspension.conditions))
        return SyncResult(summary="suspended")

    async def _hold(self, raw: dict[str, Any]) -> dict[str, Any]:
        """Add our finalizer: objects are removed before the Repository, even in a cluster without garbage collector."""

        def patch(current: dict[str, Any]) -> dict[str, Any]:
            finalizers = current["metadata"].get("finalizers") or []
            if REPOSITORY_FINALIZER in finalizers:
                return {}
            return {"metadata": {"finalizers": [*finalizers, REPOSITORY_FINALIZER]}}

        return await change_repository(self._kube, raw, patch)

    async def _compare(self, run: _Run) -> SyncResult:
        # Objects are listed before Git is read, so that a revision deleted in between gets no object.
        existing = await self._existing(run.access, run.raw["metadata"]["namespace"])
        run.progress.say("reading the packages")
        survey = await self._git.survey(run.access.remote, run.access.branch, run.access.directory)
        discovery = survey.discovery
        work = await asyncio.to_thread(compare, run.access, discovery.revisions, existing)
        run.problems += [*discovery.problems, *work.problems]
        async with self._shown(run):
            await self._register(run, work)
            await self._look_closely(run, work)
        run.rewritten = await self._rewritten(run, discovery)
        await self._report(run, discovery, survey.digest)
        return SyncResult(
            summary=_summary(run),
            revisions=run.objects,
            written=run.written,
            unsettled=run.unsettled,
        )

    @contextlib.asynccontextmanager
    async def _shown(self, run: _Run) -> AsyncIterator[None]:
        """Report progress in the Repository's status: of a first sync at once, of any other after five seconds."""
        first = not (run.raw.get("status") or {}).get("conditions")

        async def show() -> None:
            if not first:
                await asyncio.sleep(_SHOW_SECONDS)
            while True:
                try:
                    run.raw = await self._reporter.report(run.raw, progress_report(run.raw, str(run.progress)))
                except KubeError as error:
                    # Only logged: the report at the end of the sync is what counts.
                    activity.logger.info("cannot say how far the sync is: %s", error)
                await asyncio.sleep(_SHOW_SECONDS)

        async with in_background(show()):
            yield

    async def _existing(self, access: RepositoryAccess, namespace: str) -> dict[str, Existing]:
        objects = self._kube.list_all(PACKAGEREVISIONS, namespace, field_selector=f"spec.repository={access.name}")
        return {obj["metadata"]["name"]: existing_of(obj, access) async for obj in objects}

    async def _register(self, run: _Run, work: Work) -> None:
        namespace = run.raw["metadata"]["namespace"]
        registration = Registration(self._kube, self._git, namespace, run.access)
        writer = Writer(self._settings.sync_writes)
        pairs = (*work.finish, *work.own, *work.deployment)
        run.progress.total = len(work.create) + len(work.disown) + len(pairs)
        run.progress.text, run.progress.writer = "writing objects", writer
        await registration.run(work, writer)
        run.written += writer.done
        run.unsettled += registration.missed
        run.problems += registration.problems
        run.incomplete += registration.incomplete
        run.objects = len(work.names) - len(registration.problems)

    async def _look_closely(self, run: _Run, work: Work) -> None:
        check = DriftCheck(
            self._kube,
            self._git,
            self._objects,
            self._events,
            run.raw["metadata"]["namespace"],
            run.access,
            timedelta(seconds=self._settings.removed_grace_seconds),
        )

        async def look(suspect: Existing) -> None:
            result = await check.look(suspect)
            run.unsettled += not result.settled
            run.waits |= result.waits
            if result.told:
                self._reporter.record(run.raw, Reason.CONTENT_CHANGED, result.told)

        async def looks() -> AsyncIterator[Write]:
            for suspect in (*(pair.existing for pair in work.drifted), *work.gone):
                yield partial(look, suspect)

        writer = Writer(self._settings.sync_writes)
        run.progress.total = len(work.drifted) + len(work.gone)
        run.progress.text, run.progress.writer = "looking at what changed", writer
        await writer.run(looks())

    async def _rewritten(self, run: _Run, discovery: Discovery) -> str:
        """Return the message about a branch whose history was replaced; empty where it only grew."""
        before: str = (run.raw.get("status") or {}).get("gitCommitHash", "")
        after, branch = discovery.branch_commit, run.access.branch
        if not before or before == after:
            return ""
        if not after:
            return f"the branch {branch} is gone; it was at {before}"
        if await self._git.holds_commit(run.access.remote, after, before):
            return ""
        return f"the branch {branch} was rewritten: {before} is not in its history any more; it is at {after}"

    async def _report(self, run: _Run, discovery: Discovery, digest: str) -> None:
        if not has_worked(run.asked):
            # Checked again, because two new Repositories do not see each other when they begin.
            run.shared = await check_alone(self._kube, run.raw, self._scope.namespaces)
        raw = await self._consume_run_once(run.raw)
        now = datetime.now(UTC).replace(microsecond=0)
        full_sync = timedelta(seconds=self._settings.full_sync_seconds)
        await self._reporter.report(
            raw,
            Report(
                {
                    **handled_by(run.asked, raw),
                    "lastFullSyncTime": timestamp(now),
                    "nextFullSyncTime": timestamp(next_full_sync(raw, now, full_sync)),
                    "packageCount": run.objects or None,
                    "gitCommitHash": discovery.branch_commit or None,
                    # None makes the next sync compare, although no ref moves: objects have work in hand or are gone.
                    "observedRefs": None if run.unsettled or run.waits else digest,
                },
                conditions_of(raw, run.problems, run.rewritten, incomplete=run.incomplete, shared=run.shared),
            ),
        )

    async def _consume_run_once(self, raw: dict[str, Any]) -> dict[str, Any]:
        """Remove a one-time sync that was done from the spec, as Porch does.

        Source: docs/reference/porch-api.md, "A sync at a set time".
        """
        return await change_repository(
            self._kube, raw, lambda current: {"spec": {"sync": {"runOnceAt": None}}} if run_once_due(current) else {}
        )

    async def _show_failure(self, raw: dict[str, Any], failure: PhaseError) -> None:
        try:
            metadata = raw["metadata"]
            current = await self._kube.get(REPOSITORIES, metadata["namespace"], metadata["name"])
            if current["metadata"]["uid"] == metadata["uid"]:
                # The report acknowledges the version that was read at the start: later changes are for the next sync.
                report = failure_report(raw, failure, activity.info().attempt)
                await self._reporter.report(current, report)
        except NotFound:
            return
        except Exception as error:  # noqa: BLE001 - the failure itself is what matters
            activity.logger.warning("cannot report %r in the status: %s", failure.message, error)


def _check_isolated(request: SyncRequest, raw: dict[str, Any] | None) -> None:
    """Refuse to sync a Repository among others whose last sync ended its processes: no other worker is put at risk.

    Raises:
        Lost: It is such a one.
    """
    stalled = raw_condition(raw or {}, ConditionType.STALLED)
    if not request.deaths and stalled.get("reason") == Reason.PHASE_CRASHED:
        raise Lost(Reason.PHASE_CRASHED, "the last sync ended its processes")


def _summary(run: _Run) -> str:
    parts = [f"{run.objects} package revisions", f"{run.written} objects written"]
    if run.unsettled:
        parts.append(f"{run.unsettled} to be looked at again")
    if run.problems:
        parts.append(f"{len(run.problems)} left out")
    if run.incomplete:
        parts.append(f"{len(run.incomplete)} shown without what the Kptfile says")
    return ", ".join(parts)
