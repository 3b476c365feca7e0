"""The files of a package that a rendering reads. All others stay in Git unread."""

from collections.abc import Mapping
from posixpath import basename

from porchflow.activities.target import Target
from porchflow.gitrepo.errors import GitNotFound, GitQuotaExceeded
from porchflow.gitrepo.git_store import GitStore
from porchflow.gitrepo.refs import InvalidName
from porchflow.gitrepo.store.snapshots import Snapshot, Stored
from porchflow.gitrepo.store.trees import File, Mode
from porchflow.kpt.format.files import KPTFILE, is_krm
from porchflow.kpt.format.krmignore import KRMIGNORE


def resource_paths(files: Mapping[str, File | Stored]) -> list[str]:
    """Return the paths of resource files and of `.krmignore` files. Symbolic links are not followed."""
    return [
        path
        for path, file in files.items()
        if file.mode is not Mode.SYMLINK and (is_krm(path) or basename(path) == KRMIGNORE)
    ]


async def read_resources(git: GitStore, snapshot: Snapshot) -> dict[str, bytes]:
    """Read the files of a snapshot that a rendering needs, by path in the package.

    Raises:
        GitError: Git cannot be read.
    """
    return await git.read_files(snapshot, resource_paths(snapshot.files))


async def read_kptfile(git: GitStore, target: Target, commit: str) -> bytes | None:
    """Read the Kptfile of a package at a commit; None where the commit, the package or the file is missing.

    Raises:
        GitError: Git cannot be read.
    """
    try:
        snapshot = await git.snapshot(target.repository.remote, commit, target.location.path)
    except (GitNotFound, GitQuotaExceeded, InvalidName):
        # Content that was pushed and tagged by hand may be anything.
        return None
    if KPTFILE not in resource_paths(snapshot.files):
        return None
    return (await git.read_files(snapshot, [KPTFILE]))[KPTFILE]


def rewritten(
    files: Mapping[str, File | Stored], before: Mapping[str, bytes], after: Mapping[str, bytes]
) -> dict[str, File | None]:
    """Return the files that a rendering changed, by path; a file keeps its mode, and None removes one.

    Args:
        files: The package.
        before: Its resource files, as the rendering read them.
        after: Its resource files afterwards.
    """
    changes: dict[str, File | None] = dict.fromkeys(before.keys() - after.keys())
    for path, data in after.items():
        if data != before.get(path):
            changes[path] = File(data, files[path].mode if path in before else Mode.REGULAR)
    return changes
