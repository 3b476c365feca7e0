"""Checks of what is installed in the cluster: CRDs, admission policies, the aggregated API."""

import asyncio
from typing import Any

from porchflow.api.models.conditions import raw_condition
from porchflow.api.models.packagerevision import PACKAGE_REVISION
from porchflow.cli.doctor.findings import ASK_A_READER, Check, Finding
from porchflow.cli.doctor.kubernetes_version import RECORDS_FROM, told
from porchflow.cli.doctor.porch_release import release_of_crd
from porchflow.cli.manifests.manifest_kinds import resource_of
from porchflow.cli.manifests.shipped import crd_manifests, policy_manifests
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.errors import Forbidden, KubeError, NotFound, NotServed
from porchflow.kube.kinds import (
    APISERVICES,
    CUSTOMRESOURCEDEFINITIONS,
    MUTATINGADMISSIONPOLICIES,
    MUTATINGADMISSIONPOLICYBINDINGS,
    Resource,
)
from porchflow.kube.webhooks import dead_webhooks

_CONTENT = "v1alpha1.porch.kpt.dev"
_MUTATING = (MUTATINGADMISSIONPOLICIES, MUTATINGADMISSIONPOLICYBINDINGS)
_SERVED_FROM = f"nothing, or upgrade to Kubernetes {told(RECORDS_FROM)} and run porchflow install again"


async def check_definitions(kube: KubeClient) -> list[Finding]:
    """Compare the CustomResourceDefinitions with those of this version."""
    mend = "porchflow install, or kubectl apply --server-side --force-conflicts -k deploy/crds"
    return list(
        await asyncio.gather(
            *(_installed(kube, "crds", CUSTOMRESOURCEDEFINITIONS, one, mend) for one in crd_manifests())
        )
    )


async def check_policies(kube: KubeClient) -> list[Finding]:
    """Compare the admission policies and their bindings with those of this version."""
    apply = "porchflow install, or kubectl apply --server-side --force-conflicts -k deploy/admission"
    return list(
        await asyncio.gather(
            *(
                _installed(kube, "admission", kind, one, f"{apply}/mutating" if kind in _MUTATING else apply)
                for one in policy_manifests()
                for kind in [resource_of(one)]
            )
        )
    )


async def _installed(kube: KubeClient, name: str, resource: Resource, manifest: Object, mend: str) -> Finding:
    check = Check(name, f"{resource.kind} {manifest['metadata']['name']}")
    try:
        live = await kube.get(resource, None, manifest["metadata"]["name"])
    except (NotFound, NotServed):
        if resource in _MUTATING and not await kube.serves(resource):
            return check.warning("is not served by this Kubernetes: nobody is recorded as approver", _SERVED_FROM)
        return check.failure("is not installed", mend)
    except Forbidden:
        return check.unreadable()
    except KubeError as error:
        return check.failure(str(error), "see whether the API server is well")
    if not _has(live["spec"], manifest["spec"]):
        return check.failure(f"is {_whose(live)}", mend)
    refused = _condition(live, "Established") if resource is CUSTOMRESOURCEDEFINITIONS else ""
    return check.failure(refused, mend) if refused else check.ok("is installed and of this version")


def _whose(live: Object) -> str:
    """Return what another version is of: of porchflow, or Porch's, which was installed over ours."""
    porchs = release_of_crd(live) if live["metadata"]["name"] == PACKAGE_REVISION.name else ""
    lost = f"that of {porchs}: fields that it does not know are lost, and rules of ours do not hold"
    return lost if porchs else "of another version than this porchflow"


def _has(live: Any, wanted: Any) -> bool:  # noqa: ANN401 - JSON
    """Return whether a live object has all wanted values; the API server adds defaults to them."""
    if isinstance(wanted, dict):
        return isinstance(live, dict) and all(key in live and _has(live[key], value) for key, value in wanted.items())
    if isinstance(wanted, list):
        same = isinstance(live, list) and len(live) == len(wanted)
        return same and all(_has(one, other) for one, other in zip(live, wanted, strict=True))
    return bool(live == wanted)


async def check_webhooks(kube: KubeClient) -> list[Finding]:
    """Check that the admission webhooks on our kinds of object have a Service."""
    try:
        dead = await dead_webhooks(kube)
    except KubeError as error:
        return [Check("webhooks", kube.host).warning(str(error), ASK_A_READER)]
    found = []
    for each in dead:
        check = Check("webhooks", f"{each.kind} {each.name}")
        found.append((check.failure if each.refuses else check.warning)(each.message, each.mend))
    return found or [Check("webhooks", kube.host).ok("none whose Service is gone")]


async def check_content_api(kube: KubeClient) -> list[Finding]:
    """Check that the aggregated API answers, if it is registered."""
    check = Check("content-api", f"APIService {_CONTENT}")
    try:
        live = await kube.get(APISERVICES, None, _CONTENT)
    except NotFound:
        return [check.ok("is not registered: package content is read and written through Git alone")]
    except Forbidden:
        return [check.unreadable()]
    except KubeError as error:
        return [check.failure(str(error), "see whether the API server is well")]
    refused = _condition(live, "Available")
    if refused:
        mend = "see whether porchflow-content-api runs and the Service of the APIService leads to it"
        return [check.failure(refused, mend)]
    return [check.ok("answers")]


def _condition(live: Object, kind: str) -> str:
    """Return why a condition is not True; empty where it is."""
    condition = raw_condition(live, kind)
    if not condition:
        return f"has no condition {kind} yet"
    told = condition.get("message") or condition.get("reason") or "without a reason"
    return "" if condition["status"] == "True" else f"is not {kind}: {told}"
