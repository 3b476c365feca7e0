"""Installs porchflow's admission policies."""

from porchflow.api.names import (
    PACKAGE_REVISION_API_VERSION,
    PACKAGE_REVISION_KIND,
    RECORDS_POLICY,
    SUSPEND_ANNOTATION,
    SUSPEND_UNTIL_ANNOTATION,
    SUSPENDED_BY_ANNOTATION,
)
from porchflow.cli.manifests.manifest_kinds import resource_of
from porchflow.cli.manifests.shipped import policy_manifests
from porchflow.devstack.objects.waiting import until
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.errors import Invalid, KubeUnavailable
from porchflow.kube.kinds import PACKAGEREVISIONS

FIELD_MANAGER = "porchflow-up"


async def install_policies(client: KubeClient, *, seconds: float = 30.0) -> list[str]:
    """Apply the policies, as `kubectl apply --server-side -R -f deploy/admission` does, and wait until they act.

    Args:
        client: The API server, which serves porchflow's CRDs.
        seconds: How long it may take until they take effect.

    Returns:
        The names of the policies.

    Raises:
        KubeError: The API server refuses one.
        TimeoutError: They do not take effect in time.
    """
    # The API server loads policies in this order: when the last one, which `_act` tries, takes effect, all do.
    manifests = policy_manifests()
    for manifest in manifests:
        await client.apply(resource_of(manifest), manifest, field_manager=FIELD_MANAGER, force=True)
    await until(lambda: _act(client), seconds=seconds, what="the API server applies the admission policies")
    return sorted({str(manifest["metadata"]["name"]) for manifest in manifests})


async def _act(client: KubeClient) -> bool:
    """Return whether both policies of `RECORDS_POLICY` take effect, as dry runs of objects show."""
    suspended = {SUSPEND_ANNOTATION: "x", SUSPENDED_BY_ANNOTATION: "nobody"}
    try:
        made = await client.create(PACKAGEREVISIONS, _probe(suspended), dry_run=True)
    except (Invalid, KubeUnavailable):
        # Either the policies learned of the kind before the mutating one could read it, or the validating policy is in
        # effect and the mutating one, which would set the right name, is not yet.
        return False
    if made["metadata"]["annotations"][SUSPENDED_BY_ANNOTATION] == "nobody":
        return False
    try:
        await client.create(PACKAGEREVISIONS, _probe({SUSPEND_UNTIL_ANNOTATION: "never"}), dry_run=True)
    except Invalid as refusal:
        return RECORDS_POLICY in str(refusal)
    return False


def _probe(annotations: dict[str, str]) -> Object:
    return {
        "apiVersion": PACKAGE_REVISION_API_VERSION,
        "kind": PACKAGE_REVISION_KIND,
        "metadata": {"name": "porchflow.probe.v1", "namespace": "default", "annotations": annotations},
        "spec": {"repository": "porchflow", "packageName": "probe", "workspaceName": "v1", "lifecycle": "Draft"},
    }
