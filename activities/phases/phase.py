"""What every phase does around its work: read the object, keep alive, own the object, report what went wrong."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from temporalio import activity

from porchflow.activities.definitions import PhaseInput, PhaseResult
from porchflow.activities.objects import change_object, owned_metadata
from porchflow.activities.phases.handoff import JustSeen, Seen
from porchflow.activities.phases.local_attempts import FirstAttempts
from porchflow.activities.reporting import Report, StatusReporter
from porchflow.api.conditions import Condition, ConditionStatus, ConditionType, Reason
from porchflow.api.error_kinds import ErrorKind
from porchflow.api.intent import intent_key
from porchflow.api.names import (
    RECONCILE_NOW_ANNOTATION,
    RENDER_REQUEST_ANNOTATION,
    object_name,
)
from porchflow.api.needs import Facts, Phase, facts_of, plan
from porchflow.api.packagerevision import PackageRevision
from porchflow.gitrepo.errors import GitUnavailable
from porchflow.gitrepo.refs import PackageLocation
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import NotFound
from porchflow.kube.kinds import PACKAGEREVISIONS
from porchflow.repositories.access import Repositories, RepositoryAccess
from porchflow.repositories.failures import PhaseError, Stalled, Superseded, classify, to_application_error

_HEARTBEAT_SECONDS = 1.0
"""How soon a phase hears that it was superseded; one that is done sooner sends no heartbeat."""

_REPORTED_BY_LOCAL_ATTEMPTS = frozenset({ErrorKind.STALLED, ErrorKind.SUPERSEDED})
"""After any other failure the phase goes on at once as an activity of its own, which reports how it fares."""


@dataclass
class Target:
    """The object that a phase works on, with where its package lives."""

    obj: dict[str, Any]
    """As the API server serves it; replaced by what each report returns."""
    repository: RepositoryAccess
    location: PackageLocation
    fields: dict[str, Any] = field(default_factory=dict)
    """Status fields that hold even if the phase fails from here on: they are reported with the failure."""
    _typed: tuple[dict[str, Any], PackageRevision] | None = field(default=None, init=False, repr=False)

    @property
    def revision(self) -> PackageRevision:
        """The object, typed."""
        if self._typed is None or self._typed[0] is not self.obj:
            self._typed = self.obj, PackageRevision.model_validate(self.obj)
        return self._typed[1]

    @property
    def facts(self) -> Facts:
        """What the look before the phase found, of the object as it is now."""
        return _facts(self.obj)

    @property
    def namespace(self) -> str:
        """The object's namespace."""
        return str(self.obj["metadata"]["namespace"])

    @property
    def annotations(self) -> dict[str, str]:
        """The object's annotations."""
        annotations: dict[str, str] = self.obj["metadata"].get("annotations") or {}
        return annotations


PhaseBody = Callable[[Target, PhaseInput], Awaitable[PhaseResult]]
InsteadBody = Callable[[dict[str, Any]], Awaitable[PhaseResult | None]]


class PhaseRunner:
    """Runs the body of a phase with everything that phases share."""

    def __init__(self, kube: KubeClient, repositories: Repositories, reporter: StatusReporter, seen: JustSeen) -> None:
        """Take the clients that phases share, and what the look before a phase leaves for it."""
        self._seen = seen
        self._kube = kube
        self._repositories = repositories
        self._reporter = reporter
        self._first = FirstAttempts()

    async def run(
        self,
        phase: Phase,
        request: PhaseInput,
        body: PhaseBody,
        *,
        instead: InsteadBody | None = None,
        sort: Callable[[PhaseError], PhaseError] = lambda failure: failure,
    ) -> PhaseResult:
        """Run a phase on the live object.

        Args:
            phase: Which phase, for what is shown.
            request: Names the object and the intent the pass works on.
            body: The work.
            instead: Runs first, on the object alone; what it returns is the result, None lets `body` run.
            sort: Puts a failure as the phase has to see it.

        Returns:
            What the body returned; a note when the object is gone.

        Raises:
            ApplicationError: With the error's kind as its type; the object's status says the same.
        """
        obj: dict[str, Any] | None = None
        target: Target | None = None
        async with heartbeating():
            try:
                seen = await self._read(request)
                if seen is None:
                    return PhaseResult(summary="the object is gone")
                obj = seen.obj
                if instead and (done := await instead(obj)):
                    return done
                target = await self._target(seen)
                return await self._attempt(target, request, body)
            except Exception as error:  # noqa: BLE001 - every error is sorted, shown and given to Temporal
                failure = sort(classify(error))
                if activity.info().is_local and failure.kind not in _REPORTED_BY_LOCAL_ATTEMPTS:
                    pass
                elif target is not None:
                    failure = await self._report_failure(phase, target.obj, failure, target.fields)
                elif obj is not None:
                    failure = await self._report_failure(phase, obj, failure, {})
                # Not `from error`: Temporal would keep the words of every cause, whatever a library put into them.
                raise to_application_error(failure) from None

    async def _attempt(self, target: Target, request: PhaseInput, body: PhaseBody) -> PhaseResult:
        if not activity.info().is_local:
            return await body(target, request)
        place = target.repository.remote.place
        async with self._first.attempt(place):
            try:
                return await body(target, request)
            except GitUnavailable:
                self._first.slow(place)
                raise

    async def _read(self, request: PhaseInput) -> Seen | None:
        seen = self._seen.take(request.namespace, request.name) if activity.info().is_local else None
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

    async def _report_failure(
        self, phase: Phase, obj: dict[str, Any], failure: PhaseError, fields: dict[str, Any]
    ) -> PhaseError:
        """Show a failure in the status.

        Returns:
            The failure to raise: another one where the object came to ask for something newer, or where what a person
            has to know could not be told and must be tried again.
        """
        if failure.kind is ErrorKind.SUPERSEDED:
            return failure
        try:
            await self._reporter.report(obj, failure_report(phase, obj, failure, fields))
        except Superseded as superseded:
            return superseded
        except Exception as error:  # noqa: BLE001 - sorted below
            activity.logger.warning("cannot report %r in the status: %s", failure.message, error)
            unreported = classify(error)
            if failure.kind is ErrorKind.STALLED and unreported.kind is ErrorKind.TRANSIENT:
                return unreported
        return failure


def check_spec(name: str, repository: str, package: str, workspace: str) -> None:
    """Refuse an object whose name does not say what it is.

    Raises:
        Stalled: A part of the identity is empty, or the name is another.
    """
    missing = [
        field
        for field, value in (("repository", repository), ("packageName", package), ("workspaceName", workspace))
        if not value
    ]
    if missing:
        raise Stalled(Reason.INVALID_SPEC, f"spec.{missing[0]} is empty; set it to say which package this object means")
    wanted = object_name(repository, package, workspace)
    if name != wanted:
        raise Stalled(
            Reason.INVALID_SPEC,
            f"the object's name must say what it is: {name!r} has to be {wanted!r} (repository.package.workspace);"
            " create it under that name and delete this one",
        )


def run_of(outcome: str) -> dict[str, str]:
    """Return `status.lastRun`: which workflow run reported, and how it stands."""
    return {"runID": activity.info().workflow_run_id or "", "outcome": outcome}


def acknowledged(obj: dict[str, Any]) -> dict[str, Any]:
    """Return the status fields that say: this generation and this token were handled."""
    annotations = obj["metadata"].get("annotations") or {}
    return {
        "observedGeneration": obj["metadata"]["generation"],
        "observedReconcileNow": annotations.get(RECONCILE_NOW_ANNOTATION),
    }


def failure_report(phase: Phase, obj: dict[str, Any], failure: PhaseError, fields: dict[str, Any]) -> Report:
    """Return how a failed phase shows in the status: by the kind of error, with the same words everywhere."""
    generation = obj["metadata"]["generation"]
    ready = Condition(
        type=ConditionType.READY,
        status=ConditionStatus.FALSE,
        reason=failure.reason,
        message=failure.message,
        observed_generation=generation,
    )
    if failure.kind is ErrorKind.STALLED:
        stalled = ready.model_copy(update={"type": ConditionType.STALLED, "status": ConditionStatus.TRUE})
        return Report(
            fields={**fields, **acknowledged(obj), "lastRun": run_of("Stalled")},
            conditions=(ready, stalled),
            event=failure.event,
            **_unrendered(phase, obj, ready),
        )
    waiting = failure.kind is ErrorKind.WAITING
    retry = f"attempt {activity.info().attempt} failed, trying again: {failure.message}"
    reconciling = Condition(
        type=ConditionType.RECONCILING,
        status=ConditionStatus.TRUE,
        reason=Reason.WAITING if waiting else Reason.PROGRESSING_WITH_RETRY,
        message=failure.message if waiting else retry,
        observed_generation=generation,
    )
    outcome = run_of("Waiting" if waiting else "Retrying")
    return Report(fields={**fields, "lastRun": outcome}, conditions=(ready, reconciling))


def _unrendered(phase: Phase, obj: dict[str, Any], ready: Condition) -> dict[str, Any]:
    """Return what a failed source or render says of the rendering; the request that failed is not rendered again."""
    if phase not in {Phase.SOURCE, Phase.RENDER} and not _found_no_draft(phase, obj):
        return {}
    annotations = obj["metadata"].get("annotations") or {}
    return {
        "rendered": ready.model_copy(update={"type": ConditionType.RENDERED}),
        "render_fields": {
            "renderingPrrResourceVersion": None,
            "observedPrrResourceVersion": annotations.get(RENDER_REQUEST_ANNOTATION),
        },
    }


def _found_no_draft(phase: Phase, obj: dict[str, Any]) -> bool:
    """Whether the lifecycle phase speaks for a render phase that came first and found no draft to render.

    Else the request would be pending for ever, and the object in need of work that nobody can do.
    """
    return phase is Phase.LIFECYCLE and plan(_facts(obj))[:1] == [Phase.RENDER]


def _facts(obj: dict[str, Any]) -> Facts:
    return facts_of(obj, datetime.now(UTC), access_changed=True)


@contextlib.asynccontextmanager
async def heartbeating() -> AsyncIterator[None]:
    """Heartbeat in the background, so that a lost worker is noticed and a cancellation arrives."""
    if activity.info().is_local:
        # It is its workflow's own task that is alive.
        yield
        return
    task = asyncio.create_task(_heartbeat_forever())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _heartbeat_forever() -> None:
    while True:
        await asyncio.sleep(_HEARTBEAT_SECONDS)
        activity.heartbeat()
