"""People with roles in a namespace under the admission policies, and what they ask for."""

from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from porchflow.api.names import FINALIZER
from porchflow.api.policies.deletion import CLEANERS
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.errors import Invalid, KubeError
from porchflow.kube.kinds import PACKAGEREVISIONS, Resource

DEPLOY = Path(__file__).parents[2] / "deploy"
ROLES = Resource("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", namespaced=False)
BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")

WORKER = "system:serviceaccount:porchflow-system:porchflow-worker"
PEOPLE = {
    "ada@example.com": "porchflow-author",
    "bea@example.com": "porchflow-approver",
    "vic@example.com": "porchflow-viewer",
    WORKER: "porchflow-worker",
    CLEANERS[0]: "porchflow-author",
}
"""Users and the role they have in a test's namespace."""

APPROVED_BY, SUSPENDED_BY = "porchflow.dev/approved-by", "porchflow.dev/suspended-by"
PROPOSED_BY = "porchflow.dev/proposed-by"
IDENTITY = {
    "repository": "other",
    "packageName": "other",
    "workspaceName": "other",
    "source": {"copyFrom": {"name": "x"}},
}


@dataclass
class Team:
    """A namespace under the policies, with one client per user."""

    namespace: str
    admin: KubeClient
    clients: dict[str, KubeClient]

    @property
    def author(self) -> KubeClient:
        return self.clients["ada@example.com"]

    @property
    def approver(self) -> KubeClient:
        return self.clients["bea@example.com"]

    @property
    def worker(self) -> KubeClient:
        return self.clients[WORKER]

    async def create(
        self,
        client: KubeClient | None = None,
        *,
        name: str = "blueprints.web.v1",
        annotations: dict[str, str] | None = None,
        **spec: Any,
    ) -> Object:
        """Create an object as it is once porchflow has taken it up."""
        whole = {"repository": "blueprints", "packageName": "web", "workspaceName": "v1", "lifecycle": "Draft", **spec}
        body: dict[str, Any] = {
            "apiVersion": "porch.kpt.dev/v1alpha2",
            "kind": "PackageRevision",
            "metadata": {"name": name, "namespace": self.namespace, "finalizers": [FINALIZER]},
            "spec": {key: value for key, value in whole.items() if value is not None},
        }
        if annotations:
            body["metadata"]["annotations"] = annotations
        return await (client or self.author).create(PACKAGEREVISIONS, body)

    async def patch(self, client: KubeClient, patch: Object, name: str = "blueprints.web.v1") -> Object:
        return await client.merge_patch(PACKAGEREVISIONS, self.namespace, name, patch)

    async def ask(self, client: KubeClient, lifecycle: str) -> Object:
        return await self.patch(client, {"spec": {"lifecycle": lifecycle}})

    async def annotate(self, client: KubeClient, **annotations: str | None) -> Object:
        named = {f"porchflow.dev/{key.replace('_', '-')}": value for key, value in annotations.items()}
        return await self.patch(client, {"metadata": {"annotations": named}})

    async def delete(self, client: KubeClient) -> Object:
        return await client.delete(PACKAGEREVISIONS, self.namespace, "blueprints.web.v1")

    async def report(self, **status: Any) -> None:
        """Set the status, as a controller does."""
        await self.admin.merge_patch(
            PACKAGEREVISIONS, self.namespace, "blueprints.web.v1", {"status": status}, subresource="status"
        )

    async def reported(self, kind: str, status: str, reason: str, message: str) -> None:
        condition = {"type": kind, "status": status, "reason": reason, "message": message}
        await self.report(conditions=[{**condition, "lastTransitionTime": "2026-01-01T00:00:00Z"}])

    async def at(self, lifecycle: str) -> None:
        """Make an object that has come as far as this."""
        await self.create()
        for step in ("Proposed", "Published", "DeletionProposed"):
            if lifecycle == "Draft":
                return
            await self.ask(self.approver, step)
            if step == lifecycle:
                return


def binding(namespace: str, user: str, role: str) -> Object:
    """Give a user a role in a namespace."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": f"{role}-{abs(hash(user))}", "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    }


async def refused(request: Awaitable[Any], kind: type[KubeError] = Invalid) -> str:
    with pytest.raises(kind) as raised:
        await request
    return str(raised.value)


def without_rules(schema: Any) -> Any:
    """Return a CRD as Porch's is: without our CEL rules."""
    if isinstance(schema, dict):
        return {key: without_rules(value) for key, value in schema.items() if key != "x-kubernetes-validations"}
    return [without_rules(value) for value in schema] if isinstance(schema, list) else schema
