"""What every phase does around its work: read the object, keep alive, own the object, report what went wrong."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from temporalio import activity

from activities.definitions import ErrorKind, Phase, PhaseInput, PhaseResult
from activities.failures import PhaseError, Stalled, Superseded, classify, to_application_error
from activities.reporting import Report, StatusReporter
from activities.repositories import Repositories, RepositoryAccess
from api.conditions import Condition, ConditionStatus, ConditionType, Reason
from api.intent import intent_key
from api.names import (
    FINALIZER,
    LATEST_REVISION_LABEL,
    RECONCILE_NOW_ANNOTATION,
    RENDER_REQUEST_ANNOTATION,
    REPOSITORY_API_VERSION,
    object_name,
)
from api.packagerevision import PackageRevision
from gitrepo.refs import PackageLocation
from kube.client import KubeClient
from kube.errors import NotFound
from kube.resources import PACKAGEREVISIONS

_HEARTBEATS_PER_TIMEOUT = 3


@dataclass
class Target:
    """The object that a phase works on, with where its package lives."""

    obj: dict[str, Any]
    """As the API server serves it; replaced by what each report returns."""
    repository: RepositoryAccess
    location: PackageLocation

    @property
    def revision(self) -> PackageRevision:
        """The object, typed."""
        return PackageRevision.model_validate(self.obj)

    @property
    def annotations(self) -> dict[str, str]:
        """The object's annotations."""
        annotations: dict[str, str] = self.obj["metadata"].get("annotations") or {}
        return annotations


PhaseBody = Callable[[Target, PhaseInput], Awaitable[PhaseResult]]
GoneBody = Callable[[dict[str, Any]], Awaitable[PhaseResult]]


class PhaseRunner:
    """Runs the body of a phase with everything that phases share."""

    def __init__(self, kube: KubeClient, repositories: Repositories, reporter: StatusReporter) -> None:
        """Take the clients that phases share."""
        self._kube = kube
        self._repositories = repositories
        self._reporter = reporter

    async def run(
        self, phase: Phase, request: PhaseInput, body: PhaseBody, without_repository: GoneBody | None = None
    ) -> PhaseResult:
        """Run a phase on the live object.

        Args:
            phase: Which phase, for what is shown.
            request: Names the object and the intent the pass works on.
            body: The work.
            without_repository: Runs instead of `body` where the object's Repository does not exist.

        Returns:
            What the body returned; a note when the object is gone.

        Raises:
            ApplicationError: With the error's kind as its type; the object's status says the same.
        """
        obj: dict[str, Any] | None = None
        async with heartbeating():
            try:
                obj = await self._read(request)
                if obj is None:
                    return PhaseResult(summary="the object is gone")
                name = (obj.get("spec") or {}).get("repository", "")
                if without_repository and await self._repositories.raw(request.namespace, name) is None:
                    return await without_repository(obj)
                target = await self._target(obj)
                obj = target.obj
                return await body(target, request)
            except Exception as error:
                failure = classify(error)
                await self._report_failure(phase, obj, failure)
                raise to_application_error(failure) from error

    async def _read(self, request: PhaseInput) -> dict[str, Any] | None:
        try:
            obj = await self._kube.get(PACKAGEREVISIONS, request.namespace, request.name)
        except NotFound:
            return None
        if intent_key(obj) != request.intent:
            raise Superseded
        return obj

    async def _target(self, obj: dict[str, Any]) -> Target:
        metadata, spec = obj["metadata"], PackageRevision.model_validate(obj).spec
        _check_spec(metadata["name"], spec.repository, spec.package_name, spec.workspace_name)
        repository = await self._repositories.access(metadata["namespace"], spec.repository)
        location = PackageLocation(
            directory=repository.directory, package=spec.package_name, workspace=spec.workspace_name
        )
        if "deletionTimestamp" not in metadata:
            obj = await self._own(obj, repository)
        return Target(obj=obj, repository=repository, location=location)

    async def _own(self, obj: dict[str, Any], repository: RepositoryAccess) -> dict[str, Any]:
        """Add finalizer, owner and label where missing, before anything is written in Git for the object."""
        patch = _ownership_patch(obj["metadata"], repository)
        if not patch:
            return obj
        metadata = obj["metadata"]
        patch["resourceVersion"] = metadata["resourceVersion"]
        return await self._kube.merge_patch(
            PACKAGEREVISIONS, metadata["namespace"], metadata["name"], {"metadata": patch}
        )

    async def _report_failure(self, phase: Phase, obj: dict[str, Any] | None, failure: PhaseError) -> None:
        if obj is None or failure.kind is ErrorKind.SUPERSEDED:
            return
        try:
            await self._reporter.report(obj, failure_report(phase, obj, failure))
        except Exception as error:  # noqa: BLE001 - the phase's own error is the one to raise
            activity.logger.warning("cannot report %r in the status: %s", failure.message, error)


def _check_spec(name: str, repository: str, package: str, workspace: str) -> None:
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


def _ownership_patch(metadata: dict[str, Any], repository: RepositoryAccess) -> dict[str, Any]:
    patch: dict[str, Any] = {}
    finalizers = metadata.get("finalizers") or []
    if FINALIZER not in finalizers:
        patch["finalizers"] = [*finalizers, FINALIZER]
    owners = metadata.get("ownerReferences") or []
    if not any(owner["kind"] == "Repository" and owner["name"] == repository.name for owner in owners):
        owner = {
            "apiVersion": REPOSITORY_API_VERSION,
            "kind": "Repository",
            "name": repository.name,
            "uid": repository.uid,
        }
        patch["ownerReferences"] = [*owners, owner]
    if LATEST_REVISION_LABEL not in (metadata.get("labels") or {}):
        patch["labels"] = {LATEST_REVISION_LABEL: "false"}
    return patch


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


def failure_report(phase: Phase, obj: dict[str, Any], failure: PhaseError) -> Report:
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
            fields={**acknowledged(obj), "lastRun": run_of("Stalled")},
            conditions=(ready, stalled),
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
    return Report(fields={"lastRun": run_of("Waiting" if waiting else "Retrying")}, conditions=(ready, reconciling))


def _unrendered(phase: Phase, obj: dict[str, Any], ready: Condition) -> dict[str, Any]:
    """Return what a failed source or render says of the rendering; the request that failed is not rendered again."""
    if phase not in {Phase.SOURCE, Phase.RENDER}:
        return {}
    annotations = obj["metadata"].get("annotations") or {}
    return {
        "rendered": ready.model_copy(update={"type": ConditionType.RENDERED}),
        "render_fields": {
            "renderingPrrResourceVersion": None,
            "observedPrrResourceVersion": annotations.get(RENDER_REQUEST_ANNOTATION),
        },
    }


@contextlib.asynccontextmanager
async def heartbeating() -> AsyncIterator[None]:
    """Heartbeat in the background, so that a lost worker is noticed and a cancellation arrives."""
    timeout = activity.info().heartbeat_timeout
    if timeout is None:
        yield
        return
    task = asyncio.create_task(_heartbeat_forever(timeout.total_seconds() / _HEARTBEATS_PER_TIMEOUT))
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _heartbeat_forever(every: float) -> None:
    while True:
        activity.heartbeat()
        await asyncio.sleep(every)
