"""Reads the live object and says which phases may have work."""

from datetime import UTC, datetime
from typing import Any

from porchflow.activities.definitions import Facts, ObjectKey
from porchflow.activities.phases.handoff import JustSeen
from porchflow.activities.sources.upstreams import Upstreams
from porchflow.api.conditions import ACCESS_REASONS, ConditionStatus, ConditionType
from porchflow.api.intent import intent_key
from porchflow.api.names import FINALIZER, RECONCILE_NOW_ANNOTATION, RENDER_REQUEST_ANNOTATION
from porchflow.api.packagerevision import Lifecycle, PackageRevision, PackageRevisionStatus
from porchflow.api.suspension import suspension_of, told_suspended
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import NotFound
from porchflow.kube.kinds import PACKAGEREVISIONS
from porchflow.repositories.access import Repositories


class Observer:
    """Turns a live object into the facts a pass decides on."""

    def __init__(self, kube: KubeClient, repositories: Repositories, upstreams: Upstreams, seen: JustSeen) -> None:
        """Take the API client, the look-ups of what the object names, and where to leave it for the next phase."""
        self._kube = kube
        self._repositories = repositories
        self._upstreams = upstreams
        self._seen = seen

    async def facts(self, key: ObjectKey) -> Facts:
        """Read one object.

        Raises:
            KubeError: The API server cannot be reached or refuses.
        """
        try:
            obj = await self._kube.get(PACKAGEREVISIONS, key.namespace, key.name)
        except NotFound:
            return Facts(exists=False)
        revision = PackageRevision.model_validate(obj)
        spec, facts = revision.spec, facts_of(obj, revision)
        source = spec.source if facts.source_pending and not facts.deleting else None
        repository = await self._repositories.raw(key.namespace, spec.repository) if spec.repository else None
        context = await self._repositories.context(repository, source.secret if source else "")
        if source is not None:
            context += await self._upstreams.context(key.namespace, source.references)
        self._seen.put(key, obj, repository)
        return facts.model_copy(update={"context": context})


def facts_of(obj: dict[str, Any], revision: PackageRevision) -> Facts:
    """Return the facts of a raw object, given typed as well; nothing is known of its Repository."""
    spec, status, metadata = revision.spec, revision.status, obj["metadata"]
    annotations = metadata.get("annotations") or {}
    token = annotations.get(RECONCILE_NOW_ANNOTATION, "")
    fresh = status.observed_generation == metadata.get("generation") and token == (status.observed_reconcile_now or "")
    return Facts(
        exists=True,
        intent=intent_key(obj),
        deleting="deletionTimestamp" in metadata,
        finalizer=FINALIZER in (metadata.get("finalizers") or []),
        desired=spec.lifecycle,
        current=(
            spec.lifecycle
            if fresh and _has(status, ConditionType.READY, ConditionStatus.TRUE)
            else lifecycle_in_git(status)
        ),
        repository=spec.repository,
        package=spec.package_name,
        workspace=spec.workspace_name,
        source_pending=spec.source is not None and not status.creation_source,
        render_pending=_render_pending(status, annotations.get(RENDER_REQUEST_ANNOTATION, ""), token, fresh=fresh),
        # What says that it is being worked on when a pass begins was left so by one that could not end.
        report_pending=not fresh
        or _has(status, ConditionType.RECONCILING, ConditionStatus.TRUE)
        or _has(status, ConditionType.SUSPENDED, ConditionStatus.TRUE),
        **_suspension(obj),
    )


def _suspension(obj: dict[str, Any]) -> dict[str, Any]:
    suspension = suspension_of(obj["metadata"].get("annotations") or {})
    if suspension is None or not suspension.is_active(datetime.now(UTC)):
        return {}
    told = told_suspended(obj.get("status") or {}) == suspension.message
    return {"suspended": True, "suspension_told": told, "resume_at": suspension.until}


def lifecycle_in_git(status: PackageRevisionStatus) -> Lifecycle | None:
    """Return the lifecycle that the last report found in Git, from the ref that the self lock names."""
    ref = status.self_lock.git.ref if status.self_lock and status.self_lock.git else ""
    if status.revision:
        # Asked first: a package may live in a directory that is called like the branches of drafts.
        return Lifecycle.PUBLISHED
    if ref.startswith("drafts/"):
        return Lifecycle.DRAFT
    if ref.startswith("proposed/"):
        return Lifecycle.PROPOSED
    return Lifecycle.PUBLISHED if ref else None


def _has(status: PackageRevisionStatus, kind: ConditionType, value: ConditionStatus) -> bool:
    return any(c.type == kind and c.status is value for c in status.conditions)


def _render_pending(status: PackageRevisionStatus, request: str, token: str, *, fresh: bool) -> bool:
    if request and request != status.observed_prr_resource_version:
        return True
    if token != (status.observed_reconcile_now or ""):
        return True
    rendered = next((c for c in status.conditions if c.type == ConditionType.RENDERED), None)
    if rendered is None or not status.creation_source:
        return bool(status.creation_source)
    if rendered.status is ConditionStatus.FALSE:
        # A render that failed for good is tried again when something else is asked, not by itself. Where it did not
        # come to a render, who asks for a look has a reason: a Secret or a Repository changed.
        return not fresh or rendered.reason in ACCESS_REASONS
    return rendered.status is not ConditionStatus.TRUE
