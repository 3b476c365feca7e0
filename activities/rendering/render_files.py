"""Which files of a package a rendering reads: all others stay where they are, in Git."""

from collections.abc import Mapping
from posixpath import basename

from porchflow.gitrepo.git_store import GitStore
from porchflow.gitrepo.store.snapshots import Snapshot, Stored
from porchflow.gitrepo.store.trees import File, Mode
from porchflow.kpt.format.files import is_krm
from porchflow.kpt.format.krmignore import KRMIGNORE


def resource_paths(files: Mapping[str, File | Stored]) -> list[str]:
    """Return the files that hold resources, or say which are left out. Of a symbolic link nothing is followed."""
    return [
        path
        for path, file in files.items()
        if file.mode is not Mode.SYMLINK and (is_krm(path) or basename(path) == KRMIGNORE)
    ]


async def read_resources(git: GitStore, snapshot: Snapshot) -> dict[str, bytes]:
    """Read what a rendering reads.

    Raises:
        GitError: It cannot be had.
    """
    return await git.read_files(snapshot, resource_paths(snapshot.files))


def rewritten(
    files: Mapping[str, File | Stored], before: Mapping[str, bytes], after: Mapping[str, bytes]
) -> dict[str, File | None]:
    """Return what a rendering changed in a package; each file keeps its mode, and None removes one.

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
