"""`status.selfLock`: where in Git a package revision is."""

from typing import Any

from activities.phase import Target
from gitrepo.packages import PackageState


def draft_lock(target: Target, commit: str) -> dict[str, Any]:
    """Return the self lock of a draft whose newest commit is `commit`."""
    return _lock(target, short_ref(target.location.draft_ref), commit)


def self_lock(target: Target, state: PackageState) -> dict[str, Any]:
    """Return the self lock of a package revision as Git has it."""
    return _lock(target, short_ref(state.ref), state.commit)


def short_ref(ref: str) -> str:
    """Return a ref without `refs/heads/` or `refs/tags/`, as locks name it."""
    return ref.removeprefix("refs/heads/").removeprefix("refs/tags/")


def _lock(target: Target, ref: str, commit: str) -> dict[str, Any]:
    return {
        "type": "git",
        "git": {
            "repo": target.repository.remote.url,
            "directory": target.location.path,
            "ref": ref,
            "commit": commit,
        },
    }
