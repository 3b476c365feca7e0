"""Does this object need work? Pure functions of the object as the API server has it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from porchflow.api.conditions import ACCESS_REASONS
from porchflow.api.intent import intent_key
from porchflow.api.names import (
    DISCOVERED_ANNOTATION,
    FINALIZER,
    RECONCILE_NOW_ANNOTATION,
    RENDER_REQUEST_ANNOTATION,
    ca_bundle_name,
)
from porchflow.api.packagerevision import Lifecycle
from porchflow.api.suspension import suspension_of, told_suspended

Key = tuple[str, str]
"""Namespace and name of an object."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is kept of an object that needs work: enough to signal its workflow, and no more.

    Attributes:
        namespace: Of the object.
        name: Of the object.
        repository: For the search attribute, as are the next three; may be empty.
        package: See there.
        workspace: See there.
        lifecycle: The lifecycle that is asked for.
        signature: Differs when a workflow should look again: other intent, or handled and still in need.
    """

    namespace: str
    name: str
    repository: str
    package: str
    workspace: str
    lifecycle: str
    signature: str

    @property
    def key(self) -> Key:
        """Namespace and name."""
        return self.namespace, self.name


def key_of(obj: Mapping[str, Any]) -> Key:
    """Return namespace and name of a raw object."""
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def target_of(obj: Mapping[str, Any]) -> Target:
    """Return what is kept of a raw PackageRevision.

    `status.observedGeneration` is part of the signature because an edit that states no new intent (mirrored Kptfile
    metadata) can land while a report for the generation before is on its way: the object then was handled, is in need
    all the same, and asks for the same as before.
    """
    namespace, name = key_of(obj)
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    return Target(
        namespace=namespace,
        name=name,
        repository=spec.get("repository") or "",
        package=spec.get("packageName") or "",
        workspace=spec.get("workspaceName") or "",
        lifecycle=spec.get("lifecycle") or "",
        signature=f"{intent_key(obj)}/{status.get('observedGeneration', 0)}",
    )


def needs_reconcile(obj: Mapping[str, Any], now: datetime | None = None) -> bool:
    """Say whether a raw PackageRevision asks for something that its status does not say was handled.

    A stalled object needs nothing: a person must change it first, which moves the generation. A suspended one needs
    that its status says so, and nothing more until that ends: its workflow is awake then.

    Args:
        obj: The object.
        now: When; the present by default.
    """
    metadata = obj.get("metadata") or {}
    deleting = "deletionTimestamp" in metadata
    if deleting and FINALIZER not in (metadata.get("finalizers") or []):
        return False
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    annotations = metadata.get("annotations") or {}
    suspension, told = suspension_of(annotations), told_suspended(status)
    if suspension is not None and suspension.is_active(now or datetime.now(UTC)):
        return told != suspension.message
    if deleting or told:
        return True
    if metadata.get("generation", 0) != status.get("observedGeneration", 0):
        # What a sync made gets its status from the sync, a moment later; unless somebody was quicker to ask for more.
        return not (DISCOVERED_ANNOTATION in annotations and metadata.get("generation") == 1 and not status)
    return (
        _source_due(metadata, spec, status) or _render_due(spec, annotations, status) or _asked_now(annotations, status)
    )


def sleeps(obj: Mapping[str, Any]) -> bool:
    """Say whether a raw PackageRevision is suspended until some time: a workflow has to be there then to go on."""
    suspension = suspension_of((obj.get("metadata") or {}).get("annotations") or {})
    return suspension is not None and suspension.until is not None and suspension.is_active(datetime.now(UTC))


def stalled_on_access(obj: Mapping[str, Any]) -> bool:
    """Say whether a raw PackageRevision stalled on what a change of its Repository or of a Secret may mend."""
    conditions = (obj.get("status") or {}).get("conditions") or []
    stalled = next((each for each in conditions if each["type"] == "Stalled" and each["status"] == "True"), None)
    return stalled is not None and stalled["reason"] in ACCESS_REASONS


def secrets_of(repository: Mapping[str, Any]) -> list[Key]:
    """Return the Secrets that access to a raw Repository depends on, whether they exist or not."""
    namespace, git = key_of(repository)[0], (repository.get("spec") or {}).get("git") or {}
    named = (git.get("secretRef") or {}).get("name")
    bundle = ca_bundle_name(namespace) if str(git.get("repo", "")).startswith("https:") else ""
    return [(namespace, name) for name in (named, bundle) if name]


def clone_secret(obj: Mapping[str, Any]) -> str:
    """Return the Secret that a raw PackageRevision will fetch its first content with; empty for none."""
    if (obj.get("status") or {}).get("creationSource"):
        return ""
    source = (obj.get("spec") or {}).get("source") or {}
    git = (source.get("cloneFrom") or {}).get("git") or {}
    return str((git.get("secretRef") or {}).get("name") or "")


def _source_due(metadata: Mapping[str, Any], spec: Mapping[str, Any], status: Mapping[str, Any]) -> bool:
    if not spec.get("source") or status.get("creationSource"):
        return False
    return not any(
        condition.get("type") == "Stalled"
        and condition.get("status") == "True"
        and condition.get("observedGeneration") == metadata.get("generation")
        for condition in status.get("conditions") or []
    )


def _render_due(spec: Mapping[str, Any], annotations: Mapping[str, str], status: Mapping[str, Any]) -> bool:
    requested = annotations.get(RENDER_REQUEST_ANNOTATION)
    if not requested or requested == status.get("observedPrrResourceVersion"):
        return False
    # What stalled on its way to be proposed or published may be a draft still, and new content what it waits for.
    lifecycle = spec.get("lifecycle")
    return lifecycle == Lifecycle.DRAFT or bool(lifecycle and not _ready(status) and not status.get("revision"))


def _ready(status: Mapping[str, Any]) -> bool:
    return any(
        condition.get("type") == "Ready" and condition.get("status") == "True"
        for condition in status.get("conditions") or []
    )


def _asked_now(annotations: Mapping[str, str], status: Mapping[str, Any]) -> bool:
    asked = annotations.get(RECONCILE_NOW_ANNOTATION)
    return bool(asked) and asked != status.get("observedReconcileNow")
