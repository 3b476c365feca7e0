"""Other PackageRevisions as the source of content: found, and published, or waited for."""

import hashlib
from dataclasses import dataclass
from typing import Any

from activities.failures import Waiting
from activities.looks import Looks
from activities.repositories import Repositories, RepositoryAccess
from api.conditions import Reason
from api.packagerevision import PackageRevision
from gitrepo.packages import GitStore
from gitrepo.refs import PackageLocation
from gitrepo.snapshots import Snapshot
from kpt.upstream import GitUpstream
from kube.client import KubeClient
from kube.resources import PACKAGEREVISIONS


@dataclass(frozen=True)
class PublishedRevision:
    """A published package revision, with the way to its content."""

    name: str
    repository: RepositoryAccess
    location: PackageLocation
    upstream: GitUpstream
    """Where it is, as a package made from it says."""

    @property
    def package(self) -> tuple[str, str]:
        """Repository and package: the same for all revisions of one package."""
        return self.repository.name, self.location.package


class Upstreams:
    """Looks up the PackageRevisions that a source names."""

    def __init__(self, kube: KubeClient, repositories: Repositories) -> None:
        """Take the API client and the look-up of Repositories."""
        self._looks = Looks(kube, PACKAGEREVISIONS)
        self._repositories = repositories

    async def published(self, namespace: str, name: str, field: str) -> PublishedRevision:
        """Return a published package revision.

        Args:
            namespace: Of the object that asks.
            name: Of the PackageRevision.
            field: The field below `spec.source` that names it, for messages.

        Raises:
            Waiting: There is none of this name (yet), or it is not published (yet).
            Stalled: Its Repository cannot be used.
        """
        obj = await self._looks.get(namespace, name)
        if obj is None:
            raise Waiting(
                Reason.SOURCE_NOT_FOUND,
                f"waiting for PackageRevision {name!r}, which spec.source.{field} names: there is none in namespace"
                f" {namespace!r}; create it, or delete this object and create it again with the right name",
            )
        revision = PackageRevision.model_validate(obj)
        lock = revision.status.self_lock.git if revision.status.self_lock else None
        if not is_published(obj) or lock is None or not lock.commit:
            raise Waiting(
                Reason.SOURCE_NOT_PUBLISHED,
                f"waiting for PackageRevision {name!r}, which spec.source.{field} names: it is"
                f" {revision.spec.lifecycle or 'of no lifecycle'} and not published; propose and publish it",
            )
        repository = await self._repositories.access(namespace, revision.spec.repository)
        # Not the lock's directory: those that Porch wrote leave out the Repository's own.
        location = PackageLocation(repository.directory, revision.spec.package_name, revision.spec.workspace_name)
        upstream = GitUpstream(repository.remote.address, location.path, lock.ref, lock.commit)
        return PublishedRevision(name, repository, location, upstream)

    async def context(self, namespace: str, names: list[str]) -> str:
        """Return a digest that changes when one of the PackageRevisions appears, goes or is published."""
        states = []
        for name in names:
            obj = await self._looks.get(namespace, name)
            states.append(f"{obj['metadata']['uid']}/{is_published(obj)}" if obj is not None else "")
        return hashlib.sha256(",".join(states).encode()).hexdigest()[:16] if names else ""


def is_published(obj: dict[str, Any]) -> bool:
    """Whether a raw PackageRevision is published, and its status says where."""
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    lifecycle = spec.get("lifecycle")
    return bool(status.get("revision")) and lifecycle in {"Published", "DeletionProposed"}


async def snapshot_of(git: GitStore, revision: PublishedRevision) -> Snapshot:
    """List the content of a published package revision.

    Raises:
        GitError: It cannot be had.
    """
    return await git.snapshot(revision.repository.remote, revision.upstream.commit, revision.location.path)
