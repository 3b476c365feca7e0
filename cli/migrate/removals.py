"""Removal of porchflow's objects when a Repository goes back to Porch, also beside Porch's admission webhooks.

Those refuse to delete a Published object, and one that another object names as its source.

Source: docs/reference/porch-api.md, "Admission webhooks".
"""

import time
from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final

from porchflow.api.models.packagerevision import Lifecycle, PackageRevision
from porchflow.api.names import FINALIZER, UPSTREAM_OF_ANNOTATION
from porchflow.cli.migrate.migration_error import MigrationError
from porchflow.cli.migrate.planning import Clients
from porchflow.kube.client import Object
from porchflow.kube.errors import Conflict, Forbidden, Invalid, KubeError, NotFound
from porchflow.kube.kinds import PACKAGEREVISIONS
from porchflow.kube.webhooks import webhook_mend

_PATIENCE_SECONDS: Final = 5.0
"""Time without a removal before refusals count: webhooks learn of removed dependents a moment later."""
_SHOWN: Final = 10


class Removals:
    """Removes objects and leaves Git alone, as often as it is asked to."""

    def __init__(self, clients: Clients) -> None:
        """Create it; nothing is removed yet."""
        self._clients = clients
        self._removed: set[str] = set()
        self._refused: dict[str, str] = {}
        self._proposed: dict[str, Object] = {}
        """Objects, by name, whose deletion was proposed so that a webhook lets them go."""
        self._progress = time.monotonic()

    @property
    def count(self) -> int:
        """How many objects were removed."""
        return len(self._removed)

    @property
    def are_stuck(self) -> bool:
        """Whether the rest is refused, and waiting for more removals does not help."""
        return bool(self._refused) and time.monotonic() - self._progress > _PATIENCE_SECONDS

    async def remove(self, objects: Iterable[Object]) -> None:
        """Remove raw PackageRevisions, each before those that it was made from. Refusals do not hold up the others.

        Raises:
            KubeError: The API server cannot be reached.
        """
        self._refused = {}
        for obj in dependents_first(objects):
            metadata = obj["metadata"]
            try:
                await self._remove(obj)
            except (Conflict, NotFound):
                # The object changed meanwhile, or is gone: the next list shows it.
                continue
            except KubeError as error:
                if not _is_refusal(error):
                    raise
                self._refused[metadata["name"]] = error.message
                continue
            if metadata["uid"] not in self._removed:
                self._removed.add(metadata["uid"])
                self._progress = time.monotonic()

    async def refusal(self, repository: str) -> MigrationError:
        """Put back what was proposed for deletion in vain, and return the error about what is refused."""
        for name in self._refused.keys() & self._proposed.keys():
            await self._published_again(self._proposed[name])
        told = "; ".join(f"{name}: {words}" for name, words in sorted(self._refused.items())[:_SHOWN])
        more = f" and {len(self._refused) - _SHOWN} more" if len(self._refused) > _SHOWN else ""
        mend = next(filter(None, map(webhook_mend, self._refused.values())), "") or (
            "remove first what was made from them in other Repositories, or switch off the admission webhook that"
            " refuses"
        )
        return MigrationError(
            f"Repository {repository!r} has no annotation any more, {self.count} of its package revisions are removed,"
            f" and these may not be deleted: {told}{more}. {mend[0].upper()}{mend[1:]}; then run the same command"
            " again, which goes on here"
        )

    async def _remove(self, obj: Object) -> None:
        """Remove our finalizer, then delete. In the other order the object's workflow would delete in Git."""
        metadata = obj["metadata"]
        changes: dict[str, Any] = {}
        if FINALIZER in (finalizers := metadata.get("finalizers") or []):
            changes["finalizers"] = [each for each in finalizers if each != FINALIZER]
        if UPSTREAM_OF_ANNOTATION in (metadata.get("annotations") or {}):
            # The API server warns when an upstream is deleted. Here its content stays, and Porch shows it again.
            changes["annotations"] = {UPSTREAM_OF_ANNOTATION: None}
        if changes:
            patch = {"metadata": {**changes, "resourceVersion": metadata["resourceVersion"]}}
            obj = await self._patch(obj, patch)
        try:
            await self._delete(obj)
        except (Forbidden, Invalid):
            if obj["spec"].get("lifecycle") != Lifecycle.PUBLISHED:
                raise
            # Only now: a worker that does not know that the Repository is Porch's would mark the proposal in Git.
            proposed = await self._patch(obj, {"spec": {"lifecycle": Lifecycle.DELETION_PROPOSED.value}})
            self._proposed[metadata["name"]] = proposed
            await self._delete(proposed)

    async def _published_again(self, obj: Object) -> None:
        try:
            await self._patch(obj, {"spec": {"lifecycle": Lifecycle.PUBLISHED.value}})
        except KubeError:
            # The next call goes on from a proposed deletion as well.
            return

    async def _patch(self, obj: Object, patch: Object) -> Object:
        metadata = obj["metadata"]
        return await self._clients.kube.merge_patch(PACKAGEREVISIONS, metadata["namespace"], metadata["name"], patch)

    async def _delete(self, obj: Object) -> None:
        metadata = obj["metadata"]
        await self._clients.kube.delete(PACKAGEREVISIONS, metadata["namespace"], metadata["name"], uid=metadata["uid"])


def dependents_first(objects: Iterable[Object]) -> list[Object]:
    """Return raw PackageRevisions in an order in which each comes before those that its source names."""
    by_name = {obj["metadata"]["name"]: obj for obj in sorted(objects, key=lambda each: str(each["metadata"]["name"]))}
    order: TopologicalSorter[str] = TopologicalSorter(dict.fromkeys(by_name, ()))
    for name, obj in by_name.items():
        source = PackageRevision.model_validate(obj).spec.source
        for upstream in source.references if source is not None else ():
            if upstream in by_name and upstream != name:
                order.add(upstream, name)
    try:
        return [by_name[name] for name in order.static_order()]
    except CycleError:
        # Nothing that was made can have been made from itself; references by hand are refused or not as they come.
        return list(by_name.values())


def _is_refusal(error: KubeError) -> bool:
    return isinstance(error, Forbidden | Invalid) or bool(webhook_mend(error.message))
