"""The report on content that is rendered, whichever phase rendered it."""

from collections.abc import Mapping
from typing import Any

from porchflow.activities.phases.phase import Target, acknowledged, run_of
from porchflow.activities.phases.self_lock import draft_lock
from porchflow.activities.rendering.kptfile_mirror import KptfileMirror
from porchflow.activities.reporting import Report, StatusReporter
from porchflow.api.conditions import Condition, ConditionStatus, ConditionType, Reason
from porchflow.api.names import RENDER_REQUEST_ANNOTATION
from porchflow.api.packagerevision import Lifecycle
from porchflow.kube.client import KubeClient


class RenderedReport:
    """Says that a draft is rendered, and Ready where nothing else is asked."""

    def __init__(self, kube: KubeClient, reporter: StatusReporter) -> None:
        """Take what the report is written with."""
        self._mirror = KptfileMirror(kube)
        self._reporter = reporter

    async def write(self, target: Target, files: Mapping[str, bytes], commit: str, **fields: Any) -> None:  # noqa: ANN401 - values of status fields
        """Report the rendered content of a draft.

        Args:
            target: The object.
            files: The content, for what the Kptfile says.
            commit: The draft commit that holds it.
            fields: More status fields to set.
        """
        obj = target.obj = await self.mirror(target.obj, files)
        request = target.annotations.get(RENDER_REQUEST_ANNOTATION)
        final = target.revision.spec.lifecycle is Lifecycle.DRAFT
        done = {**acknowledged(obj), "lastRun": run_of("Succeeded")} if final else {"lastRun": run_of("Running")}
        target.obj = await self._reporter.report(
            obj,
            Report(
                fields={"selfLock": draft_lock(target, commit), **fields, **done},
                conditions=_ready(obj) if final else _lifecycle_follows(obj),
                rendered=condition(obj, ConditionType.RENDERED, ConditionStatus.TRUE, Reason.RENDERED),
                render_fields=_answer(obj, request),
            ),
        )

    async def mirror(self, obj: dict[str, Any], files: Mapping[str, bytes]) -> dict[str, Any]:
        """Show what the Kptfile says; see `KptfileMirror.reflect`."""
        return await self._mirror.reflect(obj, files)


def _answer(obj: Mapping[str, Any], request: str | None) -> dict[str, Any]:
    """Return the status fields that say which request was rendered; none where nobody ever requested anything."""
    fields = {"renderingPrrResourceVersion": None, "observedPrrResourceVersion": request}
    return fields if request or fields.keys() & (obj.get("status") or {}).keys() else {}


def _ready(obj: dict[str, Any]) -> tuple[Condition, ...]:
    return (condition(obj, ConditionType.READY, ConditionStatus.TRUE, Reason.READY),)


def _lifecycle_follows(obj: dict[str, Any]) -> tuple[Condition, ...]:
    return (
        condition(obj, ConditionType.READY, ConditionStatus.FALSE, Reason.PENDING, "rendered; the lifecycle follows"),
        condition(obj, ConditionType.RECONCILING, ConditionStatus.TRUE, Reason.PROGRESSING, "moving the lifecycle"),
    )


def condition(
    obj: dict[str, Any], kind: ConditionType, status: ConditionStatus, reason: str, message: str = ""
) -> Condition:
    """Make a condition for the object's current generation."""
    return Condition(
        type=kind,
        status=status,
        reason=reason,
        message=message,
        observed_generation=obj["metadata"]["generation"],
    )
