"""Writes to the object a phase works on, which others write to as well."""

from collections.abc import Mapping
from typing import Any

from porchflow.api.intent import intent_key
from porchflow.api.names import (
    FINALIZER,
    LATEST_REVISION_LABEL,
    REPOSITORY_API_VERSION,
    REPOSITORY_KIND,
    REPOSITORY_LABEL,
)
from porchflow.kube.changes import Write, change
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.kinds import PACKAGEREVISIONS
from porchflow.repositories.access import RepositoryAccess
from porchflow.repositories.failures import Superseded


async def change_object(kube: KubeClient, obj: Object, write: Write) -> Object:
    """Write to a PackageRevision as long as it asks for the same; see `porchflow.kube.changes.change`.

    Raises:
        Superseded: The live object asks for something newer.
        Conflict: Somebody else wrote every time.
        NotFound: The object is gone.
        KubeError: The API server cannot be reached or refuses.
    """
    return await change(kube, PACKAGEREVISIONS, obj, write, check=lambda current: check_intent(obj, current))


def check_intent(obj: Object, current: Object) -> None:
    """Refuse to go on with an object that has come to ask for something newer.

    Raises:
        Superseded: It has.
    """
    if intent_key(current) != intent_key(obj):
        raise Superseded from None


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
