"""Comparison of Porch's package revisions with those that porchflow would create. It only reads."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from porchflow.activities.sync.comparison import compare
from porchflow.api.names import V1ALPHA2_MIGRATION_ANNOTATION
from porchflow.cli.migrate.models import RepositoryPlan, Revision, Row
from porchflow.cli.migrate.porch import revisions_of
from porchflow.gitrepo.discovery.discover import Discovered
from porchflow.gitrepo.git_store import GitStore
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.errors import NotFound
from porchflow.kube.kinds import REPOSITORIES
from porchflow.repositories.access import Repositories


class UnknownRepository(Exception):  # noqa: N818 - named for what it is
    """There is no Repository of that name."""


@dataclass(frozen=True)
class Clients:
    """Clients and namespace of a migration."""

    kube: KubeClient
    porch: KubeClient
    """Client of the server with Porch's v1alpha1 API; usually the same server."""
    git: GitStore
    namespace: str


async def repositories(clients: Clients, names: Sequence[str]) -> AsyncIterator[Object]:
    """Read the named Repositories, raw; without names all with a `spec.git`.

    Raises:
        UnknownRepository: One of the names does not exist.
        KubeError: The API server cannot be reached or refuses.
    """
    if not names:
        async for raw in clients.kube.list_all(REPOSITORIES, clients.namespace):
            if raw["spec"].get("git"):
                yield raw
        return
    for name in names:
        try:
            yield await clients.kube.get(REPOSITORIES, clients.namespace, name)
        except NotFound:
            message = f"there is no Repository {name!r} in namespace {clients.namespace!r}"
            raise UnknownRepository(message) from None


def is_annotated(raw: Object) -> bool:
    """Whether a raw Repository has the annotation that hands it to porchflow."""
    return (raw["metadata"].get("annotations") or {}).get(V1ALPHA2_MIGRATION_ANNOTATION) == "true"


async def plan_of(clients: Clients, raw: Object) -> RepositoryPlan:
    """Compare one raw Repository.

    Raises:
        PhaseError: Its Secret is missing or cannot be used.
        GitError: Git cannot be read.
        KubeError: An API server, or Porch, cannot be reached or refuses.
    """
    name, migrated = raw["metadata"]["name"], is_annotated(raw)
    access = await Repositories(clients.kube).opened(raw)
    served: dict[str, Revision] = {}
    if not migrated:
        served = {each: found async for each, found in revisions_of(clients.porch, clients.namespace, name)}
    survey = await clients.git.survey(access.remote, access.branch, access.directory)
    work = compare(access, survey.discovery.revisions, {})
    found = {each: _revision(discovered) for each, discovered in work.names.items()}
    return RepositoryPlan(
        namespace=clients.namespace,
        name=name,
        migrated=migrated,
        rows=[Row(name=each, porch=served.get(each), git=found.get(each)) for each in sorted({*served, *found})],
        problems=[*survey.discovery.problems, *work.problems],
    )


def _revision(found: Discovered) -> Revision:
    return Revision(
        package=found.package,
        workspace=found.workspace,
        lifecycle=found.lifecycle.value,
        revision=found.revision,
        ref=found.ref,
        commit=found.commit,
    )
