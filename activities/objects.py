"""Writes to the object a phase works on, which others write to as well."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from porchflow.api.intent import intent_key
from porchflow.api.names import (
    FINALIZER,
    LATEST_REVISION_LABEL,
    REPOSITORY_API_VERSION,
    REPOSITORY_KIND,
    REPOSITORY_LABEL,
)
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import Conflict
from porchflow.kube.kinds import PACKAGEREVISIONS
from porchflow.repositories.access import RepositoryAccess
from porchflow.repositories.failures import Superseded

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


def owner_of(repository: RepositoryAccess) -> dict[str, str]:
    """Return the owner reference to a Repository."""
    return {
        "apiVersion": REPOSITORY_API_VERSION,
        "kind": REPOSITORY_KIND,
        "name": repository.name,
        "uid": repository.uid,
    }


def is_owned_by(metadata: Mapping[str, Any], repository: RepositoryAccess) -> bool:
    """Whether a Repository, and not another of its name, owns an object."""
    owners = metadata.get("ownerReferences") or []
    return any(owner["kind"] == REPOSITORY_KIND and owner["uid"] == repository.uid for owner in owners)


def owned_metadata(metadata: Mapping[str, Any], repository: RepositoryAccess) -> dict[str, Any]:
    """Return the merge patch of an object's metadata that adds finalizer, owner and labels; empty where all are there.

    Args:
        metadata: Of a PackageRevision of the Repository.
        repository: The Repository.
    """
    patch: dict[str, Any] = {}
    finalizers, labels = metadata.get("finalizers") or [], metadata.get("labels") or {}
    if FINALIZER not in finalizers:
        patch["finalizers"] = [*finalizers, FINALIZER]
    if not is_owned_by(metadata, repository):
        owners = metadata.get("ownerReferences") or []
        # One of the same name and another uid is a Repository that was deleted and made again: garbage collection
        # would delete what it seems to have left behind.
        others = [owner for owner in owners if (owner["kind"], owner["name"]) != (REPOSITORY_KIND, repository.name)]
        patch["ownerReferences"] = [*others, owner_of(repository)]
    missing = {LATEST_REVISION_LABEL: "false"} if LATEST_REVISION_LABEL not in labels else {}
    if labels.get(REPOSITORY_LABEL) != repository.name:
        missing[REPOSITORY_LABEL] = repository.name
    if missing:
        patch["labels"] = missing
    return patch
