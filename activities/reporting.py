"""Status of a PackageRevision, written by the field managers of Porch."""

from collections.abc import Mapping
from typing import Any

from temporalio import activity

from porchflow.activities.objects import change_object, check_intent
from porchflow.api.models.conditions import ConditionStatus, ConditionType, Reason, condition, raw_condition
from porchflow.api.names import FIELD_MANAGER, RECONCILE_NOW_ANNOTATION, RENDER_FIELD_MANAGER, RENDER_REQUEST_ANNOTATION
from porchflow.api.work.subpackage import forgotten_operation
from porchflow.kube.changes import Write, apply_part
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.errors import KubeError
from porchflow.kube.events import EventRecorder
from porchflow.kube.kinds import PACKAGEREVISIONS
from porchflow.kube.status import Report, StatusOwner, StatusWriter, conditions_of
from porchflow.repositories.failures import PhaseError

_RENDER_FIELDS = ("renderingPrrResourceVersion", "observedPrrResourceVersion")
_OWNER = StatusOwner(
    PACKAGEREVISIONS,
    FIELD_MANAGER,
    (
        "observedGeneration",
        "creationSource",
        "selfLock",
        "upstreamLock",
        "revision",
        "publishedBy",
        "publishedAt",
        "proposal",
        "resourcesSizeBytes",
        "packageMetadata",
        "lastSubpackageOperationHash",
        "lastSubpackageChange",
        "subpackageUpstreams",
        "upstreamKeys",
        "dependencyTruncated",
        "observedReconcileNow",
        "lastRun",
        *_RENDER_FIELDS,
    ),
    shared=(ConditionType.RENDERED,),
    check=check_intent,
)


class StatusReporter(StatusWriter):
    """The only writer of status and Events of PackageRevisions.

    A report is one write, of the main field manager, so that a crash never leaves half of it. Porch's render field
    manager owns a part of the status: `Rendered`, and which request was rendered. A second write applies that part with
    the same values. It adds nothing new: if it fails, the next report repeats it.
    """

    def __init__(self, kube: KubeClient, events: EventRecorder) -> None:
        super().__init__(kube, events, _OWNER)

    async def report(self, obj: Object, report: Report) -> Object:
        """See `StatusWriter.report`.

        Raises:
            Superseded: The live object asks for something newer.
            KubeError: The API server cannot be reached or refuses.
        """
        after = await super().report(obj, report)
        return await self._claim(after, report) if _unclaimed(after, report) else after

    async def announce_rendering(self, obj: Object) -> Object:
        """Set `Rendered` to Unknown while a rendering is under way. A failure is only logged: the phase reports later.

        Returns:
            The object as it is now.
        """

        async def apply(current: Object) -> Object:
            return await self._apply_status(current, _rendering(current))

        after = await self._kindly(obj, apply)
        self._tell(obj, after)
        return after

    async def _claim(self, obj: Object, report: Report) -> Object:
        async def apply(current: Object) -> Object:
            part = {"status": _rendered(current, report)}
            return await apply_part(self._kube, PACKAGEREVISIONS, current, part, field_manager=RENDER_FIELD_MANAGER)

        return await self._kindly(obj, apply)

    async def _kindly(self, obj: Object, write: Write) -> Object:
        try:
            return await change_object(self._kube, obj, write)
        except (PhaseError, KubeError) as error:
            activity.logger.info("not written, which the next report makes good: %s", error)
            return obj


def acknowledged(obj: Mapping[str, Any]) -> dict[str, Any]:
    """Return the status fields that record a raw object's generation and reconcile-now token as handled.

    A subpackage operation that was taken away since is forgotten.
    """
    annotations = obj["metadata"].get("annotations") or {}
    return {
        "observedGeneration": obj["metadata"]["generation"],
        "observedReconcileNow": annotations.get(RECONCILE_NOW_ANNOTATION),
        **forgotten_operation(obj),
    }


def answered(obj: Mapping[str, Any]) -> dict[str, Any]:
    """Return the status fields that record an object's render request as rendered; empty if there never was one."""
    request = _request(obj)
    said = any(name in _RENDER_FIELDS for name in obj.get("status") or {})
    return {"renderingPrrResourceVersion": None, "observedPrrResourceVersion": request} if request or said else {}


def _request(obj: Mapping[str, Any]) -> str | None:
    request: str | None = (obj["metadata"].get("annotations") or {}).get(RENDER_REQUEST_ANNOTATION)
    return request


def _rendering(obj: Object) -> dict[str, Any]:
    """Return the main field manager's part of the status of an object that is being rendered; other fields stay."""
    before = obj.get("status") or {}
    kept = {name: before[name] for name in _OWNER.fields if name in before}
    if request := _request(obj):
        kept["renderingPrrResourceVersion"] = request
    rendered = condition(ConditionType.RENDERED, ConditionStatus.UNKNOWN, Reason.PENDING, "rendering")
    others = [raw_condition(obj, kind) for kind in ConditionType if kind is not ConditionType.RENDERED]
    return {**kept, "conditions": [*filter(None, others), *conditions_of(obj, (rendered,))]}


def _rendered(obj: Object, report: Report) -> dict[str, Any]:
    """Return the part of a status that the render field manager owns after a report."""
    status = {name: value for name, value in _render_fields(obj).items() if report.fields.get(name, value) is not None}
    rendered = raw_condition(obj, ConditionType.RENDERED)
    return {**status, "conditions": [rendered] if rendered else []}


def _render_fields(obj: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in (obj.get("status") or {}).items() if name in _RENDER_FIELDS}


def _unclaimed(obj: Mapping[str, Any], report: Report) -> bool:
    """Whether the render field manager has to write after a report.

    It owns nothing until a request was rendered, which saves one write for every new draft.
    """
    managers = obj["metadata"].get("managedFields") or []
    owned = next((each for each in managers if each["manager"] == RENDER_FIELD_MANAGER), None)
    told = {f"f:{name}" for name in _render_fields(obj)}
    if owned is None or not told <= owned["fieldsV1"].get("f:status", {}).keys():
        return bool(told) or owned is not None
    return any(each.type == ConditionType.RENDERED for each in report.conditions)
