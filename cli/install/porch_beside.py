"""Whether Porch runs in the cluster, and what of it would get in the way.

Source: docs/reference/porch-api.md, "Deployment".
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

from porchflow.api.names import PORCH_GROUP
from porchflow.cli.doctor.findings import Check, Finding
from porchflow.cli.doctor.porch_release import release_of_images
from porchflow.cli.install.choice import BESIDE_PORCH
from porchflow.cli.manifests.manifest_kinds import DEPLOYMENTS
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.errors import Forbidden, NotFound, NotServed
from porchflow.kube.kinds import APISERVICES, SERVICES
from porchflow.kube.webhooks import Webhook, webhooks

CONTENT_APISERVICE: Final = f"v1alpha1.{PORCH_GROUP}"
PART_OF: Final = "app.kubernetes.io/part-of"
_PROCESSES: Final = ("porch-server", "porch-controllers")
"""Names of Porch's Deployments, and the last parts of the names of their images."""
_V1ALPHA2_SWITCH: Final = re.compile(r"--?(?:\w+\.)?create-v1alpha2-rpkg(?:=(?:1|t|true))?", re.IGNORECASE)
"""The flag that makes Porch's own controller work on v1alpha2 objects."""

_ASK: Final = "run it as somebody who may read them in all namespaces, or see for yourself whether Porch is there"


def is_ours(found: Object) -> bool:
    """Return whether an object is of porchflow, in any namespace."""
    return bool((found["metadata"].get("labels") or {}).get(PART_OF) == "porchflow")


async def signs_of_porch(kube: KubeClient) -> list[str]:
    """Return what shows that Porch runs in the cluster: its Deployments, and a Service that answers for its API.

    Raises:
        KubeError: The API server does not answer, or forbids it.
    """
    signs = [f"Deployment {_name(one)}" for one in await _deployments(kube)]
    service = await _other_service(kube)
    if service and await _exists(kube, service):
        signs.append(f"APIService {CONTENT_APISERVICE} with Service {service['namespace']}/{service['name']}")
    return signs


async def check_porch(kube: KubeClient, *, beside_porch: bool) -> list[Finding]:
    """Check that porchflow would not work on Repositories of a Porch that is there.

    Args:
        kube: The API server.
        beside_porch: Whether the component beside-porch is chosen.

    Raises:
        KubeError: The API server does not answer.
    """
    check = Check("porch", kube.host)
    try:
        signs, deployments = ", ".join(await signs_of_porch(kube)), await _deployments(kube)
        second = list(_second_writers(deployments))
    except Forbidden as error:
        return [check.warning(f"may not be looked for: {error}", _ASK)]
    found = [*await _leftover(kube), *second, *await _webhooks(kube)]
    if not signs:
        return [*found, check.ok("Porch does not run here")]
    if beside_porch:
        return [*found, check.ok(f"{_release(deployments)} runs here ({signs}) and is left as it is")]
    told = f"{_release(deployments)} runs here ({signs}): porchflow would work on its Repositories, too"
    mend = f"install with --{BESIDE_PORCH} (docs/porch/migration.md), or take Porch away first"
    return [*found, check.failure(told, mend)]


async def _deployments(kube: KubeClient) -> list[Object]:
    return [one async for one in kube.list_all(DEPLOYMENTS) if _is_porchs(one)]


def _release(deployments: Sequence[Object]) -> str:
    return release_of_images(str(each.get("image") or "") for one in deployments for each in _containers(one))


def _is_porchs(deployment: Object) -> bool:
    if is_ours(deployment):
        return False
    names = {deployment["metadata"]["name"]}
    for container in _containers(deployment):
        names.add(re.split(r"[:@]", str(container.get("image") or "").rpartition("/")[2])[0])
    return bool(names & set(_PROCESSES))


async def _other_service(kube: KubeClient) -> dict[str, Any] | None:
    """Return the Service that answers for package content where that is not ours."""
    try:
        found = await kube.get(APISERVICES, None, CONTENT_APISERVICE)
    except NotFound:
        return None
    return None if is_ours(found) else (found.get("spec") or {}).get("service")


async def _leftover(kube: KubeClient) -> list[Finding]:
    service = await _other_service(kube)
    if service is None or await _exists(kube, service):
        return []
    told = f"is left of Porch: its Service {service['namespace']}/{service['name']} is gone"
    check = Check("porch", f"APIService {CONTENT_APISERVICE}")
    return [check.warning(told, f"kubectl delete apiservice {CONTENT_APISERVICE}")]


def _second_writers(deployments: Sequence[Object]) -> Iterator[Finding]:
    for one in deployments:
        words = [
            word
            for container in _containers(one)
            for word in (*(container.get("command") or []), *(container.get("args") or []))
        ]
        if any(_V1ALPHA2_SWITCH.fullmatch(str(word)) for word in words):
            yield Check("porch", f"Deployment {_name(one)}").failure(
                "works on v1alpha2 PackageRevisions itself: it and porchflow would undo each other's work",
                "set --repositories.create-v1alpha2-rpkg=false, its default, and wait for the rollout",
            )


async def _webhooks(kube: KubeClient) -> list[Finding]:
    try:
        found = await webhooks(kube)
    except Forbidden as error:
        return [Check("webhooks", kube.host).warning(f"may not be read: {error}", _ASK)]
    # The worst of each configuration.
    found.sort(key=lambda each: each.is_dead and each.refuses)
    return [_judged(each) for each in {(each.kind, each.name): each for each in found if each.is_for_porch}.values()]


def _judged(webhook: Webhook) -> Finding:
    check = Check("webhooks", f"{webhook.kind} {webhook.name}")
    if webhook.is_dead and webhook.refuses:
        return check.failure(webhook.message, webhook.mend)
    told = "judges our objects, too: what it refuses, porchflow cannot do"
    return check.warning(
        told, f"keep it while Porch runs; after that: kubectl delete {webhook.kind.lower()} {webhook.name}"
    )


async def _exists(kube: KubeClient, service: dict[str, Any]) -> bool:
    try:
        await kube.get(SERVICES, service["namespace"], service["name"])
    except (NotFound, NotServed):
        return False
    except Forbidden:
        return True
    return True


def _containers(deployment: Object) -> list[Object]:
    return list(deployment["spec"]["template"]["spec"].get("containers") or [])


def _name(found: Object) -> str:
    return f"{found['metadata']['namespace']}/{found['metadata']['name']}"
