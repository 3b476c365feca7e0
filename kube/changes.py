"""Writes to an object with several writers: each write carries the version that was read."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from porchflow.kube.client import KubeClient, Object
from porchflow.kube.errors import Conflict
from porchflow.kube.kinds import Resource

_ATTEMPTS = 5

Write = Callable[[Object], Awaitable[Object]]
"""Writes to the given object, with its resource version; returns the result."""


async def change(
    kube: KubeClient, resource: Resource, obj: Object, write: Write, *, check: Callable[[Object], None] | None = None
) -> Object:
    """Write to an object, again where it changed after it was read.

    Args:
        kube: Reads the object again.
        resource: Its kind.
        obj: The object as last read.
        write: The write.
        check: Checks an object that was read again; may raise to give up.

    Returns:
        The result of `write`.

    Raises:
        Conflict: The object changed before each attempt.
        NotFound: The object is gone.
        KubeError: The API server cannot be reached or refuses.
    """
    current, metadata = obj, obj["metadata"]
    for _ in range(_ATTEMPTS - 1):
        try:
            return await write(current)
        except Conflict:
            current = await kube.get(resource, metadata["namespace"], metadata["name"])
            if check is not None:
                check(current)
    return await write(current)


async def apply_part(
    kube: KubeClient,
    resource: Resource,
    obj: Object,
    part: Mapping[str, Any],
    *,
    field_manager: str,
    subresource: str | None = "status",
) -> Object:
    """Apply the whole part of an object, or of its subresource, that a field manager owns, to the version as read.

    Args:
        kube: The API client.
        resource: The kind of the object.
        obj: The object as last read.
        part: The fields that the field manager owns, in their place in the manifest.
        field_manager: The owner of the fields.
        subresource: None applies to the object itself.

    Raises:
        Conflict: The object is another one, or has changed.
        NotFound: The object is gone.
        KubeError: The API server cannot be reached or refuses.
    """
    metadata = {key: obj["metadata"][key] for key in ("namespace", "name", "uid", "resourceVersion")}
    body = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, **part}
    return await kube.apply(resource, body, field_manager=field_manager, subresource=subresource)


async def let_go(kube: KubeClient, resource: Resource, obj: Object, finalizer: str) -> Object:
    """Remove a finalizer from the very version of an object that was read, and nothing else.

    Raises:
        Conflict: The object has changed.
        NotFound: The object is gone.
        KubeError: The API server cannot be reached or refuses.
    """
    metadata = obj["metadata"]
    finalizers = [each for each in metadata.get("finalizers") or [] if each != finalizer]
    patch = {"metadata": {"finalizers": finalizers, "resourceVersion": metadata["resourceVersion"]}}
    return await kube.merge_patch(resource, metadata["namespace"], metadata["name"], patch)
