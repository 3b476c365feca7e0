"""Finalize phase: what a deleted object owns in Git goes first, then the object."""

from typing import Any

from activities.definitions import PhaseInput, PhaseResult
from activities.failures import Stalled
from activities.labels import LatestLabel
from activities.objects import change_object
from activities.phase import Target, to_the_end
from api.conditions import Reason
from api.names import FINALIZER
from api.packagerevision import Lifecycle
from gitrepo.packages import GitStore
from kube.client import KubeClient
from kube.errors import NotFound
from kube.resources import PACKAGEREVISIONS


class Finalizer:
    """Lets a deleted object go once Git holds nothing of it that must not stay."""

    def __init__(self, kube: KubeClient, git: GitStore, latest: LatestLabel) -> None:
        """Take what the phase works with."""
        self._kube = kube
        self._git = git
        self._latest = latest

    async def run(self, target: Target, request: PhaseInput) -> PhaseResult:  # noqa: ARG002 - the shape of every phase
        """Delete the package revision in Git and remove the finalizer.

        Raises:
            Stalled: The revision is Published: its deletion has to be proposed first.
        """
        if target.revision.spec.lifecycle is Lifecycle.PUBLISHED:
            raise Stalled(
                Reason.DELETION_REFUSED,
                "a Published package revision is not deleted: set spec.lifecycle to DeletionProposed to agree to its"
                " deletion, which then goes on by itself",
            )
        repository = target.repository
        await to_the_end(
            self._git.delete(
                repository.remote,
                repository.branch,
                target.location,
                author=repository.author,
                revision=target.revision.status.revision,
            )
        )
        await self._latest.refresh(target.obj, without=target.obj["metadata"]["name"])
        return await self.release(target.obj)

    async def release(self, obj: dict[str, Any]) -> PhaseResult:
        """Remove our finalizer and nothing else."""

        async def let_go(current: dict[str, Any]) -> dict[str, Any]:
            metadata = current["metadata"]
            finalizers = [name for name in metadata.get("finalizers") or [] if name != FINALIZER]
            patch = {"metadata": {"finalizers": finalizers, "resourceVersion": metadata["resourceVersion"]}}
            return await self._kube.merge_patch(PACKAGEREVISIONS, metadata["namespace"], metadata["name"], patch)

        try:
            await change_object(self._kube, obj, let_go)
        except NotFound:
            return PhaseResult(summary="the object is gone")
        return PhaseResult(summary="nothing of it is left in Git; the object may go")
