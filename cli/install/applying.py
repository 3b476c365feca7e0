"""Applies what is chosen, and takes away what no longer is."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from porchflow.cli.install.choice import Choice
from porchflow.cli.install.porch_beside import is_ours
from porchflow.cli.install.record import FIELD_MANAGER, Place, Record, new_record, write_record
from porchflow.cli.manifests.manifest_kinds import resource_of
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.errors import NotFound, NotServed
from porchflow.kube.kinds import APISERVICES, CUSTOMRESOURCEDEFINITIONS, Resource

Tell = Callable[[str], None]
"""Shows a line to the user."""

_OWN_NAMES: Final = "porchflow-"
"""Begins the names of all objects that have no label of ours."""
_POLL_SECONDS: Final = 0.1
_SERVED_WITHIN: Final = 60.0
"""Seconds until the API server serves a CRD that it took."""


async def install(kube: KubeClient, choice: Choice, record: Record | None, tell: Tell, *, force: bool) -> None:
    """Apply a choice. Run again after an interruption, it goes on.

    Args:
        kube: The API server.
        choice: What is to be installed.
        record: What is installed; None for nothing.
        tell: Shows each object.
        force: Whether fields of other owners are taken over.

    Raises:
        Conflict: Another owner has a field, and `force` is not set.
        KubeError: The API server refuses an object, or does not answer.
        TimeoutError: It does not serve the CRDs in time.
    """
    await _apply(kube, choice.foundations(), tell, force=force)
    await _wait_until_served(kube, choice.foundations())
    manifests = choice.manifests()
    wanted = {Place.of(one) for one in manifests}
    before = set(record.objects) if record else set()
    # Written ahead, so that an interrupted run leaves nothing that is not remembered.
    await write_record(kube, new_record(choice, _sorted(before | wanted)))
    await _apply(kube, manifests, tell, force=force)
    kept = {place for place in before if place.is_settings}
    await delete_places(kube, _sorted(before - wanted - kept), choice.namespace, tell)
    await write_record(kube, new_record(choice, _sorted(wanted | kept)))


async def _apply(kube: KubeClient, manifests: Sequence[Object], tell: Tell, *, force: bool) -> None:
    for one in manifests:
        await kube.apply(resource_of(one), one, field_manager=FIELD_MANAGER, force=force)
        tell(f"applied {Place.of(one)}")


async def _wait_until_served(kube: KubeClient, manifests: Sequence[Object]) -> None:
    missing = [_resource(one) for one in manifests if one["kind"] == CUSTOMRESOURCEDEFINITIONS.kind]
    try:
        async with asyncio.timeout(_SERVED_WITHIN):
            # The API server sends no notice of what it serves.
            while missing := [each for each in missing if not await kube.serves(each)]:  # noqa: ASYNC110
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        names = ", ".join(map(str, missing))
        raise TimeoutError(f"the API server does not serve {names} after {_SERVED_WITHIN:g} s: see its log") from None


def _resource(crd: Object) -> Resource:
    spec = crd["spec"]
    return Resource(spec["group"], spec["versions"][0]["name"], spec["names"]["plural"], spec["names"]["kind"])


async def delete_places(kube: KubeClient, places: Iterable[Place], namespace: str, tell: Tell) -> None:
    """Delete objects that were applied, where they still are.

    Args:
        kube: The API server.
        places: The objects.
        namespace: Namespace of the processes.
        tell: Shows each object.

    Raises:
        KubeError: The API server refuses it, or does not answer.
    """
    for place in places:
        resource = resource_of({"apiVersion": place.api_version, "kind": place.kind})
        try:
            found = await kube.get(resource, place.namespace or None, place.name)
            if not _is_ours(found, namespace):
                tell(f"left {place}: it is another's")
                continue
            await kube.delete(resource, place.namespace or None, place.name, uid=found["metadata"]["uid"])
        except (NotFound, NotServed):
            continue
        tell(f"deleted {place}")


def _is_ours(found: Object, namespace: str) -> bool:
    """Return whether an object is still the one that was applied: Porch may have taken its own back."""
    if found["kind"] == APISERVICES.kind:
        return bool(((found.get("spec") or {}).get("service") or {}).get("namespace") == namespace)
    return is_ours(found) or str(found["metadata"]["name"]).startswith(_OWN_NAMES)


def _sorted(places: Iterable[Place]) -> list[Place]:
    return sorted(places, key=lambda place: (place.kind, place.namespace, place.name))
