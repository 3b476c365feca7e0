"""Installs porchflow's admission policies."""

from pathlib import Path
from typing import Final

import yaml

from porchflow.api.names import (
    PACKAGE_REVISION_API_VERSION,
    PACKAGE_REVISION_KIND,
    RECORDS_POLICY,
    SUSPEND_ANNOTATION,
    SUSPEND_UNTIL_ANNOTATION,
    SUSPENDED_BY_ANNOTATION,
)
from porchflow.devstack.waiting import until
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.errors import Invalid, KubeUnavailable
from porchflow.kube.kinds import (
    MUTATINGADMISSIONPOLICIES,
    MUTATINGADMISSIONPOLICYBINDINGS,
    PACKAGEREVISIONS,
    VALIDATINGADMISSIONPOLICIES,
    VALIDATINGADMISSIONPOLICYBINDINGS,
    Resource,
)

MANIFESTS = Path(__file__).parents[1] / "deploy" / "admission"
FIELD_MANAGER = "porchflow-up"

_KINDS: Final = {
    resource.kind: resource
    for resource in (
        VALIDATINGADMISSIONPOLICIES,
        VALIDATINGADMISSIONPOLICYBINDINGS,
        MUTATINGADMISSIONPOLICIES,
        MUTATINGADMISSIONPOLICYBINDINGS,
    )
}


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
    manifests = policy_manifests()
    for resource, manifest in manifests:
        await client.apply(resource, manifest, field_manager=FIELD_MANAGER, force=True)
    await until(lambda: _act(client), seconds=seconds, what="the API server applies the admission policies")
    return sorted({str(manifest["metadata"]["name"]) for _, manifest in manifests})


def policy_manifests() -> list[tuple[Resource, Object]]:
    """Return the policies before their bindings; those that `_act` tries come last among their kind.

    The API server loads them in the order of their creation: when the last one takes effect, all do.
    """
    texts = [path.read_text(encoding="utf-8") for path in MANIFESTS.rglob("*.yaml")]
    found = [manifest for text in texts for manifest in yaml.safe_load_all(text)]
    found.sort(key=lambda one: (one["kind"].endswith("Binding"), one["metadata"]["name"] == RECORDS_POLICY))
    return [(_KINDS[manifest["kind"]], manifest) for manifest in found]


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
