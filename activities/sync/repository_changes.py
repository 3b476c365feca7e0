"""Changes to a Repository's own fields, which users and other workers change as well."""

from collections.abc import Callable
from typing import Any

from porchflow.api.names import METADATA_FIELD_MANAGER
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import Conflict
from porchflow.kube.kinds import REPOSITORIES

_ATTEMPTS = 5


async def change_repository(
    kube: KubeClient, raw: dict[str, Any], patch_of: Callable[[dict[str, Any]], dict[str, Any]]
) -> dict[str, Any]:
    """Patch a Repository, again where somebody wrote in between.

    Args:
        kube: The API client.
        raw: The Repository as last read.
        patch_of: Returns the merge patch for a Repository; an empty one where nothing has to change.

    Returns:
        The Repository as it is now; `raw` itself where nothing was changed.

    Raises:
        Conflict: Somebody else wrote every time.
        NotFound: It is gone.
        KubeError: The API server cannot be reached or refuses.
    """
    namespace, name = raw["metadata"]["namespace"], raw["metadata"]["name"]
    current = raw
    for attempt in range(_ATTEMPTS):
        patch = patch_of(current)
        if not patch:
            return current
        metadata = {**patch.get("metadata", {}), "resourceVersion": current["metadata"]["resourceVersion"]}
        try:
            return await kube.merge_patch(
                REPOSITORIES, namespace, name, {**patch, "metadata": metadata}, field_manager=METADATA_FIELD_MANAGER
            )
        except Conflict:
            if attempt == _ATTEMPTS - 1:
                raise
            current = await kube.get(REPOSITORIES, namespace, name)
    raise AssertionError("the last attempt returns or raises")
