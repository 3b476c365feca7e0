"""Installs the roles of people, so that what an author or approver may do can be tried on the embedded stack."""

from porchflow.cli.manifests.manifest_kinds import resource_of
from porchflow.cli.manifests.shipped import role_manifests
from porchflow.kube.client import KubeClient

FIELD_MANAGER = "porchflow-up"


async def install_roles(client: KubeClient) -> list[str]:
    """Apply the ClusterRoles of people, as `kubectl apply --server-side -f deploy/base/roles.yaml` does.

    Returns:
        Their names.

    Raises:
        KubeError: The API server refuses one.
    """
    manifests = role_manifests()
    for manifest in manifests:
        await client.apply(resource_of(manifest), manifest, field_manager=FIELD_MANAGER, force=True)
    return [str(manifest["metadata"]["name"]) for manifest in manifests]
