"""Whether a PackageRevision needs work, and which phases: one judgement for all callers. Pure.

The watcher signals objects that need work, a pass of the workflow plans its phases, a sync leaves alone the objects
with work in progress, and a phase finds the work that is left: all by the same facts. An object for which `plan` has no
phase needs no work, so the status that a run left behind does not start it again.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel

from porchflow.api.models.conditions import ACCESS_REASONS, ConditionStatus, ConditionType, Reason
from porchflow.api.models.packagerevision import Lifecycle, RunOutcome
from porchflow.api.names import DISCOVERED_ANNOTATION, FINALIZER, RECONCILE_NOW_ANNOTATION, RENDER_REQUEST_ANNOTATION
from porchflow.api.work.package_metadata import asks_for_metadata
from porchflow.api.work.subpackage import operation_due
from porchflow.api.work.suspension import suspension_of, told_suspended

_Raw = Mapping[str, Any]
"""An object as the Kubernetes API serves it, or a part of one."""

_LIFECYCLES: Mapping[str, Lifecycle] = {lifecycle.value: lifecycle for lifecycle in Lifecycle}


class Phase(StrEnum):
    """The phases of one pass, in the order in which they run when nothing forces another (see `plan`)."""

    SOURCE = "Source"
    SUBPACKAGE = "Subpackage"
    """One subpackage of a draft is cloned or upgraded."""
    RENDER = "Render"
    LIFECYCLE = "Lifecycle"
    FINALIZE = "Finalize"
    SUSPEND = "Suspend"
    """Instead of all others, while the object is suspended."""


class Facts(BaseModel):
    """Facts of the live object that decide which phases have work.

    Workflows keep facts in their history: a new field has the default under which an old history plans the same.
    """

    exists: bool
    intent: str = ""
    """Digest of the intent (`porchflow.api.work.intent`)."""
    version: str = ""
    """The resourceVersion of the object that was read; empty where a phase has run since, which may have written it."""
    context: str = ""
    """Digest of the Repository that the object names, and of the PackageRevisions that its source names while the
    source is to be executed: an object that appears, changes or is published ends a wait for it. Not a fact of the
    object alone; empty where no other object was read.
    """
    deleting: bool = False
    finalizer: bool = False
    desired: Lifecycle | None = None
    current: Lifecycle | None = None
    """The lifecycle that the last report found in Git; None before the first report."""
    repository: str = ""
    package: str = ""
    workspace: str = ""
    source_pending: bool = False
    subpackage_pending: bool = False
    """The spec asks for a subpackage operation that the status does not record."""
    render_pending: bool = False
    """A rendering was requested and not reported, one that was begun has not ended, or the spec asks for other labels
    or annotations of the Kptfile.
    """
    report_pending: bool = False
    """The status does not report success: the generation or the token is newer than it, or the pass that wrote it could
    not end.
    """
    stalled: bool = False
    """A person must change something first. After that the object is not stalled."""
    awaits_sync: bool = False
    """Made by a sync, which writes the status a moment later."""
    suspended: bool = False
    """Nothing is reconciled until `resume_at`, or until a user ends the suspension."""
    suspension_told: bool = False
    """The status reports the suspension already, with the same message."""
    resume_at: datetime | None = None
    outcome: RunOutcome | None = None
    """How the run stands, as the status says; None before a run has reported."""
    reason: str = ""
    """The reason of the condition Ready, where that is False."""


def needs_work(obj: _Raw, now: datetime) -> bool:
    """Return whether a raw PackageRevision needs work.

    Args:
        obj: The object.
        now: When, with a time zone; a suspension may have an end.
    """
    return bool(plan(facts_of(obj, now)))


def stalled_on_access(obj: _Raw, now: datetime) -> bool:
    """Return whether a raw PackageRevision that needs no work would, if its Repository or a Secret were mended."""
    return bool(plan(facts_of(obj, now, access_changed=True))) and not needs_work(obj, now)


def plan(facts: Facts) -> list[Phase]:
    """Return the phases that have work, in the order to run them; empty when nothing is to be done.

    A phase with nothing to do is left out, so it costs no activity. The last phase of the list reports `Ready`.
    """
    if not facts.exists:
        return []
    if facts.suspended and (facts.finalizer or not facts.deleting):
        return [] if facts.suspension_told else [Phase.SUSPEND]
    if facts.deleting:
        return [Phase.FINALIZE] if facts.finalizer else []
    if facts.desired is None:
        # Nothing is made in Git for an object without a source; the lifecycle phase reports that.
        return [Phase.LIFECYCLE] if facts.report_pending else []
    if facts.awaits_sync or (facts.stalled and not _has_newer_content(facts)):
        return []
    return _plan_of_live(facts)


def _plan_of_live(facts: Facts) -> list[Phase]:
    phases: list[Phase] = []
    if _rejected(facts):
        # A reject comes first: a package whose render fails must still get out of Proposed to be mended.
        phases.append(Phase.LIFECYCLE)
    if facts.source_pending:
        phases.append(Phase.SOURCE)
    if _subpackage_due(facts):
        phases.append(Phase.SUBPACKAGE)
    if _render_due(facts):
        phases.append(Phase.RENDER)
    if _lifecycle_due(facts, phases):
        phases.append(Phase.LIFECYCLE)
    return phases


def _rejected(facts: Facts) -> bool:
    return facts.desired is Lifecycle.DRAFT and facts.current is Lifecycle.PROPOSED


def _in_draft(facts: Facts) -> bool:
    unknown = facts.current is None and facts.desired is not None and not facts.desired.is_published
    return facts.current is Lifecycle.DRAFT or unknown


def _has_newer_content(facts: Facts) -> bool:
    """Return whether the stalled object is a draft with newer content to render: it may be the awaited mend.

    An object that stalled on its way out of Proposed is no draft yet, however new the request.
    """
    return facts.render_pending and _in_draft(facts)


def _will_be_draft(facts: Facts) -> bool:
    """Whether the content can be changed by the time that its phases run."""
    return _in_draft(facts) or _rejected(facts)


def _subpackage_due(facts: Facts) -> bool:
    """Whether a subpackage operation is to be done, or to be refused because there is no draft.

    A proposed deletion is in no one's way: the content goes.
    """
    return facts.subpackage_pending and facts.desired is not Lifecycle.DELETION_PROPOSED


def _render_due(facts: Facts) -> bool:
    if facts.source_pending:
        return True
    return (facts.render_pending or _subpackage_due(facts)) and _will_be_draft(facts)


def _lifecycle_due(facts: Facts, phases: list[Phase]) -> bool:
    current = Lifecycle.DRAFT if facts.source_pending else facts.current
    if Phase.LIFECYCLE in phases:
        return False
    if facts.desired is Lifecycle.DRAFT and Phase.RENDER in phases:
        return False
    return facts.desired is not current or facts.report_pending or bool(phases)


def facts_of(obj: _Raw, now: datetime, *, access_changed: bool = False) -> Facts:
    """Return the facts of a raw PackageRevision; `context` is left empty, because no other object is read.

    Args:
        obj: The object as the API server has it.
        now: When, with a time zone; a suspension may have an end.
        access_changed: Whether the Repository or a Secret may have changed since the status was written. An object that
            stalled for want of access is then worth another attempt. A workflow always passes True: a signal does not
            carry its cause.
    """
    metadata, spec, status = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}
    annotations = metadata.get("annotations") or {}
    conditions = {each.get("type"): each for each in status.get("conditions") or []}
    desired = _LIFECYCLES.get(spec.get("lifecycle") or "")
    token_pending = newer(annotations.get(RECONCILE_NOW_ANNOTATION), status.get("observedReconcileNow"))
    fresh = metadata.get("generation", 0) == status.get("observedGeneration", 0) and not token_pending
    stalled = fresh and _is_stalled(metadata, conditions, access_changed=access_changed)
    render_requested = newer(annotations.get(RENDER_REQUEST_ANNOTATION), status.get("observedPrrResourceVersion"))
    ready = _status(conditions, ConditionType.READY) == ConditionStatus.TRUE
    asked = token_pending or render_requested
    return Facts(
        exists=True,
        deleting="deletionTimestamp" in metadata,
        finalizer=FINALIZER in (metadata.get("finalizers") or []),
        desired=desired,
        current=desired if fresh and ready else lifecycle_in_git(status),
        repository=spec.get("repository") or "",
        package=spec.get("packageName") or "",
        workspace=spec.get("workspaceName") or "",
        source_pending=bool(spec.get("source")) and not status.get("creationSource"),
        subpackage_pending=operation_due(obj),
        render_pending=asked
        or _render_unfinished(status, conditions, fresh=fresh, stalled=stalled)
        or (desired is Lifecycle.PROPOSED and _is_unseen(spec, status) and not stalled)
        or (asks_for_metadata(obj) and not stalled),
        report_pending=not stalled and not (fresh and ready and not _is_under_way(conditions)),
        stalled=stalled,
        awaits_sync=DISCOVERED_ANNOTATION in annotations and metadata.get("generation") == 1 and not (status or asked),
        **_suspension(annotations, status, now),
        **_standing(status, conditions),
    )


def _standing(status: _Raw, conditions: _Raw) -> dict[str, Any]:
    """Return what the status says of the run: it is shown, and decides nothing."""
    said = (status.get("lastRun") or {}).get("outcome")
    unready = _status(conditions, ConditionType.READY) == ConditionStatus.FALSE
    return {
        "outcome": RunOutcome(said) if said in set(RunOutcome) else None,
        "reason": conditions[ConditionType.READY].get("reason", "") if unready else "",
    }


def newer(asked: str | None, handled: str | None) -> bool:
    """Return whether an annotation requests something that the status does not echo; an absent one requests nothing."""
    return bool(asked) and asked != (handled or "")


def lifecycle_in_git(status: _Raw) -> Lifecycle | None:
    """Return the lifecycle that the last report found in Git, from the ref that the self lock of a raw status names."""
    if status.get("revision"):
        # Checked first: a package may live in a directory with the name of the drafts' branches.
        return Lifecycle.PUBLISHED
    ref = ((status.get("selfLock") or {}).get("git") or {}).get("ref") or ""
    if ref.startswith("drafts/"):
        return Lifecycle.DRAFT
    if ref.startswith("proposed/"):
        return Lifecycle.PROPOSED
    return Lifecycle.PUBLISHED if ref else None


def _status(conditions: _Raw, kind: ConditionType) -> str:
    return str((conditions.get(kind) or {}).get("status") or "")


def _is_under_way(conditions: _Raw) -> bool:
    """Return whether the status reports work in progress. Where no run exists, it was lost before its end."""
    kinds = (ConditionType.RECONCILING, ConditionType.SUSPENDED)
    return any(_status(conditions, kind) == ConditionStatus.TRUE for kind in kinds)


def _is_stalled(metadata: _Raw, conditions: _Raw, *, access_changed: bool) -> bool:
    if _status(conditions, ConditionType.STALLED) != ConditionStatus.TRUE or _is_under_way(conditions):
        return False
    stalled, generation = conditions[ConditionType.STALLED], metadata.get("generation", 0)
    mended = access_changed and stalled.get("reason") in ACCESS_REASONS
    return stalled.get("observedGeneration", generation) == generation and not mended


def _render_unfinished(status: _Raw, conditions: _Raw, *, fresh: bool, stalled: bool) -> bool:
    rendered, made_here = conditions.get(ConditionType.RENDERED), bool(status.get("creationSource"))
    if rendered is None:
        return made_here
    if rendered.get("status") == ConditionStatus.FALSE:
        # A render that failed for good is tried again with the next intent, not by itself; one that never began for
        # want of access, as soon as anything is tried again.
        again = made_here or rendered.get("reason") == Reason.PENDING
        return (again and not fresh) or (rendered.get("reason") in ACCESS_REASONS and not stalled)
    return bool(rendered.get("status") != ConditionStatus.TRUE)


def _is_unseen(spec: _Raw, status: _Raw) -> bool:
    """Whether an object was created for content in Git that nobody has looked at: its draft may be unrendered."""
    return not spec.get("source") and lifecycle_in_git(status) is None


def _suspension(annotations: Mapping[str, str], status: _Raw, now: datetime) -> dict[str, Any]:
    suspension = suspension_of(annotations)
    if suspension is None or not suspension.is_active(now):
        return {}
    told = told_suspended(status) == suspension.message
    return {"suspended": True, "suspension_told": told, "resume_at": suspension.until}
