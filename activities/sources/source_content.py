"""The content of a new draft, by kind of source. Files that a source does not change stay in Git unread."""

from collections.abc import Mapping
from dataclasses import replace

from porchflow.activities.sources.source_result import Made
from porchflow.activities.sources.upgrading import Upgrade, upgrade_package
from porchflow.activities.sources.upstream_content import (
    BY_SOURCE,
    UpstreamContent,
    check_package,
    made_downstream,
    moving,
)
from porchflow.activities.sources.upstreams import PublishedRevision, snapshot_of
from porchflow.activities.target import Target
from porchflow.api.models.conditions import Reason
from porchflow.api.models.packagerevision import (
    CloneSource,
    InitSource,
    ObjectReference,
    PackageSource,
    UpdateStrategy,
    UpgradeSource,
)
from porchflow.gitrepo.git_store import GitStore
from porchflow.gitrepo.store.commit_messages import TaskType
from porchflow.gitrepo.store.snapshots import Edit
from porchflow.gitrepo.store.trees import File, Files
from porchflow.kpt.format.init import init_package
from porchflow.repositories.failures import Stalled


class SourceContent:
    """Makes content as `spec.source` describes it."""

    def __init__(self, git: GitStore, found: UpstreamContent) -> None:
        """Create the maker.

        Args:
            git: Reads packages.
            found: Finds upstreams.
        """
        self._git = git
        self._found = found

    async def make(self, target: Target, source: PackageSource) -> Made:
        """Make the content; nothing is pushed.

        Raises:
            Waiting: A PackageRevision or Secret that the source names does not exist or is not published yet.
            Stalled: A person must correct the source.
            GitError: Git cannot be read.
            LocalChanges: The strategy of an upgrade takes only a package without local changes.
            InvalidPackage: The source names a directory that is no package, or a Kptfile that cannot be read.
        """
        if source.init is not None:
            return Made(_init(target, source.init))
        if source.copy_from is not None:
            return await self._copy(target, source.copy_from)
        if source.clone_from is not None:
            return await self._clone(target, source.clone_from)
        if source.upgrade is not None:
            return await self._upgrade(target, source.upgrade)
        raise Stalled(Reason.INVALID_SPEC, "spec.source names no source: set init, cloneFrom, copyFrom or upgrade")

    async def _copy(self, target: Target, reference: ObjectReference) -> Made:
        origin = await self._found.revision(target, reference, "copyFrom", BY_SOURCE)
        check_same_package(target, origin, "copyFrom", "to take a package from elsewhere use cloneFrom")
        return Made(Edit(await snapshot_of(self._git, origin)), warnings=moving(origin))

    async def _clone(self, target: Target, clone: CloneSource) -> Made:
        origin = await self._found.to_clone(target, clone, BY_SOURCE)
        changed = await made_downstream(self._git, origin, target.revision.spec.package_name)
        return Made(Edit(origin.snapshot, changed), upstream=origin.revision, warnings=origin.warnings)

    async def _upgrade(self, target: Target, upgrade: UpgradeSource) -> Made:
        new = await self._found.revision(target, upgrade.new_upstream, "upgrade.newUpstream", BY_SOURCE)
        current = await self._found.revision(target, upgrade.current_package, "upgrade.currentPackage", BY_SOURCE)
        instead = "to take a package from elsewhere use cloneFrom"
        check_same_package(target, current, "upgrade.currentPackage", instead)
        local = await snapshot_of(self._git, current)
        base, warnings = await self._found.to_merge(target, upgrade, new, local, BY_SOURCE)
        sides = (base, await snapshot_of(self._git, new), local)
        for side in sides:
            check_package(side)
        strategy = upgrade.strategy or UpdateStrategy.RESOURCE_MERGE
        name = target.revision.spec.package_name
        made = await upgrade_package(self._git, Upgrade(strategy, sides, name, new.upstream))
        return replace(made, upstream=new, warnings=(*warnings, *moving(new)))


def check_same_package(target: Target, origin: PublishedRevision, field: str, instead: str) -> None:
    """Refuse a source that is a revision of another package.

    Args:
        target: The object with the source.
        origin: The revision that the source names.
        field: The field below `spec.source` that names it, for the message.
        instead: How to mend it, for the message.

    Raises:
        Stalled: The packages differ.
    """
    spec = target.revision.spec
    if origin.package != (spec.repository, spec.package_name):
        raise Stalled(
            Reason.INVALID_SPEC,
            f"spec.source.{field} names {origin.name!r}, of package {origin.location.package!r} in repository"
            f" {origin.repository.name!r}: it must be a revision of package {spec.package_name!r} in repository"
            f" {spec.repository!r}; {instead}",
        )


def _init(target: Target, init: InitSource) -> Files:
    files = init_package(
        target.revision.spec.package_name,
        subpackage=init.subpackage or "",
        description=init.description or "",
        keywords=init.keywords or [],
        site=init.site or "",
    )
    return {path: File(data) for path, data in files.items()}


def task_of(source: PackageSource) -> TaskType:
    """Return the task that the commit message of a source names."""
    if source.clone_from is not None:
        return TaskType.CLONE
    if source.copy_from is not None:
        return TaskType.COPY
    return TaskType.UPGRADE if source.upgrade is not None else TaskType.INIT


CREATION_SOURCES = {
    TaskType.INIT: "init",
    TaskType.CLONE: "clone",
    TaskType.COPY: "copy",
    TaskType.UPGRADE: "upgrade",
}
"""`status.creationSource` by task."""


def with_changes(content: Files | Edit, changed: Mapping[str, File | None]) -> Files | Edit:
    """Return the content with some files changed, by path; None removes one."""
    if isinstance(content, Edit):
        return replace(content, changes={**content.changes, **changed})
    return {path: file for path, file in {**content, **changed}.items() if file is not None}
