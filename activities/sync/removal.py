"""Deletion of a Repository: its objects first, then the Repository. Git stays as it is."""

import contextlib
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

from porchflow.activities.definitions import SyncResult
from porchflow.activities.sync.paced_writes import Write, Writer
from porchflow.api.models.conditions import Reason
from porchflow.api.names import FINALIZER, REPOSITORY_FINALIZER
from porchflow.kube.changes import let_go
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import Conflict, NotFound
from porchflow.kube.kinds import PACKAGEREVISIONS, REPOSITORIES
from porchflow.repositories.failures import Waiting

_NAMED = 3


class Removal:
    """Removes the objects of a Repository, with or without a garbage collector in the cluster."""

    def __init__(self, kube: KubeClient, *, at_once: int) -> None:
        """Create the removal.

        Args:
            kube: Deletes objects.
            at_once: Writes that may be under way.
        """
        self._kube = kube
        self._at_once = at_once

    async def run(self, raw: dict[str, Any], progress: Callable[[str], None]) -> SyncResult:
        """Remove every PackageRevision of a Repository, then let the Repository go.

        Args:
            raw: The raw Repository.
            progress: Receives a line about the work, for the Temporal UI.

        Raises:
            Waiting: Finalizers of other controllers keep objects; the message names some of both.
            KubeError: The API server cannot be reached or refuses.
        """
        metadata = raw["metadata"]
        if REPOSITORY_FINALIZER not in (metadata.get("finalizers") or []):
            return SyncResult(summary="the Repository is being deleted")
        progress(f"removing the objects of {metadata['name']}")
        writer = Writer(self._at_once)
        await writer.run(self._removals(metadata["namespace"], metadata["name"]))
        blocked = [text async for text in self._blocked(metadata["namespace"], metadata["name"])]
        if blocked:
            more = f" and {len(blocked) - _NAMED} more" if len(blocked) > _NAMED else ""
            raise Waiting(
                Reason.DELETING,
                f"{len(blocked)} PackageRevisions are kept by others: {'; '.join(blocked[:_NAMED])}{more}. The"
                " Repository goes when they are gone; what Git holds stays",
            )
        with contextlib.suppress(NotFound):
            await let_go(self._kube, REPOSITORIES, raw, REPOSITORY_FINALIZER)
        return SyncResult(summary=f"{writer.done} objects are gone; Git keeps what it holds", written=writer.done)

    async def _objects(self, namespace: str, name: str) -> AsyncIterator[dict[str, Any]]:
        async for obj in self._kube.list_all(PACKAGEREVISIONS, namespace, field_selector=f"spec.repository={name}"):
            yield obj

    async def _removals(self, namespace: str, name: str) -> AsyncIterator[Write]:
        async for obj in self._objects(namespace, name):
            metadata = obj["metadata"]
            finalizers = metadata.get("finalizers") or []
            if "deletionTimestamp" not in metadata or FINALIZER in finalizers:
                kept = {key: metadata[key] for key in ("namespace", "name", "uid")}
                yield partial(self._remove, kept, [each for each in finalizers if each != FINALIZER])

    async def _remove(self, metadata: dict[str, Any], finalizers: list[str]) -> None:
        """Remove our finalizer, then delete. In the other order the object's workflow would delete in Git."""
        namespace, name = metadata["namespace"], metadata["name"]
        try:
            patch = {"metadata": {"finalizers": finalizers, "uid": metadata["uid"]}}
            await self._kube.merge_patch(PACKAGEREVISIONS, namespace, name, patch)
            await self._kube.delete(PACKAGEREVISIONS, namespace, name, uid=metadata["uid"])
        except (Conflict, NotFound):
            # Gone, or another object of that name: the next list shows it.
            return

    async def _blocked(self, namespace: str, name: str) -> AsyncIterator[str]:
        async for obj in self._objects(namespace, name):
            finalizers = ", ".join(obj["metadata"].get("finalizers") or []) or "nobody: it came a moment ago"
            yield f"{obj['metadata']['name']} by {finalizers}"
