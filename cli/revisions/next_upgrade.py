"""Plans the upgrade of a published package: finds its upstream's newest revision, and names the new object."""

from collections.abc import Mapping
from dataclasses import dataclass

from porchflow.api.git_address import place_of
from porchflow.api.models.packagerevision import GitLock, Lifecycle, PackageRevision, UpdateStrategy
from porchflow.api.names import PACKAGE_REVISION_API_VERSION, PACKAGE_REVISION_KIND
from porchflow.cli.revisions.named_revision import object_name, read_named
from porchflow.cli.revisions.review import lifecycle_of
from porchflow.gitrepo.refs import revision_of
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.kinds import PACKAGEREVISIONS


class UpgradeError(Exception):
    """The package cannot be upgraded as it was asked for; the message says what to do."""


@dataclass(frozen=True)
class UpgradePlan:
    """The object of an upgrade, not created yet."""

    body: Object
    """A raw PackageRevision."""
    old: str
    new: str
    """Names of the upstreams."""

    @property
    def name(self) -> str:
        """Name of the object."""
        return str(self.body["metadata"]["name"])

    async def create(self, kube: KubeClient, *, dry_run: bool) -> Object:
        """Create the object.

        Raises:
            AlreadyExists: There is one of this name.
            KubeError: The API server refuses.
        """
        return await kube.create(PACKAGEREVISIONS, self.body, dry_run=dry_run)


async def plan_upgrade(
    kube: KubeClient,
    namespace: str,
    name: str,
    *,
    to: str = "",
    workspace: str = "",
    strategy: UpdateStrategy | None = None,
) -> UpgradePlan | None:
    """Return the upgrade of a package revision.

    Args:
        kube: The API server.
        namespace: Namespace of all objects.
        name: Of the published revision to upgrade.
        to: Name of the new upstream; empty for the newest published revision of the upstream's package.
        workspace: Of the new revision; empty for the next free `vN`.
        strategy: Of the merge; None for the default of `spec.source.upgrade`.

    Returns:
        None where the package is made from the newest revision already.

    Raises:
        UpgradeError: The revision is not published or has no upstream, or no object shows its upstream's revisions.
        NoSuchRevisionError: There is no such object.
        KubeError: The API server cannot be reached or refuses.
    """
    obj = await read_named(kube, namespace, name)
    current, shown = PackageRevision.model_validate(obj), obj["metadata"]["name"]
    lock = _upstream_of(obj, current)
    objects = [PackageRevision.model_validate(item) async for item in kube.list_all(PACKAGEREVISIONS, namespace)]
    revisions = {each.metadata.name: each for each in objects}
    upstreams = {each: found for each, found in revisions.items() if _is_of(found, lock)}
    new = upstreams.get(object_name(to)) if to else max(upstreams.values(), key=_number, default=None)
    if new is None:
        known = f"there are {', '.join(sorted(upstreams)[:10])}" if upstreams else "there is none"
        raise UpgradeError(
            f"{to or 'no object'} is no published revision of {lock.ref.rpartition('/')[0] or lock.directory!r} in"
            f" {lock.repo}, which {shown} is made from: {known} in namespace {namespace!r}; register that repository,"
            " or publish a revision there"
        )
    if _self_lock(new).ref == lock.ref:
        return None
    old = _old_name(lock, new, revisions)
    spec = current.spec
    taken = {
        each.spec.workspace_name
        for each in objects
        if (each.spec.repository, each.spec.package_name) == (spec.repository, spec.package_name)
    }
    workspace = workspace or f"v{max((revision_of(each) for each in taken), default=0) + 1}"
    upgrade: Object = {
        "oldUpstream": {"name": old},
        "newUpstream": {"name": new.metadata.name},
        "currentPackage": {"name": shown},
    }
    if strategy is not None:
        upgrade["strategy"] = strategy
    body: Object = {
        "apiVersion": PACKAGE_REVISION_API_VERSION,
        "kind": PACKAGE_REVISION_KIND,
        "metadata": {
            "namespace": namespace,
            "name": ".".join((spec.repository, *spec.package_name.split("/"), workspace)),
        },
        "spec": {
            "repository": spec.repository,
            "packageName": spec.package_name,
            "workspaceName": workspace,
            "lifecycle": Lifecycle.DRAFT,
            "source": {"upgrade": upgrade},
        },
    }
    return UpgradePlan(body, old, new.metadata.name)


def _upstream_of(obj: Object, revision: PackageRevision) -> GitLock:
    name, lifecycle = obj["metadata"]["name"], lifecycle_of(obj)
    if not lifecycle.is_published:
        raise UpgradeError(
            f"{name} is {lifecycle}: an upgrade starts from a published revision; publish it first, or name another one"
        )
    lock = revision.status.upstream_lock.git if revision.status.upstream_lock else None
    if lock is None or not lock.repo:
        raise UpgradeError(f"{name} has no upstream (status.upstreamLock is empty): only a clone has one")
    return lock


def _old_name(lock: GitLock, new: PackageRevision, objects: Mapping[str, PackageRevision]) -> str:
    """Return the name of the old upstream: of the object with the lock's commit, else one that no object has.

    The worker takes the commit in the lock then. An object that is at another commit by now would be the wrong start.
    """
    spec = new.spec
    package = ".".join((spec.repository, *spec.package_name.split("/")))
    name = f"{package}.{lock.ref.rpartition('/')[2]}"
    known = [each for each, item in objects.items() if _is_at(item, lock)]
    if known:
        return name if name in known else known[0]
    return name if name not in objects else f"{package}.{lock.commit[:12]}"


def _is_at(revision: PackageRevision, lock: GitLock) -> bool:
    own = _self_lock(revision)
    same_place = place_of(own.repo) == place_of(lock.repo)
    return same_place and (own.ref, own.commit) == (lock.ref, lock.commit) and _is_published(revision)


def _is_of(revision: PackageRevision, lock: GitLock) -> bool:
    """Whether an object is a published revision, with a number, of the package that a lock names."""
    own = _self_lock(revision)
    return (
        _number(revision) > 0
        and _is_published(revision)
        and place_of(own.repo) == place_of(lock.repo)
        # Porch writes the directory without that of the Repository. The tag has both.
        and own.ref.rpartition("/")[0] in {lock.directory.strip("/"), lock.ref.rpartition("/")[0]}
    )


def _is_published(revision: PackageRevision) -> bool:
    return revision.spec.lifecycle is not None and revision.spec.lifecycle.is_published


def _self_lock(revision: PackageRevision) -> GitLock:
    lock = revision.status.self_lock
    return lock.git if lock is not None and lock.git is not None else GitLock()


def _number(revision: PackageRevision) -> int:
    return revision.status.revision or 0
