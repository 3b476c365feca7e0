"""Waits until a PackageRevision needs nothing more, or needs a person."""

import contextlib
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

from porchflow.api.names import RECONCILE_NOW_ANNOTATION
from porchflow.api.work.needs import needs_work
from porchflow.cli.revisions.named_revision import no_such, object_name
from porchflow.cli.revisions.overview import Item, Standing, describe
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.kinds import PACKAGEREVISIONS
from porchflow.kube.watching import Changed, Deleted, Listed, ListEnd, watch_objects


async def ask_to_look(kube: KubeClient, namespace: str, name: str) -> None:
    """Have the workflow of a PackageRevision look at Git.

    Args:
        kube: The API server.
        namespace: Namespace of the object.
        name: As `object_name` takes it.

    Raises:
        KubeError: The API server does not answer, or forbids it.
    """
    token = f"wait-{uuid.uuid4().hex}"
    patch = {"metadata": {"annotations": {RECONCILE_NOW_ANNOTATION: token}}}
    await kube.merge_patch(PACKAGEREVISIONS, namespace, object_name(name), patch)


async def settled(kube: KubeClient, namespace: str, name: str, tell: Callable[[Item], None]) -> Item:
    """Return how a PackageRevision stands once it is converged, stalled or suspended.

    Waits for ever while the API server does not answer.

    Args:
        kube: The API server.
        namespace: Namespace of the object.
        name: As `object_name` takes it.
        tell: Called with each other standing on the way, once while it stays the same.

    Raises:
        NoSuchRevisionError: There is no such object, or it was deleted meanwhile.
    """
    told: Item | None = None
    async for obj in _states(kube, namespace, object_name(name)):
        if obj is None:
            raise no_such(namespace, name)
        item = describe(obj)
        if item.standing in _END and not needs_work(obj, datetime.now(UTC)):
            return item
        if item != told:
            tell(item)
            told = item
    raise AssertionError("a watch has no end")


_END = {Standing.STALLED, Standing.SUSPENDED, Standing.APPROVAL, Standing.CONVERGED}


async def _states(kube: KubeClient, namespace: str, name: str) -> AsyncIterator[Object | None]:
    """Yield each state of an object; None where there is none."""
    listed = False
    watching = watch_objects(kube, PACKAGEREVISIONS, namespace, field_selector=f"metadata.name={name}")
    async with contextlib.aclosing(watching) as events:
        async for event in events:
            match event:
                case Listed(obj) | Changed(_, obj):
                    listed = True
                    yield obj
                case Deleted():
                    yield None
                case ListEnd() if not listed:
                    yield None
                case _:
                    pass
