"""From a PackageRevision to its content in Git."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from porchflow.api.models.packagerevision import Lifecycle, PackageRevision
from porchflow.api.names import object_name
from porchflow.content.packages.content_cache import ContentCache
from porchflow.content.packages.encoding import Encoded, encode_files
from porchflow.content.refusals import ApiError, not_found
from porchflow.gitrepo.git_store import GitStore
from porchflow.gitrepo.refs import TAGS, InvalidName, PackageLocation, branch_ref
from porchflow.gitrepo.remote.remote import Remote
from porchflow.gitrepo.store.package_state import open_at
from porchflow.gitrepo.store.trees import Files
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.errors import NotFound
from porchflow.kube.kinds import PACKAGEREVISIONS
from porchflow.repositories.access import Repositories, RepositoryAccess
from porchflow.repositories.reported_lock import published_ref, reported_commit


@dataclass(frozen=True)
class Revision:
    """A package revision, as Kubernetes has it."""

    obj: Object
    """The PackageRevision as the API server returned it."""
    revision: PackageRevision

    @property
    def name(self) -> str:
        """Name of the object."""
        return str(self.obj["metadata"]["name"])

    @property
    def namespace(self) -> str:
        """Namespace of the object."""
        return str(self.obj["metadata"]["namespace"])


@dataclass(frozen=True)
class Registered(Revision):
    """A package revision with the access to its repository."""

    repository: RepositoryAccess
    location: PackageLocation


@dataclass(frozen=True)
class Found(Registered):
    """A package revision with the place of its content in Git."""

    commit: str
    """The commit that holds the content; also the resource version of the content."""
    lifecycle: Lifecycle
    """The lifecycle by Git's refs."""


class Packages:
    """Finds package revisions and reads their content."""

    def __init__(self, kube: KubeClient, git: GitStore, cache: ContentCache) -> None:
        """Create the access to packages.

        Args:
            kube: The API server.
            git: The repositories.
            cache: Keeps content that was read.
        """
        self._kube = kube
        self._git = git
        self._cache = cache
        self._repositories = Repositories(kube)

    async def find(self, namespace: str, name: str) -> Found:
        """Find a package revision as Kubernetes and Git have it now.

        Raises:
            ApiError: There is none, or it has no content yet.
            KubeError: The API server does not answer.
            GitError: The repository does not answer.
            PhaseError: The Repository object is missing or not usable.
        """
        return await self.locate(await self.registered(namespace, name))

    async def registered(self, namespace: str, name: str) -> Registered:
        """Find a package revision and its repository, without a request to Git; raises the errors of `find`."""
        try:
            obj = await self._kube.get(PACKAGEREVISIONS, namespace, name)
        except (NotFound, ValueError):
            raise not_found(name) from None
        return await self.register(obj)

    async def register(self, obj: Object) -> Registered:
        """Find the repository of a PackageRevision that the caller has read; raises the errors of `find`."""
        name, namespace = obj["metadata"]["name"], obj["metadata"]["namespace"]
        revision = PackageRevision.model_validate(obj)
        spec = revision.spec
        if name != object_name(spec.repository, spec.package_name, spec.workspace_name):
            raise not_found(name, "the PackageRevision's name does not match its spec, so it has no content")
        repository = await self._repositories.access(namespace, spec.repository)
        if repository.deleting:
            raise not_found(name, f"Repository {spec.repository!r} is being deleted")
        try:
            location = PackageLocation(repository.directory, spec.package_name, spec.workspace_name)
        except InvalidName as error:
            raise not_found(name, str(error)) from None
        return Registered(obj, revision, repository, location)

    async def content_of(self, obj: Object) -> Found | None:
        """Find the content of a PackageRevision that the caller has read; None where it has none (yet).

        Raises:
            KubeError: The API server does not answer.
            GitError: The repository does not answer.
            PhaseError: The Repository object is missing or not usable.
        """
        try:
            return await self.locate(await self.register(obj))
        except ApiError:
            return None

    async def locate(self, registered: Registered) -> Found:
        """Find the content of a package revision in Git; raises the errors of `find`."""
        lifecycle, commit = await self._place(registered.revision, registered.repository, registered.location)
        if lifecycle is None:
            raise not_found(registered.name, "the package revision has no content yet; wait until it is Ready")
        return Found(**vars(registered), commit=commit, lifecycle=lifecycle)

    async def encoded(self, found: Found) -> Encoded:
        """Return the content as JSON, from the cache where it was read before."""
        remote, path = found.repository.remote, found.location.path

        async def load() -> Encoded:
            return await encode_files(await self._git.read_package(remote, found.commit, path))

        return await self._cache.get((*remote.account, found.commit, path), load)

    async def fetch(self, found: Sequence[Found]) -> None:
        """Fetch the content of several package revisions, with one request per repository.

        Errors, such as a missing commit or a server that does not answer, show when the content is read.
        """
        commits: dict[Remote, list[str]] = defaultdict(list)
        for each in found:
            commits[each.repository.remote].append(each.commit)
        requests = (self._git.fetch(remote, wanted) for remote, wanted in commits.items())
        await asyncio.gather(*requests, return_exceptions=True)

    async def files(self, registered: Registered, commit: str) -> Files:
        """Read the content at a commit as Git has it."""
        return await self._git.read_package(registered.repository.remote, commit, registered.location.path)

    async def _place(
        self, revision: PackageRevision, repository: RepositoryAccess, location: PackageLocation
    ) -> tuple[Lifecycle | None, str]:
        """Find lifecycle and commit, with as few requests to the Git server as correctness allows."""
        status = revision.status
        commit, tag = reported_commit(status), published_ref(status)
        if commit and (status.revision or 0) > 0:
            # Published content never changes, so this needs no request.
            return Lifecycle.PUBLISHED, commit
        if location.workspace != repository.branch and not tag:
            refs = await self._git.list_refs(repository.remote)
            if place := open_at(location, refs.get):
                return place
        elif status.revision:
            refs = await self._git.list_refs(repository.remote)
            if tip := refs.get(branch_ref(repository.branch)) or refs.get(f"{TAGS}{tag}"):
                return Lifecycle.PUBLISHED, tip
        state = await self._git.state(
            repository.remote, repository.branch, location, tag_hint=tag, commit_hint=commit or None
        )
        return state.lifecycle, state.commit
