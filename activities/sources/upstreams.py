"""PackageRevisions as sources of content. A source that is missing or unpublished is waited for."""

import hashlib
import logging
from dataclasses import dataclass
from typing import Any

from porchflow.api.models.conditions import Reason
from porchflow.api.models.packagerevision import PackageRevision
from porchflow.api.names import UPSTREAM_OF_ANNOTATION
from porchflow.gitrepo.git_store import GitStore
from porchflow.gitrepo.refs import PackageLocation
from porchflow.gitrepo.store.snapshots import Snapshot
from porchflow.kpt.format.upstream import GitUpstream
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import KubeError
from porchflow.kube.kinds import PACKAGEREVISIONS
from porchflow.repositories.access import Repositories, RepositoryAccess
from porchflow.repositories.failures import Waiting
from porchflow.repositories.shared_reads import Looks

logger = logging.getLogger(__name__)

_REMEMBERED = 10_000


@dataclass(frozen=True)
class PublishedRevision:
    """A published package revision and the place of its content."""

    name: str
    uid: str
    repository: RepositoryAccess
    location: PackageLocation
    upstream: GitUpstream
    """Its place, as the Kptfile of a downstream says it."""
    numbered: bool = True
    """Whether it has a revision number; what the branch holds, and a tag that is no number, have none."""
    marked: bool = False
    """Whether its annotation already names a downstream."""

    @property
    def package(self) -> tuple[str, str]:
        """Repository and package: the same for all revisions of one package."""
        return self.repository.name, self.location.package


class Upstreams:
    """Looks up the PackageRevisions that a source names."""

    def __init__(self, kube: KubeClient, repositories: Repositories) -> None:
        self._kube = kube
        self._looks = Looks(kube, PACKAGEREVISIONS)
        self._marked: set[str] = set()
        """Uids, because an object that was read before the mark still lacks it."""
        self._repositories = repositories

    async def published(self, namespace: str, name: str, field: str, again: str) -> PublishedRevision:
        """Return a published package revision.

        Args:
            namespace: Of the object that asks.
            name: Of the PackageRevision.
            field: The field that names it, for messages.
            again: How a user asks for another one, for messages.

        Raises:
            Waiting: There is none of this name (yet), it is not published (yet), or its Repository cannot be used yet.
            Stalled: Its Repository cannot be used.
            KubeError: The API server cannot be reached or refuses.
        """
        obj = await self._looks.get(namespace, name)
        if obj is None:
            raise Waiting(
                Reason.SOURCE_NOT_FOUND,
                f"waiting for PackageRevision {name!r}, which {field} names: there is none in namespace"
                f" {namespace!r}; create it, or {again} with the right name",
            )
        revision = PackageRevision.model_validate(obj)
        lock = revision.status.self_lock.git if revision.status.self_lock else None
        if not is_published(obj) or lock is None or not lock.commit:
            raise Waiting(
                Reason.SOURCE_NOT_PUBLISHED,
                f"waiting for PackageRevision {name!r}, which {field} names: it is"
                f" {revision.spec.lifecycle or 'of no lifecycle'} and not published; propose and publish it",
            )
        repository = await self._repositories.access(namespace, revision.spec.repository)
        # Not the lock's directory: Porch writes it without the Repository's own directory.
        location = PackageLocation(repository.directory, revision.spec.package_name, revision.spec.workspace_name)
        upstream = GitUpstream(repository.remote.written, location.path, lock.ref, lock.commit)
        marked = UPSTREAM_OF_ANNOTATION in (obj["metadata"].get("annotations") or {})
        numbered = (revision.status.revision or 0) > 0
        return PublishedRevision(name, obj["metadata"]["uid"], repository, location, upstream, numbered, marked)

    async def mark(self, revision: PublishedRevision, namespace: str, downstream: str) -> None:
        """Name a downstream in an annotation of a package revision, so that the API server warns when it is deleted.

        Each package revision is marked once, however many are made from it. A failure is only logged.
        """
        if revision.marked or revision.uid in self._marked:
            return
        if len(self._marked) > _REMEMBERED:
            self._marked.clear()
        # Recorded before the write, so that of many concurrent sources only one writes.
        self._marked.add(revision.uid)
        try:
            patch = {"metadata": {"annotations": {UPSTREAM_OF_ANNOTATION: downstream}}}
            await self._kube.merge_patch(PACKAGEREVISIONS, namespace, revision.name, patch)
        except KubeError as error:
            self._marked.discard(revision.uid)
            logger.info("cannot mark %s as the upstream of %s: %s", revision.name, downstream, error)
        except BaseException:
            self._marked.discard(revision.uid)
            raise

    async def context(self, namespace: str, names: list[str]) -> str:
        """Return a digest that changes when one of the PackageRevisions appears, goes or is published.

        Returns:
            16 hexadecimal digits; empty without names.

        Raises:
            KubeError: The API server cannot be reached or refuses.
        """
        states = []
        for name in names:
            obj = await self._looks.get(namespace, name)
            states.append(f"{obj['metadata']['uid']}/{is_published(obj)}" if obj is not None else "")
        return hashlib.sha256(",".join(states).encode()).hexdigest()[:16] if names else ""


def is_published(obj: dict[str, Any]) -> bool:
    """Whether a raw PackageRevision is published and its status has a revision number."""
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    lifecycle = spec.get("lifecycle")
    return bool(status.get("revision")) and lifecycle in {"Published", "DeletionProposed"}


async def snapshot_of(git: GitStore, revision: PublishedRevision) -> Snapshot:
    """List the files of a published package revision.

    Raises:
        GitError: Git cannot be read.
    """
    return await git.snapshot(revision.repository.remote, revision.upstream.commit, revision.location.path)
