"""Checks of the places that an installation would take: namespaces, CRDs, and names that another installation has."""

import asyncio
from collections.abc import Sequence
from typing import Final

from porchflow.cli.doctor.findings import Check, Finding
from porchflow.cli.install.choice import Choice
from porchflow.cli.install.porch_beside import PART_OF
from porchflow.cli.manifests.manifest_kinds import CLUSTERROLEBINDINGS, DAEMONSETS, DEPLOYMENTS, STATEFULSETS
from porchflow.cli.manifests.shipped import FUNCTIONS_NAMESPACE
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.errors import Forbidden, NotFound
from porchflow.kube.kinds import CUSTOMRESOURCEDEFINITIONS, NAMESPACES, PODS

_OF_KUBERNETES: Final = ("default", "kube-node-lease", "kube-public", "kube-system")
_WORKLOADS: Final = (DEPLOYMENTS, STATEFULSETS, DAEMONSETS, PODS)
_BINDING: Final = "porchflow-worker"
"""A ClusterRoleBinding of every installation; it names the namespace of its processes."""
_SHOWN: Final = 3
_OWNERS: Final = {"app.kubernetes.io/managed-by": "porchflow", PART_OF: "porchflow"}
"""Labels of the pods that porchflow makes, and of those that its manifests make."""


async def check_namespaces(kube: KubeClient, choice: Choice) -> list[Finding]:
    """Check that a namespace to be labelled `restricted` holds nothing that the label would keep from starting.

    Args:
        kube: The API server.
        choice: What is to be installed.

    Raises:
        KubeError: The API server does not answer.
    """
    names = [one["metadata"]["name"] for one in choice.foundations() if one["kind"] == NAMESPACES.kind]
    found = [finding for each in names for finding in await _check_namespace(kube, each)]
    if FUNCTIONS_NAMESPACE not in names and await _missing(kube, FUNCTIONS_NAMESPACE):
        found.append(
            Check("namespace", FUNCTIONS_NAMESPACE).failure(
                "is not there, where beside Porch it is Porch's", f"kubectl create namespace {FUNCTIONS_NAMESPACE}"
            )
        )
    return found


async def _missing(kube: KubeClient, name: str) -> bool:
    try:
        await kube.get(NAMESPACES, None, name)
    except NotFound:
        return True
    except Forbidden:
        return False
    return False


async def _check_namespace(kube: KubeClient, name: str) -> list[Finding]:
    check = Check("namespace", name)
    choose_another = "choose a namespace of porchflow's own with --namespace"
    if name in _OF_KUBERNETES:
        return [check.failure("is Kubernetes' own: its pods could not start any more", choose_another)]
    try:
        found = await kube.get(NAMESPACES, None, name)
        others = [other for kind in _WORKLOADS async for other in kube.list_all(kind, name) if not _is_ours(other)]
    except NotFound:
        return [check.ok("is made")]
    except Forbidden as error:
        return [check.unreadable(error)]
    if found["metadata"].get("deletionTimestamp"):
        return [check.failure("is being deleted", "wait until it is gone")]
    if others:
        told = ", ".join(f"{one['kind']} {one['metadata']['name']}" for one in others[:_SHOWN])
        more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
        mend = "choose another namespace with --namespace" if name != FUNCTIONS_NAMESPACE else "take them away first"
        return [
            check.failure(f"holds {told}{more}, whose pods may not start again under Pod Security restricted", mend)
        ]
    return [check.ok("holds nothing of others")]


def _is_ours(found: Object) -> bool:
    labels = found["metadata"].get("labels") or {}
    return any(labels.get(name) == value for name, value in _OWNERS.items())


async def check_installation(kube: KubeClient, choice: Choice) -> list[Finding]:
    """Check that no installation with another namespace is there: names of the cluster can be of one alone.

    Args:
        kube: The API server.
        choice: What is to be installed.

    Raises:
        KubeError: The API server does not answer.
    """
    check = Check("installation", choice.namespace)
    try:
        there = await installed_in(kube)
    except Forbidden as error:
        return [check.unreadable(error)]
    if not there:
        return [check.ok("is the first one")]
    if there != choice.namespace:
        return [
            check.failure(
                f"porchflow is installed in namespace {there}, and a cluster has room for one",
                f"name --namespace {there}, or run `porchflow uninstall --namespace {there}` first",
            )
        ]
    return [check.ok("is there and will be brought to this version")]


async def installed_in(kube: KubeClient) -> str:
    """Return the namespace of the installation in the cluster; empty where there is none.

    Raises:
        KubeError: The API server does not answer, or forbids it.
    """
    try:
        found = await kube.get(CLUSTERROLEBINDINGS, None, _BINDING)
    except NotFound:
        return ""
    return next((str(each.get("namespace") or "") for each in found.get("subjects") or []), "")


async def check_served_versions(kube: KubeClient, crds: Sequence[Object]) -> list[Finding]:
    """Check that no CRD serves a version that ours would take away.

    Args:
        kube: The API server.
        crds: Our CRDs.

    Raises:
        KubeError: The API server does not answer.
    """
    return [finding for found in await asyncio.gather(*(_check_crd(kube, one) for one in crds)) for finding in found]


async def _check_crd(kube: KubeClient, crd: Object) -> list[Finding]:
    check = Check("crds", f"{crd['kind']} {crd['metadata']['name']}")
    try:
        live = await kube.get(CUSTOMRESOURCEDEFINITIONS, None, crd["metadata"]["name"])
    except NotFound:
        return []
    except Forbidden as error:
        return [check.unreadable(error)]
    ours = {each["name"] for each in crd["spec"]["versions"]}
    served = {each["name"] for each in live["spec"]["versions"] if each.get("served")}
    lost = sorted({*served, *(live.get("status") or {}).get("storedVersions", [])} - ours)
    if lost:
        told = f"serves {', '.join(lost)}, which this version of porchflow does not know: its objects would be lost"
        return [check.failure(told, "use a porchflow that knows it, or move its objects to a version that stays")]
    if live["metadata"].get("deletionTimestamp"):
        return [check.failure("is being deleted", "wait until it is gone")]
    return []
