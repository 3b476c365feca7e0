"""The upstreams that a field of a spec names: opened and listed, with words for what is wrong with them."""

from dataclasses import dataclass
from posixpath import normpath

from porchflow.activities.sources.upstreams import PublishedRevision, Upstreams, snapshot_of
from porchflow.activities.target import Target
from porchflow.api.git_address import BadAddress, place_of
from porchflow.api.models.conditions import Reason
from porchflow.api.models.packagerevision import CloneSource, GitSource, ObjectReference, UpgradeSource
from porchflow.api.names import RECONCILE_NOW_ANNOTATION, SECRETS_POLICY, SUBPACKAGE_SECRETS_POLICY
from porchflow.gitrepo.errors import GitAuthError, GitNotFound, GitRefusedBefore
from porchflow.gitrepo.git_store import GitStore
from porchflow.gitrepo.refs import is_object_id
from porchflow.gitrepo.store.snapshots import Snapshot
from porchflow.gitrepo.store.trees import File, Files, Mode
from porchflow.kpt.format.files import KPTFILE
from porchflow.kpt.format.init import PACKAGE_CONTEXT
from porchflow.kpt.format.kptfile import GitLock
from porchflow.kpt.format.upstream import GitUpstream, downstream_files, upstream_lock
from porchflow.repositories.access import Repositories
from porchflow.repositories.failures import Stalled, Waiting

Warnings = tuple[tuple[Reason, str], ...]
"""Reasons and messages for Events."""


@dataclass(frozen=True)
class Asking:
    """The field that asks for upstreams."""

    field: str
    """Its path in the object."""
    again: str
    """How a user asks for something else, without what follows `with`."""
    secrets_policy: str
    """Name of the policy that lets the field name only Secrets that the user may read."""


BY_SOURCE = Asking("spec.source", "delete this object and create it again", SECRETS_POLICY)
BY_SUBPACKAGE_OPERATION = Asking("spec.subpackageOperation", "set the field again", SUBPACKAGE_SECRETS_POLICY)


@dataclass(frozen=True)
class Origin:
    """An upstream to clone."""

    snapshot: Snapshot
    upstream: GitUpstream
    """Its place, for the Kptfile of the clone."""
    revision: PublishedRevision | None = None
    """The package revision; None for an address."""

    @property
    def warnings(self) -> Warnings:
        """What a person should know of it."""
        return moving(self.revision) if self.revision is not None else ()


class UpstreamContent:
    """Finds the upstreams that a source or a subpackage operation names."""

    def __init__(self, git: GitStore, repositories: Repositories, upstreams: Upstreams) -> None:
        """Create the finder.

        Args:
            git: Reads packages.
            repositories: Opens repositories that need not be registered.
            upstreams: Finds published package revisions.
        """
        self._git = git
        self._repositories = repositories
        self._upstreams = upstreams

    async def revision(
        self, target: Target, reference: ObjectReference | None, field: str, asking: Asking
    ) -> PublishedRevision:
        """Return the published revision that a field below the asking one names.

        Raises:
            Waiting: It does not exist or is not published yet.
            Stalled: The field is empty.
        """
        if reference is None or not reference.name:
            raise Stalled(
                Reason.INVALID_SPEC, f"{asking.field}.{field} names no PackageRevision; {asking.again} with its name"
            )
        return await self._upstreams.published(
            target.obj["metadata"]["namespace"], reference.name, f"{asking.field}.{field}", asking.again
        )

    async def to_clone(self, target: Target, clone: CloneSource, asking: Asking) -> Origin:
        """Return the upstream of a clone.

        Raises:
            Waiting: Its PackageRevision or Secret does not exist or is not published yet.
            Stalled: A person must correct the field, or the upstream is no package.
            GitError: Git cannot be read.
        """
        if clone.upstream_ref is not None:
            revision = await self.revision(target, clone.upstream_ref, "cloneFrom.upstreamRef", asking)
            origin = Origin(await snapshot_of(self._git, revision), revision.upstream, revision)
        elif clone.git is not None:
            origin = await self._from_git(target, clone.git, asking)
        else:
            raise Stalled(
                Reason.INVALID_SPEC,
                f"{asking.field}.cloneFrom says not what to clone: {asking.again} with upstreamRef (a PackageRevision)"
                " or git (a repository)",
            )
        check_package(origin.snapshot)
        return origin

    async def to_merge(
        self, target: Target, upgrade: UpgradeSource, new: PublishedRevision, local: Snapshot, asking: Asking
    ) -> tuple[Snapshot, Warnings]:
        """Return the old upstream. Where its object is gone, the package's own lock says which commit it was.

        Args:
            target: The object that asks.
            upgrade: What it asks for.
            new: The new upstream.
            local: The package.
            asking: The field with the upgrade.

        Raises:
            Waiting: The old upstream does not exist or is not published yet, and the lock does not help.
            Stalled: The two upstreams are of two packages.
            GitError: Git cannot be read.
        """
        reference = upgrade.old_upstream
        try:
            old = await self.revision(target, reference, "upgrade.oldUpstream", asking)
        except Waiting as waiting:
            base = await self.locked(new, local) if waiting.reason == Reason.SOURCE_NOT_FOUND else None
            if base is None:
                raise
            told = (
                f"{asking.field}.upgrade.oldUpstream names {reference.name if reference else ''!r}, which is not there:"
                f" the upgrade starts from commit {base.commit[:12]}, which the package's upstreamLock names"
            )
            return base, ((Reason.UPSTREAM_FROM_LOCK, told),)
        if old.package != new.package:
            raise Stalled(
                Reason.INVALID_SPEC,
                f"{asking.field}.upgrade.newUpstream names {new.name!r} and oldUpstream {old.name!r}: they must be"
                f" revisions of one package; {asking.again} with the right ones",
            )
        return await snapshot_of(self._git, old), ()

    async def lock_of(self, package: Snapshot) -> GitLock | None:
        """Return the place and commit that a package's Kptfile says it was made from; None where it says none."""
        if not is_regular(package, KPTFILE):
            return None
        lock = upstream_lock((await self._git.read_files(package, [KPTFILE]))[KPTFILE])
        return lock if lock is not None and is_object_id(lock.commit) else None

    async def locked(self, new: PublishedRevision, local: Snapshot) -> Snapshot | None:
        """Return the content that a package's lock names; None where it is of another package or gone from Git."""
        lock = await self.lock_of(local)
        remote, directory = new.repository.remote, new.location.path
        if lock is None or place_of(lock.repo) != remote.place or lock.directory.strip("/") != directory:
            return None
        try:
            return await self._git.snapshot(remote, lock.commit, directory)
        except GitNotFound:
            return None

    async def _from_git(self, target: Target, source: GitSource, asking: Asking) -> Origin:
        field = f"{asking.field}.cloneFrom.git"
        secret = source.secret_ref.name if source.secret_ref is not None else ""
        namespace = target.obj["metadata"]["namespace"]
        try:
            remote = await self._repositories.unregistered(
                namespace, source.repo, secret, f"{field}.secretRef", policy=asking.secrets_policy
            )
        except BadAddress as error:
            mend = f"{asking.again} with the right address"
            raise Stalled(Reason.INVALID_SPEC, f"{field}.repo: {error}; {mend}") from None
        directory = _directory(source.directory, asking)
        try:
            commit = await self._git.resolve(remote, source.ref, directory)
            snapshot = await self._git.snapshot(remote, commit, directory)
        except GitRefusedBefore:
            raise
        except GitAuthError as error:
            mend = (
                f"correct Secret {secret!r}, and it goes on by itself"
                if secret
                else f"{asking.again} with {field}.secretRef"
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
                f" {asking.again} with the right place",
            ) from error
        return Origin(snapshot, GitUpstream(remote.written, directory, source.ref, commit))


async def made_downstream(git: GitStore, origin: Origin, name: str, *, drops_status: bool = False) -> Files:
    """Return the files that a clone changes: its Kptfile and its package context, by path.

    Args:
        git: Reads them.
        origin: The upstream.
        name: Of the package.
        drops_status: Whether the Kptfile loses its status.

    Raises:
        InvalidPackage: The Kptfile cannot be read.
    """
    snapshot = origin.snapshot
    paths = [path for path in (KPTFILE, PACKAGE_CONTEXT) if is_regular(snapshot, path)]
    files = await git.read_files(snapshot, paths)
    changed = downstream_files(files, name, origin.upstream, drops_status=drops_status)
    return {path: File(data, snapshot.files[path].mode) for path, data in changed.items()}


def moving(origin: PublishedRevision) -> Warnings:
    """Return the warning for a source without a revision number, which is another one after the next publish."""
    if origin.numbered:
        return ()
    ref, commit = origin.upstream.ref, origin.upstream.commit
    told = (
        f"PackageRevision {origin.name!r} has no revision number: the content is that of {ref!r} at commit"
        f" {commit[:12]}, and what {ref!r} holds may change; publish a revision to have one to come back to"
    )
    return ((Reason.SOURCE_MOVES, told),)


def check_package(snapshot: Snapshot) -> None:
    """Refuse a directory that is no package.

    Raises:
        Stalled: It holds no Kptfile, or a symbolic link in its place.
    """
    if not is_regular(snapshot, KPTFILE):
        where = f"directory {snapshot.path!r}" if snapshot.path else "the root"
        found = "its Kptfile is a symbolic link" if KPTFILE in snapshot.files else "it has no Kptfile"
        raise Stalled(
            Reason.INVALID_PACKAGE,
            f"{where} of {snapshot.remote.display} at commit {snapshot.commit[:12]} is no package: {found}",
        )


def is_regular(snapshot: Snapshot, path: str) -> bool:
    """Whether a package has a file at a path that is no symbolic link."""
    file = snapshot.files.get(path)
    return file is not None and file.mode is not Mode.SYMLINK


def _directory(text: str, asking: Asking) -> str:
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
            f"{asking.field}.cloneFrom.git.directory {text!r} leads out of the repository; {asking.again} with the"
            " package's directory",
        )
    return directory
