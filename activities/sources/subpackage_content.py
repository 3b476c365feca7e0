"""One subpackage of a draft: cloned into it, or upgraded in it. Files elsewhere in the package stay as they are."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from posixpath import dirname

from porchflow.activities.sources.upgrading import Upgrade, upgrade_package
from porchflow.activities.sources.upstream_content import (
    BY_SUBPACKAGE_OPERATION,
    Origin,
    UpstreamContent,
    Warnings,
    check_package,
    is_regular,
    made_downstream,
    moving,
)
from porchflow.activities.sources.upstreams import PublishedRevision, snapshot_of
from porchflow.activities.target import Target
from porchflow.api.git_address import place_of
from porchflow.api.models.conditions import Reason
from porchflow.api.models.packagerevision import CloneSource, SubpackageOperation, UpdateStrategy, UpgradeSource
from porchflow.gitrepo.errors import GitNotFound
from porchflow.gitrepo.git_store import GitStore
from porchflow.gitrepo.refs import InvalidName
from porchflow.gitrepo.store.snapshots import Edit, Snapshot, Stored
from porchflow.gitrepo.store.trees import File, check_path
from porchflow.kpt.format.files import KPTFILE
from porchflow.kpt.format.kptfile import GitLock
from porchflow.kpt.format.upstream import GitUpstream
from porchflow.repositories.failures import Stalled

_FIELD = BY_SUBPACKAGE_OPERATION.field
_DIR = f"{_FIELD}.subpackageDir"

_OVERWRITING = frozenset({UpdateStrategy.FORCE_DELETE_REPLACE, UpdateStrategy.COPY_MERGE})
"""Strategies that overwrite local changes, so that the same upstream can be asked for again."""


@dataclass(frozen=True)
class ChangedSubpackage:
    """The result of a subpackage operation, before it is pushed."""

    upstream: GitUpstream
    """Where the subpackage is from now."""
    edit: Edit | None = None
    """The package with the changed subpackage; None where the subpackage is as it was asked for."""
    conflicts: tuple[str, ...] = ()
    warnings: Warnings = ()
    revision: PublishedRevision | None = None
    """The package revision that it was taken from; None for an address."""


class SubpackageContent:
    """Does subpackage operations on the content of a draft."""

    def __init__(self, git: GitStore, found: UpstreamContent) -> None:
        """Create the maker.

        Args:
            git: Reads packages.
            found: Finds upstreams.
        """
        self._git = git
        self._found = found

    async def make(self, target: Target, operation: SubpackageOperation, package: Snapshot) -> ChangedSubpackage:
        """Do an operation; nothing is pushed.

        Args:
            target: The object that asks for it.
            operation: The operation.
            package: The content of the draft.

        Raises:
            Waiting: A PackageRevision or Secret that the operation names does not exist or is not published yet.
            Stalled: The folder is none for it, or a person must correct the operation.
            GitError: Git cannot be read.
            LocalChanges: The strategy of an upgrade takes only a subpackage without local changes.
            InvalidPackage: A Kptfile cannot be read.
        """
        folder = operation.subpackage_dir
        _check_folder(folder, package)
        await self._check_neighbours(target, folder)
        if operation.clone_from is not None:
            return await self._clone(target, operation.clone_from, package, folder)
        if operation.upgrade is not None:
            return await self._upgrade(target, operation.upgrade, package, folder)
        raise Stalled(Reason.INVALID_SPEC, f"{_FIELD} names no operation: set cloneFrom or upgrade")

    async def lock_of(self, package: Snapshot, folder: str) -> GitLock | None:
        """Return the place that a subpackage was taken from; None where its Kptfile says none, or there is none."""
        if not is_regular(package, f"{folder}/{KPTFILE}"):
            return None
        return await self._found.lock_of(await self._subpackage(package, folder))

    async def _subpackage(self, package: Snapshot, folder: str) -> Snapshot:
        return await self._git.snapshot(package.remote, package.commit, f"{package.path}/{folder}".strip("/"))

    async def _check_neighbours(self, target: Target, folder: str) -> None:
        """Refuse a folder at, in or around another package of the repository: a publish would keep that one.

        Raises:
            Stalled: There is one.
        """
        repository = target.repository
        for below in await self._git.packages_below(repository.remote, repository.branch, target.location):
            if f"{folder}/".startswith(f"{below}/") or below.startswith(f"{folder}/"):
                raise Stalled(
                    Reason.PACKAGE_OVERLAP,
                    f"{_DIR} {folder!r}: {below!r} is a package of its own in this repository, and no part of this one;"
                    f" {BY_SUBPACKAGE_OPERATION.again} with a folder apart from it",
                )

    async def _clone(self, target: Target, clone: CloneSource, package: Snapshot, folder: str) -> ChangedSubpackage:
        if not _files_in(package, folder):
            origin = await self._found.to_clone(target, clone, BY_SUBPACKAGE_OPERATION)
            return await self._cloned(origin, package, folder)
        lock = await self.lock_of(package, folder)
        if lock is None:
            raise _taken(folder, "it holds files already")
        origin = await self._found.to_clone(target, clone, BY_SUBPACKAGE_OPERATION)
        if not _is_of(lock, origin.upstream):
            raise _taken(folder, f"it holds a subpackage from {lock.directory or '/'} of {lock.repo} at {lock.ref!r}")
        made = ChangedSubpackage(origin.upstream, warnings=origin.warnings, revision=origin.revision)
        if lock.commit == origin.upstream.commit:
            return made
        sides = (await self._as_it_was(origin, lock, folder), origin.snapshot)
        return await self._merged(made, sides, package, folder, UpdateStrategy.RESOURCE_MERGE)

    async def _cloned(self, origin: Origin, package: Snapshot, folder: str) -> ChangedSubpackage:
        changed = await made_downstream(self._git, origin, _name_of(folder), drops_status=True)
        files: dict[str, File | Stored] = {**origin.snapshot.files, **changed}
        edit = Edit(package, _below(folder, files), (origin.snapshot,))
        return ChangedSubpackage(origin.upstream, edit, warnings=origin.warnings, revision=origin.revision)

    async def _upgrade(
        self, target: Target, upgrade: UpgradeSource, package: Snapshot, folder: str
    ) -> ChangedSubpackage:
        _check_current(target, upgrade)
        _check_is_subpackage(package, folder)
        new = await self._found.revision(target, upgrade.new_upstream, "upgrade.newUpstream", BY_SUBPACKAGE_OPERATION)
        local = await self._subpackage(package, folder)
        lock, strategy = await self._found.lock_of(local), upgrade.strategy or UpdateStrategy.RESOURCE_MERGE
        made = ChangedSubpackage(new.upstream, warnings=moving(new), revision=new)
        known = lock is not None and _is_of(lock, new.upstream)
        moved = lock is not None and lock.commit != new.upstream.commit
        if known and not moved and strategy not in _OVERWRITING:
            return made
        # A subpackage that was brought to this upstream before starts from where that was then.
        base = await self._found.locked(new, local) if known and moved else None
        if base is None:
            base, warnings = await self._found.to_merge(target, upgrade, new, local, BY_SUBPACKAGE_OPERATION)
            made = replace(made, warnings=(*warnings, *made.warnings))
        sides = (base, await snapshot_of(self._git, new))
        return await self._merged(made, sides, package, folder, strategy)

    async def _as_it_was(self, origin: Origin, lock: GitLock, folder: str) -> Snapshot:
        """Return the upstream at the commit that a subpackage was taken from.

        Raises:
            Stalled: The commit is gone from Git.
        """
        try:
            return await self._git.snapshot(origin.snapshot.remote, lock.commit, origin.snapshot.path)
        except GitNotFound as error:
            raise _taken(
                folder, f"it was taken from commit {lock.commit[:12]} of the same upstream, which is gone from Git"
            ) from error

    async def _merged(
        self,
        made: ChangedSubpackage,
        sides: tuple[Snapshot, Snapshot],
        package: Snapshot,
        folder: str,
        strategy: UpdateStrategy,
    ) -> ChangedSubpackage:
        """Merge the changes between two upstreams into a subpackage."""
        local = await self._subpackage(package, folder)
        for side in (*sides, local):
            check_package(side)
        upgrade = Upgrade(strategy, (*sides, local), _name_of(folder), made.upstream)
        merged = await upgrade_package(self._git, upgrade)
        content = merged.content
        changes = content.changes if isinstance(content, Edit) else content
        return replace(made, edit=Edit(package, _below(folder, changes), sides), conflicts=merged.conflicts)


def _name_of(folder: str) -> str:
    """Return the name in the Kptfile of a subpackage.

    Source: docs/reference/porch-api.md, "Subpackage operations".
    """
    return folder.replace("/", ".")


def _below(folder: str, files: Mapping[str, File | Stored | None]) -> dict[str, File | Stored | None]:
    return {f"{folder}/{path}": file for path, file in files.items()}


def _files_in(package: Snapshot, folder: str) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for path in package.files)


def _is_of(lock: GitLock, upstream: GitUpstream) -> bool:
    """Whether a lock names the place of an upstream, at any commit."""
    same = place_of(lock.repo) == place_of(upstream.repo) is not None
    return same and (lock.directory.strip("/"), lock.ref) == (upstream.directory.strip("/"), upstream.ref)


def _taken(folder: str, found: str) -> Stalled:
    return Stalled(
        Reason.PACKAGE_EXISTS,
        f"cannot clone a subpackage into {folder!r} of this package: {found}; choose another {_DIR}, or remove the"
        " folder from the draft and set the annotation porchflow.dev/reconcile-now to a new value",
    )


def _check_folder(folder: str, package: Snapshot) -> None:
    """Refuse a folder that no operation can change.

    Raises:
        Stalled: It is no path below the package, lies in another subpackage or below a file, or the package has no
            Kptfile.
    """
    again = BY_SUBPACKAGE_OPERATION.again
    try:
        check_path(folder)
    except InvalidName as error:
        raise Stalled(
            Reason.INVALID_SPEC, f"{_DIR} {folder!r} is no folder below the package: {error}; {again} with a right path"
        ) from None
    if not is_regular(package, KPTFILE):
        raise Stalled(
            Reason.INVALID_PACKAGE,
            f"{_FIELD}: the package has no Kptfile at its root, so {folder!r} would be a package of its own; push a"
            " Kptfile first",
        )
    above = dirname(folder)
    while above:
        if above in package.files:
            raise Stalled(Reason.INVALID_SPEC, f"{_DIR} {folder!r}: {above!r} is a file; {again} with another folder")
        if f"{above}/{KPTFILE}" in package.files:
            raise Stalled(
                Reason.PACKAGE_OVERLAP,
                f"{_DIR} {folder!r} lies in another subpackage, {above!r}; {again} with a folder outside of it",
            )
        above = dirname(above)


def _check_current(target: Target, upgrade: UpgradeSource) -> None:
    """Refuse an upgrade of another object's subpackage.

    Raises:
        Stalled: The operation names another object.
    """
    named, own = upgrade.current_package, target.obj["metadata"]["name"]
    if named is not None and named.name not in {"", own}:
        raise Stalled(
            Reason.INVALID_SPEC,
            f"{_FIELD}.upgrade.currentPackage names {named.name!r}: the subpackage is one of this Draft, so it has to"
            f" be {own!r} or left out",
        )


def _check_is_subpackage(package: Snapshot, folder: str) -> None:
    """Refuse an upgrade of what is no subpackage.

    Raises:
        Stalled: The folder is empty, or has no Kptfile.
    """
    if is_regular(package, f"{folder}/{KPTFILE}"):
        return
    found = "it has no Kptfile" if _files_in(package, folder) else "it is not found in the package"
    raise Stalled(
        Reason.INVALID_SPEC,
        f"cannot upgrade the subpackage {folder!r}: {found}; {BY_SUBPACKAGE_OPERATION.again} with the folder of a"
        " subpackage, or with cloneFrom",
    )
