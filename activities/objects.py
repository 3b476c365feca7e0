"""Writes to the object that a phase works on. Users and other controllers write to it as well."""

from collections.abc import Mapping
from typing import Any

from porchflow.api.names import (
    FINALIZER,
    LATEST_REVISION_LABEL,
    REPOSITORY_API_VERSION,
    REPOSITORY_KIND,
    REPOSITORY_LABEL,
)
from porchflow.api.work.intent import intent_key
from porchflow.kube.changes import Write, change
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.kinds import PACKAGEREVISIONS
from porchflow.repositories.access import RepositoryAccess
from porchflow.repositories.failures import Superseded


async def change_object(kube: KubeClient, obj: Object, write: Write) -> Object:
    """Write to a PackageRevision as long as it asks for the same; see `porchflow.kube.changes.change`.

    Raises:
        Superseded: The live object asks for something newer.
        Conflict: The object changed before each attempt.
        NotFound: The object is gone.
        KubeError: The API server cannot be reached or refuses.
    """
    return await change(kube, PACKAGEREVISIONS, obj, write, check=lambda current: check_intent(obj, current))


def check_intent(obj: Object, current: Object) -> None:
    """Refuse an object that asks for something newer than it did when the phase read it.

    Args:
        obj: The raw object as the phase read it.
        current: The raw object as it is now.

    Raises:
        Superseded: The two ask for different things.
    """
    if intent_key(current) != intent_key(obj):
        raise Superseded from None


def owner_of(repository: RepositoryAccess, *, controls: bool = True) -> dict[str, Any]:
    """Return the owner reference to a Repository: its foreground deletion waits for the object.

    Args:
        repository: The Repository.
        controls: Whether it is the controller of the object, which can have only one.
    """
    reference: dict[str, Any] = {
        "apiVersion": REPOSITORY_API_VERSION,
        "kind": REPOSITORY_KIND,
        "name": repository.name,
        "uid": repository.uid,
        "blockOwnerDeletion": True,
    }
    return reference | {"controller": True} if controls else reference


def is_owned_by(metadata: Mapping[str, Any], repository: RepositoryAccess) -> bool:
    """Whether the metadata of an object names the Repository as an owner, by its uid."""
    owners = metadata.get("ownerReferences") or []
    return any(owner["kind"] == REPOSITORY_KIND and owner["uid"] == repository.uid for owner in owners)


def owned_metadata(metadata: Mapping[str, Any], repository: RepositoryAccess) -> dict[str, Any]:
    """Return the merge patch of an object's metadata that adds finalizer, owner and labels; empty where all are there.

    Args:
        metadata: Of a raw PackageRevision of the Repository.
        repository: The Repository.
    """
    patch: dict[str, Any] = {}
    finalizers, labels = metadata.get("finalizers") or [], metadata.get("labels") or {}
    if FINALIZER not in finalizers:
        patch["finalizers"] = [*finalizers, FINALIZER]
    owners: list[dict[str, Any]] = metadata.get("ownerReferences") or []
    if owners != (wanted := _wanted_owners(owners, repository)):
        patch["ownerReferences"] = wanted
    missing = {LATEST_REVISION_LABEL: "false"} if LATEST_REVISION_LABEL not in labels else {}
    if labels.get(REPOSITORY_LABEL) != repository.name:
        missing[REPOSITORY_LABEL] = repository.name
    if missing:
        patch["labels"] = missing
    return patch


def _wanted_owners(owners: list[dict[str, Any]], repository: RepositoryAccess) -> list[dict[str, Any]]:
    """Return the owner references of an object with one complete reference to its Repository; the same if it has that.

    An owner of the same name and another uid is a Repository that was deleted and created again. Garbage collection
    would delete the object as a dependent of the deleted one.
    """
    same = [owner for owner in owners if _means(owner, repository)]
    others = [owner for owner in owners if owner not in same]
    # The API server refuses a second controller, and another one may have made the object.
    ours = owner_of(repository, controls=not any(owner.get("controller") for owner in others))
    told = [{key: value for key, value in owner.items() if value is not False} for owner in same]
    return owners if told == [ours] else [*others, ours]


def _means(owner: Mapping[str, Any], repository: RepositoryAccess) -> bool:
    same = owner["uid"] == repository.uid or owner["name"] == repository.name
    return bool(owner["kind"] == REPOSITORY_KIND and same)
