"""Suspend phase: say that nothing is done, by whose word, why and until when. Nothing else is touched."""

from datetime import UTC, datetime

from porchflow.activities.definitions import PhaseInput, PhaseResult
from porchflow.activities.phases.phase import run_of
from porchflow.activities.rendering.rendered import condition
from porchflow.activities.reporting import Report, StatusReporter
from porchflow.api.conditions import ConditionStatus, ConditionType
from porchflow.api.intent import intent_key
from porchflow.api.suspension import suspension_of
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import NotFound
from porchflow.kube.kinds import PACKAGEREVISIONS
from porchflow.repositories.failures import Superseded


class SuspendPhase:
    """Reports suspensions."""

    def __init__(self, kube: KubeClient, reporter: StatusReporter) -> None:
        """Take what the phase works with."""
        self._kube = kube
        self._reporter = reporter

    async def run(self, request: PhaseInput) -> PhaseResult:
        """Report the suspension of an object. It needs no Repository, and takes the object into nobody's hands.

        Raises:
            Superseded: The object asks for something else.
            KubeError: The API server cannot be reached or refuses.
        """
        try:
            obj = await self._kube.get(PACKAGEREVISIONS, request.namespace, request.name)
        except NotFound:
            return PhaseResult(summary="the object is gone")
        suspension = suspension_of(obj["metadata"].get("annotations") or {})
        if intent_key(obj) != request.intent or suspension is None or not suspension.is_active(datetime.now(UTC)):
            raise Superseded
        # Suspended is never healthy: who waits for Ready waits until it goes on.
        conditions = (
            condition(obj, ConditionType.READY, ConditionStatus.FALSE, suspension.reason, suspension.message),
            condition(obj, ConditionType.SUSPENDED, ConditionStatus.TRUE, suspension.reason, suspension.message),
        )
        await self._reporter.report(obj, Report(fields={"lastRun": run_of("Suspended")}, conditions=conditions))
        return PhaseResult(summary=suspension.message)
