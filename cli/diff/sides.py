"""The two sides of a comparison: package revisions by name, their predecessors and upstreams, read from Git."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from porchflow.api.git_address import BadAddress, place_of
from porchflow.api.models.conditions import raw_condition
from porchflow.api.models.packagerevision import GitLock, PackageRevision
from porchflow.cli.revisions.named_revision import read_named
from porchflow.gitrepo.git_store import GitStore
from porchflow.gitrepo.refs import PackageLocation
from porchflow.gitrepo.remote.remote import Remote
from porchflow.gitrepo.store.trees import Files
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.kinds import PACKAGEREVISIONS, REPOSITORIES
from porchflow.repositories.access import Repositories


class DiffError(Exception):
    """The comparison is impossible; the message says why and what to do."""


@dataclass(frozen=True)
class Side:
    """One side of a comparison."""

    title: str
    """Its name for people."""
    files: Files
    commit: str = ""
    """What holds the files; empty where nothing does."""


class Sides:
    """Reads package revisions of one namespace."""

    def __init__(self, kube: KubeClient, store: GitStore, namespace: str) -> None:
        self._kube = kube
        self._store = store
        self._namespace = namespace
        self._repositories = Repositories(kube)

    async def pair(self, first: str, second: str | None, *, upstream: bool) -> tuple[Side, Side]:
        """Return the two sides, the older one first.

        Args:
            first: Name of a PackageRevision.
            second: Name of another; then `first` is the older one.
            upstream: Compare `first` with its upstream.

        Raises:
            NoSuchRevisionError: There is no such object.
            DiffError: It has no content or no upstream.
            KubeError, GitError, PhaseError: Kubernetes or Git cannot be used, or the Repository or its Secret.
        """
        if second is not None:
            return await self._side(await self._read(first)), await self._side(await self._read(second))
        obj = await self._read(first)
        return await (self._upstream(obj) if upstream else self._base(obj)), await self._side(obj)

    async def _read(self, name: str) -> Object:
        return await read_named(self._kube, self._namespace, name)

    async def _side(self, obj: dict[str, Any]) -> Side:
        name, revision = obj["metadata"]["name"], PackageRevision.model_validate(obj)
        spec, status = revision.spec, revision.status
        repository = await self._repositories.access(self._namespace, spec.repository)
        location = PackageLocation(repository.directory, spec.package_name, spec.workspace_name)
        lock = status.self_lock.git if status.self_lock else None
        hint = lock.ref if lock and status.revision else None
        state = await self._store.state(repository.remote, repository.branch, location, tag_hint=hint)
        if not state.commit:
            raise DiffError(f"{name} has no content yet: {_told(obj)}")
        files = await self._store.read_package(repository.remote, state.commit, location.path)
        return Side(name, files, state.commit)

    async def _base(self, obj: dict[str, Any]) -> Side:
        """Return the predecessor of a revision: the published one before it, else its upstream, else an empty side."""
        previous = previous_of(obj, await self._siblings(obj))
        if previous is not None:
            return await self._side(previous)
        lock = PackageRevision.model_validate(obj).status.upstream_lock
        if lock and lock.git:
            return await self._upstream(obj)
        return Side("nothing: it is the first revision of a package without upstream", {})

    async def _siblings(self, obj: dict[str, Any]) -> Sequence[dict[str, Any]]:
        spec = obj["spec"]
        selector = f"spec.repository={spec.get('repository', '')},spec.packageName={spec.get('packageName', '')}"
        found = self._kube.list_all(PACKAGEREVISIONS, self._namespace, field_selector=selector)
        return [item async for item in found]

    async def _upstream(self, obj: dict[str, Any]) -> Side:
        name, revision = obj["metadata"]["name"], PackageRevision.model_validate(obj)
        lock = revision.status.upstream_lock.git if revision.status.upstream_lock else None
        if lock is None:
            raise DiffError(
                f"{name} has no upstream (status.upstreamLock is empty): only a clone has one; name the revision to"
                " compare it with"
            )
        remote = await self._remote(lock, revision)
        commit = lock.commit or await self._store.resolve(remote, lock.ref, lock.directory)
        title = f"upstream {lock.directory.strip('/') or '/'} at {lock.ref or commit[:12]} in {remote.display}"
        return Side(title, await self._store.read_package(remote, commit, lock.directory.strip("/")), commit)

    async def _remote(self, lock: GitLock, revision: PackageRevision) -> Remote:
        """Return the upstream's remote, with the credentials of its Repository, else with those of the clone."""
        wanted = place_of(lock.repo)
        async for item in self._kube.list_all(REPOSITORIES, self._namespace):
            if wanted and place_of(((item.get("spec") or {}).get("git") or {}).get("repo", "")) == wanted:
                return (await self._repositories.access(self._namespace, item["metadata"]["name"])).remote
        clone = revision.spec.source.clone_from if revision.spec.source else None
        secret = clone.git.secret_ref.name if clone and clone.git and clone.git.secret_ref else ""
        named_by = f"spec.source.cloneFrom.git.secretRef of {revision.metadata.name!r}"
        try:
            return await self._repositories.unregistered(self._namespace, lock.repo, secret, named_by)
        except BadAddress as error:
            raise DiffError(f"the upstream of {revision.metadata.name!r} cannot be read: {error}") from None


def previous_of(obj: dict[str, Any], siblings: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the published revision before a published one, or the newest one for a draft; None for none.

    Args:
        obj: A raw PackageRevision.
        siblings: The raw PackageRevisions of its package; may include itself.
    """
    own = _number(obj)
    name = obj["metadata"]["name"]
    earlier = [
        item
        for item in siblings
        if item["metadata"]["name"] != name and _number(item) > 0 and (own <= 0 or _number(item) < own)
    ]
    return max(earlier, key=_number, default=None)


def _number(obj: dict[str, Any]) -> int:
    return int((obj.get("status") or {}).get("revision") or 0)


def _told(obj: dict[str, Any]) -> str:
    return str(raw_condition(obj, "Ready").get("message") or "it was not reconciled yet; try again in a moment")
