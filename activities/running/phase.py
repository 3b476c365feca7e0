"""The frame of every phase: read the object, heartbeat, own the object, report the outcome or the failure."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from temporalio import activity

from porchflow.activities.definitions import PhaseInput, PhaseResult
from porchflow.activities.heartbeat import heartbeating
from porchflow.activities.objects import change_object, owned_metadata
from porchflow.activities.running.handoff import JustSeen, Seen
from porchflow.activities.running.local_attempts import FirstAttempts
from porchflow.activities.running.lost_tasks import check_task
from porchflow.activities.running.outcome import Outcome
from porchflow.activities.running.reports import Reports
from porchflow.activities.target import Target, check_spec
from porchflow.api.error_kinds import ErrorKind
from porchflow.api.models.packagerevision import PackageRevision
from porchflow.api.work.intent import intent_key
from porchflow.api.work.needs import Phase
from porchflow.gitrepo.errors import GitUnavailable
from porchflow.gitrepo.refs import PackageLocation
from porchflow.kube.background import in_background
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import NotFound
from porchflow.kube.kinds import PACKAGEREVISIONS
from porchflow.repositories.access import Repositories, RepositoryAccess
from porchflow.repositories.failures import PhaseError, Superseded, classify, out_of_memory, to_application_error

_ANNOUNCE_AFTER_SECONDS = 1.0
"""A shorter rendering is not announced: the extra write would cost more than the message is worth."""

_REPORTED_BY_LOCAL_ATTEMPTS = frozenset({ErrorKind.STALLED, ErrorKind.SUPERSEDED})
"""After any other failure the phase continues at once as an activity of its own, which reports."""


PhaseBody = Callable[[Target, PhaseInput], Awaitable[Outcome]]
ObjectBody = Callable[[dict[str, Any]], Awaitable[Outcome | None]]


def as_it_is(failure: PhaseError) -> PhaseError:
    """Return a failure unchanged: the way to sort failures of most phases."""
    return failure


class PhaseRunner:
    """Runs the body of a phase in the frame that phases share. A body reads and moves Git; the runner reports."""

    def __init__(self, kube: KubeClient, repositories: Repositories, reports: Reports, seen: JustSeen) -> None:
        """Create the runner.

        Args:
            kube: Reads objects and takes ownership of them.
            repositories: Opens the Repository of an object.
            reports: Writes outcomes and failures.
            seen: Objects that the observe activity has just read.
        """
        self._seen = seen
        self._kube = kube
        self._repositories = repositories
        self._reports = reports
        self._first = FirstAttempts()

    async def run(
        self,
        phase: Phase,
        request: PhaseInput,
        body: PhaseBody | None = None,
        *,
        alone: ObjectBody | None = None,
        sort: Callable[[PhaseError], PhaseError] = as_it_is,
    ) -> PhaseResult:
        """Run a phase on the live object: read it, do the work, report the outcome.

        Args:
            phase: The phase; a report of its failure depends on it.
            request: Names the object and the intent that the pass works on.
            body: The work in Git.
            alone: The work that needs neither Repository nor Git. Where it returns None, `body` runs.
            sort: Maps a failure to the failure to report.

        Returns:
            The result for the workflow; also when the object is gone.

        Raises:
            ApplicationError: With the error's kind as its type; the object's status says the same.
        """
        obj: dict[str, Any] | None = None
        target: Target | None = None
        async with heartbeating():
            try:
                await check_task(request)
                seen = await self._read(request)
                if seen is None:
                    return PhaseResult(summary="the object is gone")
                obj = seen.obj
                outcome = await alone(obj) if alone is not None else None
                if outcome is not None or body is None:
                    return await self._reports.conclude(obj, outcome or Outcome(PhaseResult(summary="nothing to do")))
                target = await self._target(seen)
                async with self._attempt(target.repository.remote.place):
                    outcome = await body(target, request)
                    return await self._reports.conclude(target.obj, outcome)
            except MemoryError:
                raise to_application_error(out_of_memory()) from None
            except Exception as error:  # noqa: BLE001 - every error is sorted, shown and given to Temporal
                failure = sort(classify(error, since=activity.info().scheduled_time))
                told = not activity.info().is_local or failure.kind in _REPORTED_BY_LOCAL_ATTEMPTS
                if obj is not None and told:
                    failure = await self._reports.fail(phase, target.obj if target is not None else obj, failure)
                # Not `from error`: Temporal would store the messages of all causes, which may hold secrets.
                raise to_application_error(failure) from None

    @contextlib.asynccontextmanager
    async def announced(self, target: Target) -> AsyncIterator[None]:
        """Announce a rendering in the status if the body of the context takes longer than a second."""

        async def announce() -> None:
            await asyncio.sleep(_ANNOUNCE_AFTER_SECONDS)
            target.obj = await self._reports.announce_rendering(target.obj)

        async with in_background(announce()):
            yield

    @contextlib.asynccontextmanager
    async def _attempt(self, place: str) -> AsyncIterator[None]:
        """Bound the time of a local attempt on a Git repository."""
        if not activity.info().is_local:
            yield
            return
        async with self._first.attempt(place):
            try:
                yield
            except GitUnavailable:
                self._first.slow(place)
                raise

    async def _read(self, request: PhaseInput) -> Seen | None:
        seen = self._seen.take(request.namespace, request.name, request.version) if activity.info().is_local else None
        try:
            seen = seen or Seen(await self._kube.get(PACKAGEREVISIONS, request.namespace, request.name))
        except NotFound:
            return None
        if intent_key(seen.obj) != request.intent:
            raise Superseded
        return seen

    async def _target(self, seen: Seen) -> Target:
        obj = seen.obj
        metadata, spec = obj["metadata"], PackageRevision.model_validate(obj).spec
        check_spec(metadata["name"], spec.repository, spec.package_name, spec.workspace_name)
        repository = await self._repositories.access(metadata["namespace"], spec.repository, seen=seen.repository)
        location = PackageLocation(
            directory=repository.directory, package=spec.package_name, workspace=spec.workspace_name
        )
        if "deletionTimestamp" not in metadata:
            obj = await self._own(obj, repository)
        return Target(obj=obj, repository=repository, location=location)

    async def _own(self, obj: dict[str, Any], repository: RepositoryAccess) -> dict[str, Any]:
        """Add finalizer, owner and label where missing, before anything is written in Git for the object."""

        async def own(current: dict[str, Any]) -> dict[str, Any]:
            metadata = current["metadata"]
            patch = owned_metadata(metadata, repository)
            if not patch:
                return current
            patch["resourceVersion"] = metadata["resourceVersion"]
            return await self._kube.merge_patch(
                PACKAGEREVISIONS, metadata["namespace"], metadata["name"], {"metadata": patch}
            )

        return await change_object(self._kube, obj, own)
