"""The bodies of people's requests."""

from typing import Any

from porchflow.api.models.packagerevision import Lifecycle
from porchflow.api.names import (
    PACKAGE_REVISION_API_VERSION,
    PACKAGE_REVISION_KIND,
    RECONCILE_NOW_ANNOTATION,
    SUSPEND_ANNOTATION,
)
from soak.work.actions import Action, Kind

Body = dict[str, Any]


def creation(action: Action) -> Body:
    """Return the manifest of a new PackageRevision."""
    key = action.object
    return {
        "apiVersion": PACKAGE_REVISION_API_VERSION,
        "kind": PACKAGE_REVISION_KIND,
        "metadata": {"name": key.name, "namespace": key.namespace},
        "spec": {
            "packageName": key.package,
            "repository": key.place.repository,
            "workspaceName": key.workspace,
            "lifecycle": Lifecycle.DRAFT,
            "source": _source(action),
        },
    }


def _source(action: Action) -> Body:
    names = [{"name": key.name} for key in action.sources]
    match action.kind:
        case Kind.CLONE:
            return {"cloneFrom": {"upstreamRef": names[0]}}
        case Kind.COPY:
            return {"copyFrom": names[0]}
        case Kind.UPGRADE:
            return {"upgrade": dict(zip(("oldUpstream", "newUpstream", "currentPackage"), names, strict=True))}
        case _:
            return {"init": {"description": f"a package of {action.user}"}}


def lifecycle(wanted: Lifecycle) -> Body:
    """Return the patch that asks for a lifecycle."""
    return {"spec": {"lifecycle": wanted}}


def label(token: str) -> Body:
    """Return the patch that gives a package a label."""
    return {"spec": {"packageMetadata": {"labels": {token: "set"}}}}


def reconcile_now(token: str) -> Body:
    """Return the patch that asks for a reconcile, or the sync of a Repository."""
    return {"metadata": {"annotations": {RECONCILE_NOW_ANNOTATION: token}}}


def suspension(why: str | None) -> Body:
    """Return the patch that suspends an object; None resumes it."""
    return {"metadata": {"annotations": {SUSPEND_ANNOTATION: why}}}
