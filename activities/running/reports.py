"""The one place where phases write: the outcome of a phase, or its failure, becomes one report of the object."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from temporalio import activity

from porchflow.activities.definitions import PhaseResult
from porchflow.activities.objects import change_object
from porchflow.activities.rendering.kptfile_mirror import KptfileMirror, hidden_labels, record_of
from porchflow.activities.rendering.kptfile_upstreams import upstreams_of
from porchflow.activities.reporting import StatusReporter, acknowledged, answered
from porchflow.activities.run_links import run_url
from porchflow.activities.running.latest_label import LatestLabel
from porchflow.activities.running.outcome import Outcome, Standing, failed
from porchflow.api.error_kinds import ErrorKind
from porchflow.api.models.conditions import Condition, ConditionStatus, ConditionType, Reason, condition
from porchflow.api.names import FINALIZER
from porchflow.api.work.needs import Phase, facts_of, plan
from porchflow.kpt.format.files import KPTFILE
from porchflow.kube.changes import let_go
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.errors import NotFound
from porchflow.kube.events import EventRecorder
from porchflow.kube.kinds import PACKAGEREVISIONS
from porchflow.kube.status import Report
from porchflow.repositories.failures import PhaseError, Superseded, classify

_TOLD_LABELS = 10
"""Labels of a Kptfile that have an Event each; all others are not shown either."""


class Reports:
    """Writes outcomes and failures of phases.

    The mirror of the Kptfile is written first, then the status in one write. The next pass repeats a phase that is cut
    off before that write; after it the report is complete.
    """

    def __init__(self, kube: KubeClient, events: EventRecorder, *, ui: str = "") -> None:
        """Create the writer.

        Args:
            kube: The API server.
            events: Records the Events.
            ui: Address of Temporal's UI; empty for none.
        """
        self._kube = kube
        self._ui = ui
        self._status = StatusReporter(kube, events)
        self._mirror = KptfileMirror(kube)
        self._latest = LatestLabel(kube)

    async def conclude(self, obj: Object, outcome: Outcome) -> PhaseResult:
        """Write the outcome of a phase.

        Args:
            obj: The raw object as last read.
            outcome: The outcome that the body of the phase returned.

        Returns:
            The result for the workflow.

        Raises:
            Superseded: The live object asks for something newer.
            InvalidPackage: The Kptfile that was rendered cannot be read.
            KubeError: The API server cannot be reached or refuses.
        """
        result = outcome.result
        record: dict[str, Any] = {}
        if outcome.files is not None:
            text = outcome.files.get(KPTFILE)
            obj, record = await self._mirror.reflect(obj, text, outcome.wish), record_of(text)
            record |= upstreams_of(outcome.files)
        elif outcome.kptfile is not None:
            obj = await self._mirror.reflect(obj, outcome.kptfile, stays=True)
        if outcome.standing is not None:
            rendered = None
            if outcome.files is not None:
                rendered = condition(ConditionType.RENDERED, ConditionStatus.TRUE, Reason.RENDERED)
            obj = await self._status.report(
                obj, _report(obj, outcome.standing, {**outcome.fields, **record}, rendered, self._ui)
            )
        if outcome.relabels:
            await self._latest.refresh(obj, is_first=outcome.is_first)
        if outcome.lets_go:
            try:
                await change_object(self._kube, obj, lambda each: let_go(self._kube, PACKAGEREVISIONS, each, FINALIZER))
            except NotFound:
                result = PhaseResult(summary="the object is gone")
        for reason, message in (*outcome.warnings, *_hidden(outcome)):
            self._status.record(obj, reason, message)
        return result

    async def fail(self, phase: Phase, obj: Object, failure: PhaseError) -> PhaseError:
        """Report a failure in the status.

        Args:
            phase: The phase that failed.
            obj: The raw object as last read.
            failure: The error.

        Returns:
            The failure to raise. It is another one where the object asks for something newer, or where a Stalled
            failure could not be reported, so that Temporal retries until the user can read it.
        """
        record: dict[str, Any] = {}
        if failure.files is not None:
            try:
                text = failure.files.get(KPTFILE)
                obj, record = await self._mirror.reflect(obj, text), record_of(text)
                record |= upstreams_of(failure.files)
            except Exception as error:  # noqa: BLE001 - sorted
                failure = classify(error)
        if failure.kind is ErrorKind.SUPERSEDED:
            return failure
        standing, unrendered = failed(failure, activity.info().attempt), None
        if failure.kind is ErrorKind.STALLED and _was_to_render(phase, obj):
            # The report answers the render request, so that it is not rendered again.
            unrendered = _unrendered(phase, failure)
        report = replace(
            _report(obj, standing, {**failure.fields, **record}, unrendered, self._ui), event=failure.event
        )
        try:
            await self._status.report(obj, report)
        except Superseded as superseded:
            return superseded
        except Exception as error:  # noqa: BLE001 - sorted below
            activity.logger.warning("cannot report %r in the status: %s", failure.message, error)
            unreported = classify(error)
            if failure.kind is ErrorKind.STALLED and unreported.kind is ErrorKind.TRANSIENT:
                return unreported
        return failure

    async def announce_rendering(self, obj: Object) -> Object:
        """See `StatusReporter.announce_rendering`."""
        return await self._status.announce_rendering(obj)


def _hidden(outcome: Outcome) -> list[tuple[Reason, str]]:
    hidden = hidden_labels(outcome.files) if outcome.files is not None else ()
    return [(Reason.LABEL_NOT_SHOWN, message) for message in hidden[:_TOLD_LABELS]]


def _was_to_render(phase: Phase, obj: Object) -> bool:
    """Whether a phase that stalled leaves a rendering undone; the lifecycle phase does if there was no draft to render.

    The report then answers the request. Otherwise it would stay pending, and every look would start a run in vain.
    """
    if phase is Phase.LIFECYCLE:
        return plan(facts_of(obj, datetime.now(UTC), access_changed=True))[:1] == [Phase.RENDER]
    if phase is Phase.SUBPACKAGE:
        return facts_of(obj, datetime.now(UTC), access_changed=True).render_pending
    return phase in {Phase.SOURCE, Phase.RENDER}


def _unrendered(phase: Phase, failure: PhaseError) -> Condition:
    """Return the condition of content that a phase left unrendered.

    Where a subpackage operation failed before it, the next intent renders any draft.
    """
    reason = Reason.PENDING if phase is Phase.SUBPACKAGE else failure.reason
    return condition(ConditionType.RENDERED, ConditionStatus.FALSE, reason, failure.message)


def _report(obj: Object, standing: Standing, fields: Mapping[str, Any], rendered: Condition | None, ui: str) -> Report:
    changes = {**fields, **(acknowledged(obj) if standing.handled else {}), "lastRun": _run(standing, ui)}
    if rendered is None:
        return Report(changes, standing.conditions)
    return Report({**changes, **answered(obj)}, (*standing.conditions, rendered))


def _run(standing: Standing, ui: str) -> dict[str, str]:
    info = activity.info()
    run = info.workflow_run_id or ""
    url = run_url(ui, info.workflow_namespace or "", info.workflow_id or "", run)
    return {"runID": run, "outcome": standing.run.value, **({"url": url} if url else {})}
