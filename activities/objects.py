"""Writes to the object a phase works on, which others write to as well."""

from collections.abc import Awaitable, Callable
from typing import Any

from activities.failures import Superseded
from api.intent import intent_key
from kube.client import KubeClient
from kube.errors import Conflict
from kube.resources import PACKAGEREVISIONS

_ATTEMPTS = 5


async def change_object(
    kube: KubeClient, obj: dict[str, Any], write: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]
) -> dict[str, Any]:
    """Write to an object, again where somebody wrote in between, as long as it asks for the same.

    Args:
        kube: Reads the object again.
        obj: The object as last read.
        write: Writes to the object it is given, with that one's resource version, and returns what came of it.

    Returns:
        What `write` returned.

    Raises:
        Superseded: The live object asks for something newer.
        Conflict: Somebody else wrote every time.
        NotFound: The object is gone.
        KubeError: The API server cannot be reached or refuses.
    """
    current, metadata = obj, obj["metadata"]
    for _ in range(_ATTEMPTS - 1):
        try:
            return await write(current)
        except Conflict:
            current = await kube.get(PACKAGEREVISIONS, metadata["namespace"], metadata["name"])
            if intent_key(current) != intent_key(obj):
                raise Superseded from None
    return await write(current)
