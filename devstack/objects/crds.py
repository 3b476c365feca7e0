"""Installs porchflow's CustomResourceDefinitions."""

from porchflow.cli.manifests.shipped import crd_manifests
from porchflow.devstack.objects.waiting import until
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.errors import NotFound, NotServed
from porchflow.kube.kinds import CUSTOMRESOURCEDEFINITIONS, Resource

FIELD_MANAGER = "porchflow-up"


async def install_crds(client: KubeClient, *, seconds: float = 30.0) -> list[str]:
    """Apply the CRDs, as `kubectl apply --server-side -f deploy/crds` does, and wait until they are served.

    Args:
        client: The API server.
        seconds: How long it may take until they are served.

    Returns:
        The names of the CRDs.

    Raises:
        KubeError: The API server refuses one.
        TimeoutError: They are not served in time.
    """
    manifests = crd_manifests()
    for manifest in manifests:
        await client.apply(CUSTOMRESOURCEDEFINITIONS, manifest, field_manager=FIELD_MANAGER, force=True)

    async def served() -> bool:
        return all([await _is_served(client, _resource(manifest)) for manifest in manifests])

    await until(served, seconds=seconds, what="the API server serves the CustomResourceDefinitions")
    return [str(manifest["metadata"]["name"]) for manifest in manifests]


def _resource(manifest: Object) -> Resource:
    spec = manifest["spec"]
    return Resource(spec["group"], spec["versions"][0]["name"], spec["names"]["plural"], spec["names"]["kind"])


async def _is_served(client: KubeClient, resource: Resource) -> bool:
    # The condition Established comes a moment before the API server answers.
    try:
        await client.list_page(resource, limit=1)
    except (NotServed, NotFound):
        return False
    return True
