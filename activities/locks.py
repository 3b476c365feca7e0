"""`status.selfLock`: where in Git a package revision is."""

from typing import Any

from activities.phase import Target
from api.packagerevision import PackageRevisionStatus
from gitrepo.refs import short_ref
from gitrepo.state import PackageState


def draft_lock(target: Target, commit: str) -> dict[str, Any]:
    """Return the self lock of a draft whose newest commit is `commit`."""
    return _lock(target, short_ref(target.location.draft_ref), commit)


def self_lock(target: Target, state: PackageState) -> dict[str, Any]:
    """Return the self lock of a package revision as Git has it."""
    return _lock(target, state.ref, state.commit)


def _lock(target: Target, ref: str, commit: str) -> dict[str, Any]:
    return {
        "type": "git",
        "git": {
            "repo": target.repository.remote.address,
            "directory": target.location.path,
            "ref": ref,
            "commit": commit,
        },
    }


def published_ref(status: PackageRevisionStatus) -> str | None:
    """Return the tag that the last report named, which spares reading the package's tags; None for a draft."""
    lock = status.self_lock
    return lock.git.ref if lock is not None and lock.git is not None and (status.revision or 0) > 0 else None


def reported_commit(status: PackageRevisionStatus) -> str:
    """Return the commit that the last report named; empty when none did."""
    lock = status.self_lock
    return lock.git.commit if lock is not None and lock.git is not None else ""
