"""PackageRevisions and Repositories as the API server takes them."""

from typing import Any

from porchflow.api.names import (
    CONFIG_API_VERSION,
    FIELD_MANAGER,
    PACKAGE_REVISION_API_VERSION,
    PACKAGE_REVISION_KIND,
    REPOSITORY_KIND,
    object_name,
)
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.kinds import PACKAGEREVISIONS


def package_revision(namespace: str, repository: str, package: str, **metadata: Any) -> Object:
    return {
        "apiVersion": PACKAGE_REVISION_API_VERSION,
        "kind": PACKAGE_REVISION_KIND,
        "metadata": {"namespace": namespace, "name": object_name(repository, package, "v1"), **metadata},
        "spec": {
            "repository": repository,
            "packageName": package,
            "workspaceName": "v1",
            "lifecycle": "Draft",
            "source": {"init": {"description": "for a test"}},
        },
    }


def repository(namespace: str, name: str, branch: str = "main") -> Object:
    return {
        "apiVersion": CONFIG_API_VERSION,
        "kind": REPOSITORY_KIND,
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"type": "git", "git": {"repo": "https://git.example/packages.git", "branch": branch}},
    }


async def converge(kube: KubeClient, obj: Object) -> Object:
    """Write the status that a worker leaves behind."""
    return await _handled(kube, obj, condition("Ready"), condition("Rendered"))


async def retry(kube: KubeClient, obj: Object, message: str = "the server is away") -> Object:
    """Write the status of a pass that handled the generation before, and tries something else until it works."""
    ready, reconciling = condition("Ready", "False", message), condition("Reconciling", "True", message)
    return await _handled(kube, obj, ready, reconciling, condition("Rendered"))


def condition(kind: str, status: str = "True", message: str = "") -> Object:
    since = "2026-01-01T00:00:00Z"
    return {"type": kind, "status": status, "reason": "ForATest", "message": message, "lastTransitionTime": since}


async def _handled(kube: KubeClient, obj: Object, *conditions: Object) -> Object:
    metadata = obj["metadata"]
    body = {
        "apiVersion": PACKAGE_REVISION_API_VERSION,
        "kind": PACKAGE_REVISION_KIND,
        "metadata": {"namespace": metadata["namespace"], "name": metadata["name"]},
        "status": {
            "creationSource": "init",
            "observedGeneration": metadata["generation"],
            "conditions": list(conditions),
        },
    }
    return await kube.apply(PACKAGEREVISIONS, body, field_manager=FIELD_MANAGER, subresource="status")
