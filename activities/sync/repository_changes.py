"""Changes to fields of a Repository that users and other workers change as well."""

from collections.abc import Callable

from porchflow.api.names import METADATA_FIELD_MANAGER
from porchflow.kube.changes import change
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.kinds import REPOSITORIES


async def change_repository(kube: KubeClient, raw: Object, patch_of: Callable[[Object], Object]) -> Object:
    """Patch a Repository, again where it changed after it was read.

    Args:
        kube: The API client.
        raw: The raw Repository as last read.
        patch_of: Returns the merge patch for a raw Repository; an empty one where nothing has to change.

    Returns:
        The Repository as it is now; `raw` itself where nothing was changed.

    Raises:
        Conflict: The Repository changed before each attempt.
        NotFound: It is gone.
        KubeError: The API server cannot be reached or refuses.
    """

    async def patch(current: Object) -> Object:
        wanted = patch_of(current)
        if not wanted:
            return current
        metadata = current["metadata"]
        wanted = {**wanted, "metadata": {**wanted.get("metadata", {}), "resourceVersion": metadata["resourceVersion"]}}
        return await kube.merge_patch(
            REPOSITORIES, metadata["namespace"], metadata["name"], wanted, field_manager=METADATA_FIELD_MANAGER
        )

    return await change(kube, REPOSITORIES, raw, patch)
