"""Upgrade: the changes of an upstream merged into a package. Only the files that a merge parses are read."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from porchflow.activities.sources.source_result import Made
from porchflow.api.models.packagerevision import UpdateStrategy
from porchflow.gitrepo.git_store import GitStore
from porchflow.gitrepo.store.snapshots import Edit, Snapshot, Stored
from porchflow.gitrepo.store.trees import File, Mode
from porchflow.kpt.format.upstream import GitUpstream, downstream_files
from porchflow.kpt.merge.update import reads, update_package

Sides = tuple[Snapshot, Snapshot, Snapshot]
"""The old upstream, the new upstream, and the package."""


@dataclass(frozen=True)
class Upgrade:
    """Input of a merge."""

    strategy: UpdateStrategy
    sides: Sides
    name: str
    """Of the package."""
    upstream: GitUpstream
    """Where the new upstream is, for the Kptfile of the result."""


async def upgrade_package(git: GitStore, upgrade: Upgrade) -> Made:
    """Merge the changes between two upstreams into a package.

    Returns:
        The merged content, as an edit of the package, and the conflicts.

    Raises:
        LocalChanges: The strategy takes only a package without local changes.
        InvalidPackage: One of the sides cannot be parsed.
        GitError: Git cannot be read.
    """
    links = _links(upgrade.sides)
    read: dict[str, bytes] = {}
    contents = [await _content(git, side, links, read) for side in upgrade.sides]
    base, new, local = contents
    # A merge parses every resource, which would block the event loop.
    outcome = await asyncio.to_thread(update_package, upgrade.strategy, base=base, upstream=new, local=local)
    files = outcome.files
    files |= downstream_files(files, upgrade.name, upgrade.upstream, keeps_strategy=True)
    changes = _changes(upgrade.sides, local, files)
    conflicts = [conflict.message for conflict in outcome.conflicts]
    for path in sorted(links):
        _merge_link(upgrade, path, changes, conflicts)
    return Made(Edit(upgrade.sides[2], changes, upgrade.sides[:2]), tuple(conflicts))


def _links(sides: Sides) -> set[str]:
    """Return the paths of resources that are symbolic links on one of the sides."""
    return {path for side in sides for path, file in side.files.items() if file.mode is Mode.SYMLINK and reads(path)}


async def _content(git: GitStore, side: Snapshot, links: set[str], read: dict[str, bytes]) -> dict[str, bytes]:
    """Return the files of a side for a merge: the content of those that it parses, stand-ins for all others.

    Args:
        git: Reads files.
        side: The side.
        links: Paths to leave out.
        read: Content by blob id, shared by all sides so that equal files are read and held once; added to.
    """
    resources = {path: file for path, file in side.files.items() if reads(path) and path not in links}
    unread = {file.id: path for path, file in resources.items() if file.id not in read}
    texts = await git.read_files(side, unread.values())
    read |= {blob: texts[path] for blob, path in unread.items()}
    opaque = {path: _stand_in(file) for path, file in side.files.items() if not reads(path)}
    return {**opaque, **{path: read[file.id] for path, file in resources.items()}}


def _stand_in(file: Stored) -> bytes:
    """Return a stand-in for the content of a file that a merge only compares: mode and blob id."""
    return f"\0{file.mode:o} {file.id}".encode()


def _changes(sides: Sides, before: Mapping[str, bytes], after: Mapping[str, bytes]) -> dict[str, File | Stored | None]:
    """Return the files that the merge changed in the package, by path; None removes one."""
    stored = {_stand_in(file): file for side in sides for path, file in side.files.items() if not reads(path)}
    changes: dict[str, File | Stored | None] = dict.fromkeys(before.keys() - after.keys())
    for path, content in after.items():
        if before.get(path) != content:
            changes[path] = stored[content] if not reads(path) else File(content, _mode(sides, path))
    return changes


def _mode(sides: Sides, path: str) -> Mode:
    """Return the merged mode of a file: the local one if it was changed, else upstream's."""
    old, new, local = _modes(sides, path)
    if local is None or (new is not None and local == old):
        return new or Mode.REGULAR
    return local


def _modes(sides: Sides, path: str) -> Iterable[Mode | None]:
    return [side.files[path].mode if path in side.files else None for side in sides]


def _merge_link(upgrade: Upgrade, path: str, changes: dict[str, File | Stored | None], conflicts: list[str]) -> None:
    """Merge a symbolic link with the name of a resource file: as a whole, since it has no fields.

    Adds to `changes` and `conflicts`.
    """
    old, new, local = (side.files.get(path) for side in upgrade.sides)
    keeps = upgrade.strategy is UpdateStrategy.RESOURCE_MERGE and old != local
    if keeps and new not in (old, local):
        conflicts.append(f"{path}: a symbolic link that local and upstream both changed; kept local")
    if not keeps and new != local:
        changes[path] = new
