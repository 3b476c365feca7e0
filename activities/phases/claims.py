"""Ownership of a draft branch that several PackageRevisions name."""

from typing import Any

from porchflow.activities.target import Target
from porchflow.api.models.conditions import Reason
from porchflow.api.models.packagerevision import PackageRevision
from porchflow.gitrepo.refs import InvalidName, PackageLocation
from porchflow.kube.client import KubeClient
from porchflow.kube.kinds import PACKAGEREVISIONS
from porchflow.repositories.access import Repositories
from porchflow.repositories.failures import PhaseError, Stalled


class Claims:
    """Finds another PackageRevision of the namespace with the same draft branch.

    Within one Repository the names differ. Two Repositories of one Git repository can have the same directory.
    """

    def __init__(self, kube: KubeClient, repositories: Repositories) -> None:
        self._kube = kube
        self._repositories = repositories

    async def check(self, target: Target) -> None:
        """Refuse a draft branch that belongs to another object.

        Raises:
            Stalled: Another object has the draft, or was created first.
            KubeError: The API server cannot be reached or refuses.
        """
        metadata, workspace = target.obj["metadata"], target.revision.spec.workspace_name
        async for other in self._kube.list_all(
            PACKAGEREVISIONS, metadata["namespace"], field_selector=f"spec.workspaceName={workspace}"
        ):
            if other["metadata"]["name"] == metadata["name"] or not _precedes(other, target.obj):
                continue
            if await self._means(other, target):
                name = other["metadata"]["name"]
                raise Stalled(
                    Reason.GIT_CONFLICT,
                    f"{target.location.path} {workspace} in {target.repository.remote.display} belongs to"
                    f" PackageRevision {name!r} already, whose Repository holds the same directory; delete this object,"
                    " and choose another workspace name",
                )

    async def _means(self, other: dict[str, Any], target: Target) -> bool:
        spec = PackageRevision.model_validate(other).spec
        if spec.repository == target.repository.name:
            return False
        try:
            repository = await self._repositories.access(target.obj["metadata"]["namespace"], spec.repository)
            location = PackageLocation(repository.directory, spec.package_name, spec.workspace_name)
        except (PhaseError, InvalidName):
            return False
        return (repository.remote.place, location.draft_ref) == (
            target.repository.remote.place,
            target.location.draft_ref,
        )


def _precedes(other: dict[str, Any], obj: dict[str, Any]) -> bool:
    """Whether the other raw object has executed its source, or was created first."""
    if (other.get("status") or {}).get("creationSource"):
        return True
    first, second = ((item["metadata"]["creationTimestamp"], item["metadata"]["name"]) for item in (other, obj))
    return first < second
