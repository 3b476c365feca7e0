"""Takes porchflow away, and says what stays."""

import asyncio
from collections.abc import Sequence
from typing import Final

from porchflow.api.names import FINALIZER, REPOSITORY_FINALIZER
from porchflow.cli.install.applying import Tell, delete_places
from porchflow.cli.install.choice import Choice
from porchflow.cli.install.porch_beside import is_ours, signs_of_porch
from porchflow.cli.install.record import Place, Record, delete_record
from porchflow.cli.manifests.manifest_kinds import in_order
from porchflow.cli.manifests.shipped import component_names, composed, crd_manifests, namespace_manifests
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.errors import NotFound, NotServed
from porchflow.kube.kinds import (
    CONFIGMAPS,
    CUSTOMRESOURCEDEFINITIONS,
    FUNCTIONCONFIGS,
    NAMESPACES,
    PACKAGEREVISIONS,
    PODS,
    REPOSITORIES,
    Resource,
)

_DATA: Final = (PACKAGEREVISIONS, REPOSITORIES, FUNCTIONCONFIGS)
_FINALIZERS: Final = {PACKAGEREVISIONS: FINALIZER, REPOSITORIES: REPOSITORY_FINALIZER}
_POLL_SECONDS: Final = 0.2
STAYS_ALWAYS: Final = (
    "Git: every branch and tag",
    "Temporal: schedules and workflows, which wait for a worker",
)
PODS_WITHIN: Final = 120.0
"""Seconds until the processes have ended, after which data may be deleted."""


async def places_of(kube: KubeClient, namespace: str, record: Record | None) -> list[Place]:
    """Return the objects to take away, in order: those that act first, permissions last.

    Without a record, as after an installation with kubectl, these are all that any component has.

    Args:
        kube: The API server.
        namespace: Namespace of the processes.
        record: What is installed.

    Raises:
        KubeError: The API server does not answer.
    """
    if record is not None:
        known = list(record.objects)
    else:
        manifests = composed(component_names(), namespace=namespace) + composed([], namespace=namespace)
        known = list(dict.fromkeys(Place.of(one) for one in manifests))
        configs = [Place.of(one) async for one in kube.list_all(CONFIGMAPS, namespace)]
        known += [place for place in configs if place.is_settings and place not in known]
    return list(reversed(_in_order(known)))


def _in_order(places: Sequence[Place]) -> list[Place]:
    shapes = [{"apiVersion": each.api_version, "kind": each.kind, "place": each} for each in places]
    return [each["place"] for each in in_order(shapes)]


async def uninstall(kube: KubeClient, namespace: str, places: Sequence[Place], tell: Tell) -> None:
    """Take the processes, permissions and policies away.

    Args:
        kube: The API server.
        namespace: Namespace of the processes.
        places: The objects, of `places_of`.
        tell: Shows each object.

    Raises:
        KubeError: The API server refuses it, or does not answer. Run again, it goes on.
    """
    await delete_places(kube, places, namespace, tell)
    # Last, so that an interrupted run can be repeated.
    await delete_record(kube, namespace)


async def why_not_delete_data(kube: KubeClient) -> str:
    """Return why the data may not be deleted; empty where it may.

    Raises:
        KubeError: The API server does not answer.
    """
    signs = ", ".join(await signs_of_porch(kube))
    if not signs:
        return ""
    return (
        f"Porch runs here ({signs}), and the CRDs are its own, too: leave --delete-data out, or take Porch away first"
    )


async def count_data(kube: KubeClient) -> dict[str, int]:
    """Return how many objects of users there are, by plural name; kinds that are not served are left out.

    Raises:
        KubeError: The API server does not answer, or forbids it.
    """
    counts = {}
    for kind in _DATA:
        try:
            counts[kind.plural] = len([one async for one in kube.list_all(kind)])
        except (NotFound, NotServed):
            continue
    return counts


async def delete_data(kube: KubeClient, namespace: str, tell: Tell, *, seconds: float = PODS_WITHIN) -> None:
    """Delete CRDs with all their objects, and porchflow's Namespaces. Git keeps branches and tags.

    Args:
        kube: The API server.
        namespace: Namespace of the processes.
        tell: Shows each object.
        seconds: Time until the processes must have ended: one that still runs would delete branches of its packages.

    Raises:
        TimeoutError: They still run.
        KubeError: The API server refuses it, or does not answer. Run again, it goes on.
    """
    await _wait_until_ended(kube, namespace, seconds)
    for kind, finalizer in _FINALIZERS.items():
        await _release(kube, kind, finalizer)
    for crd in crd_manifests():
        await _delete(kube, CUSTOMRESOURCEDEFINITIONS, crd, tell)
    for one in namespace_manifests(namespace):
        await _delete_namespace(kube, one, tell)


async def _wait_until_ended(kube: KubeClient, namespace: str, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            # The kubelet ends them, and sends no notice.
            while [one async for one in kube.list_all(PODS, namespace) if is_ours(one)]:  # noqa: ASYNC110
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        raise TimeoutError(
            f"processes in namespace {namespace} still run after {seconds:g} s, and would delete branches of packages:"
            f" see `kubectl get pods -n {namespace}`, and run the same command again"
        ) from None


async def _release(kube: KubeClient, kind: Resource, finalizer: str) -> None:
    """Take our finalizer off all objects of a kind: no process is left that would."""
    try:
        found = [one async for one in kube.list_all(kind)]
    except (NotFound, NotServed):
        return
    for one in found:
        metadata = one["metadata"]
        if finalizer not in metadata.get("finalizers", []):
            continue
        rest = [each for each in metadata["finalizers"] if each != finalizer]
        patch = {"metadata": {"finalizers": rest, "resourceVersion": metadata["resourceVersion"]}}
        await kube.merge_patch(kind, metadata["namespace"], metadata["name"], patch)


async def _delete_namespace(kube: KubeClient, manifest: Object, tell: Tell) -> None:
    """Delete a Namespace of ours; one that was there before has no label of ours and stays."""
    try:
        live = await kube.get(NAMESPACES, None, manifest["metadata"]["name"])
    except NotFound:
        return
    if is_ours(live):
        await _delete(kube, NAMESPACES, manifest, tell)
    else:
        tell(f"left {Place.of(manifest)}: it is another's")


async def _delete(kube: KubeClient, kind: Resource, manifest: Object, tell: Tell) -> None:
    try:
        await kube.delete(kind, None, manifest["metadata"]["name"])
    except NotFound:
        return
    tell(f"deleted {Place.of(manifest)}")


def what_stays(namespace: str, record: Record | None, counts: dict[str, int]) -> list[str]:
    """Return lines that say what stays.

    Args:
        namespace: Namespace of the processes.
        record: What was installed.
        counts: Of `count_data`.
    """
    choice = record.choice if record else Choice(namespace=namespace)
    namespaces = [one["metadata"]["name"] for one in choice.foundations() if one["kind"] == NAMESPACES.kind]
    return [
        f"objects: {told_counts(counts)}, with their CRDs",
        f"namespaces: {', '.join(namespaces)}",
        *STAYS_ALWAYS,
    ]


def told_counts(counts: dict[str, int]) -> str:
    """Return counts as text, such as `3 packagerevisions, 1 repositories`."""
    return ", ".join(f"{count} {plural}" for plural, count in counts.items()) or "no objects"
