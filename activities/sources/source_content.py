"""The content of a new draft, by kind of source. Files that a source does not change stay in Git unread."""

from collections.abc import Mapping
from dataclasses import replace
from posixpath import normpath

from porchflow.activities.sources.source_result import Made
from porchflow.activities.sources.upgrading import Upgrade, upgrade_package
from porchflow.activities.sources.upstreams import PublishedRevision, Upstreams, snapshot_of
from porchflow.activities.target import Target
from porchflow.api.conditions import Reason
from porchflow.api.git_address import BadAddress, place_of
from porchflow.api.names import RECONCILE_NOW_ANNOTATION
from porchflow.api.packagerevision import (
    CloneSource,
    GitSource,
    InitSource,
    ObjectReference,
    PackageSource,
    UpdateStrategy,
    UpgradeSource,
)
from porchflow.gitrepo.errors import GitAuthError, GitNotFound, GitRefusedBefore
from porchflow.gitrepo.git_store import GitStore
from porchflow.gitrepo.refs import is_object_id
from porchflow.gitrepo.store.commit_messages import TaskType
from porchflow.gitrepo.store.snapshots import Edit, Snapshot
from porchflow.gitrepo.store.trees import File, Files, Mode
from porchflow.kpt.format.files import KPTFILE
from porchflow.kpt.format.init import PACKAGE_CONTEXT, init_package
from porchflow.kpt.format.upstream import GitUpstream, downstream_files, upstream_lock
from porchflow.repositories.access import Repositories
from porchflow.repositories.failures import Stalled, Waiting


class SourceContent:
    """Makes content as `spec.source` describes it."""

    def __init__(self, git: GitStore, repositories: Repositories, upstreams: Upstreams) -> None:
        """Create the maker.

        Args:
            git: Reads packages.
            repositories: Opens repositories that need not be registered.
            upstreams: Finds published package revisions.
        """
        self._git = git
        self._repositories = repositories
        self._upstreams = upstreams

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
        origin = await self.revision(target, reference, "copyFrom")
        check_same_package(target, origin, "copyFrom", "to take a package from elsewhere use cloneFrom")
        return Made(Edit(await snapshot_of(self._git, origin)), warnings=_moving(origin))

    async def _clone(self, target: Target, clone: CloneSource) -> Made:
        origin: PublishedRevision | None = None
        if clone.upstream_ref is not None:
            origin = await self.revision(target, clone.upstream_ref, "cloneFrom.upstreamRef")
            snapshot, upstream = await snapshot_of(self._git, origin), origin.upstream
        elif clone.git is not None:
            snapshot, upstream = await self._from_git(target, clone.git)
        else:
            raise Stalled(
                Reason.INVALID_SPEC,
                "spec.source.cloneFrom says not what to clone: delete this object and create it again with upstreamRef"
                " (a PackageRevision) or git (a repository)",
            )
        check_package(snapshot)
        edit = Edit(snapshot, await self.downstream(target, snapshot, upstream))
        return Made(edit, upstream=origin, warnings=_moving(origin) if origin is not None else ())

    async def _upgrade(self, target: Target, upgrade: UpgradeSource) -> Made:
        new = await self.revision(target, upgrade.new_upstream, "upgrade.newUpstream")
        current = await self.revision(target, upgrade.current_package, "upgrade.currentPackage")
        instead = "to take a package from elsewhere use cloneFrom"
        check_same_package(target, current, "upgrade.currentPackage", instead)
        local = await snapshot_of(self._git, current)
        base, warnings = await self._base(target, upgrade.old_upstream, new, local)
        sides = (base, await snapshot_of(self._git, new), local)
        for side in sides:
            check_package(side)
        strategy = upgrade.strategy or UpdateStrategy.RESOURCE_MERGE
        name = target.revision.spec.package_name
        made = await upgrade_package(self._git, Upgrade(strategy, sides, name, new.upstream))
        return replace(made, upstream=new, warnings=(*warnings, *_moving(new)))

    async def _base(
        self, target: Target, reference: ObjectReference | None, new: PublishedRevision, local: Snapshot
    ) -> tuple[Snapshot, tuple[tuple[Reason, str], ...]]:
        """Return the old upstream. Where its object is gone, the package's own lock says which commit it was."""
        try:
            old = await self.revision(target, reference, "upgrade.oldUpstream")
        except Waiting as waiting:
            base = await self._locked(new, local) if waiting.reason == Reason.SOURCE_NOT_FOUND else None
            if base is None:
                raise
            told = (
                f"spec.source.upgrade.oldUpstream names {reference.name if reference else ''!r}, which is not there:"
                f" the upgrade starts from commit {base.commit[:12]}, which the package's upstreamLock names"
            )
            return base, ((Reason.UPSTREAM_FROM_LOCK, told),)
        if old.package != new.package:
            raise Stalled(
                Reason.INVALID_SPEC,
                f"spec.source.upgrade.newUpstream names {new.name!r} and oldUpstream {old.name!r}: they must be"
                " revisions of one package; delete this object and create it again with the right ones",
            )
        return await snapshot_of(self._git, old), ()

    async def _locked(self, new: PublishedRevision, local: Snapshot) -> Snapshot | None:
        """Return the content that a package's lock names; None where it is of another package or gone from Git."""
        if not _is_regular(local, KPTFILE):
            return None
        lock = upstream_lock((await self._git.read_files(local, [KPTFILE]))[KPTFILE])
        if lock is None or not is_object_id(lock.commit):
            return None
        remote, directory = new.repository.remote, new.location.path
        if place_of(lock.repo) != remote.place or lock.directory.strip("/") != directory:
            return None
        try:
            return await self._git.snapshot(remote, lock.commit, directory)
        except GitNotFound:
            return None

    async def _from_git(self, target: Target, source: GitSource) -> tuple[Snapshot, GitUpstream]:
        field = "spec.source.cloneFrom.git"
        secret = source.secret_ref.name if source.secret_ref is not None else ""
        namespace = target.obj["metadata"]["namespace"]
        try:
            remote = await self._repositories.unregistered(namespace, source.repo, secret, f"{field}.secretRef")
        except BadAddress as error:
            mend = "delete this object and create it again with the right address"
            raise Stalled(Reason.INVALID_SPEC, f"{field}.repo: {error}; {mend}") from None
        directory = _directory(source.directory)
        try:
            commit = await self._git.resolve(remote, source.ref, directory)
            snapshot = await self._git.snapshot(remote, commit, directory)
        except GitRefusedBefore:
            raise
        except GitAuthError as error:
            mend = (
                f"correct Secret {secret!r}, and it goes on by itself"
                if secret
                else f"delete this object and create it again with {field}.secretRef"
            )
            raise Stalled(
                Reason.GIT_AUTH_FAILED,
                f"{field}: {remote.display} refused the {'credentials' if secret else 'access without credentials'};"
                f" {mend}",
            ) from error
        except GitNotFound as error:
            raise Stalled(
                Reason.GIT_NOT_FOUND,
                f"{field}: {error}; push it there and set the annotation {RECONCILE_NOW_ANNOTATION} to a new value, or"
                " delete this object and create it again with the right place",
            ) from error
        return snapshot, GitUpstream(remote.written, directory, source.ref, commit)

    async def revision(self, target: Target, reference: ObjectReference | None, field: str) -> PublishedRevision:
        """Return the published revision that a field names.

        Raises:
            Waiting: It does not exist or is not published yet.
            Stalled: The field is empty.
        """
        if reference is None or not reference.name:
            raise Stalled(
                Reason.INVALID_SPEC,
                f"spec.source.{field} names no PackageRevision; delete this object and create it again with its name",
            )
        return await self._upstreams.published(target.obj["metadata"]["namespace"], reference.name, field)

    async def downstream(self, target: Target, snapshot: Snapshot, upstream: GitUpstream) -> Files:
        """Return the files that a clone changes: its Kptfile and its package context, by path.

        Raises:
            InvalidPackage: The Kptfile cannot be read.
        """
        paths = [path for path in (KPTFILE, PACKAGE_CONTEXT) if _is_regular(snapshot, path)]
        files = await self._git.read_files(snapshot, paths)
        changed = downstream_files(files, target.revision.spec.package_name, upstream)
        return {path: File(data, snapshot.files[path].mode) for path, data in changed.items()}


def _moving(origin: PublishedRevision) -> tuple[tuple[Reason, str], ...]:
    """Return the warning for a source without a revision number, which is another one after the next publish."""
    if origin.numbered:
        return ()
    ref, commit = origin.upstream.ref, origin.upstream.commit
    told = (
        f"PackageRevision {origin.name!r} has no revision number: the content is that of {ref!r} at commit"
        f" {commit[:12]}, and what {ref!r} holds may change; publish a revision to have one to come back to"
    )
    return ((Reason.SOURCE_MOVES, told),)


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


def check_package(snapshot: Snapshot) -> None:
    """Refuse a directory that is no package.

    Raises:
        Stalled: It holds no Kptfile, or a symbolic link in its place.
    """
    if not _is_regular(snapshot, KPTFILE):
        where = f"directory {snapshot.path!r}" if snapshot.path else "the root"
        found = "its Kptfile is a symbolic link" if KPTFILE in snapshot.files else "it has no Kptfile"
        raise Stalled(
            Reason.INVALID_PACKAGE,
            f"{where} of {snapshot.remote.display} at commit {snapshot.commit[:12]} is no package: {found}",
        )


def _is_regular(snapshot: Snapshot, path: str) -> bool:
    file = snapshot.files.get(path)
    return file is not None and file.mode is not Mode.SYMLINK


def _init(target: Target, init: InitSource) -> Files:
    files = init_package(
        target.revision.spec.package_name,
        subpackage=init.subpackage or "",
        description=init.description or "",
        keywords=init.keywords or [],
        site=init.site or "",
    )
    return {path: File(data) for path, data in files.items()}


def _directory(text: str) -> str:
    """Return the directory of an upstream's package, empty for the repository's root.

    Raises:
        Stalled: It leads out of the repository.
    """
    directory = normpath(text.strip("/")) if text.strip("/") else ""
    if directory == ".":
        return ""
    if directory == ".." or directory.startswith("../"):
        raise Stalled(
            Reason.INVALID_SPEC,
            f"spec.source.cloneFrom.git.directory {text!r} leads out of the repository; delete this object and create"
            " it again with the package's directory",
        )
    return directory


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
