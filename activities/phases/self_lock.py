"""`status.selfLock`: repository, directory, ref and commit of a package revision, as a raw object."""

from typing import Any

from porchflow.activities.target import Target
from porchflow.gitrepo.refs import short_ref
from porchflow.gitrepo.store.package_state import PackageState


def draft_lock(target: Target, commit: str) -> dict[str, Any]:
    """Return the self lock of a draft whose newest commit is `commit`."""
    return _lock(target, short_ref(target.location.draft_ref), commit)


def self_lock(target: Target, state: PackageState) -> dict[str, Any]:
    """Return the self lock of a package revision from its state in Git."""
    return _lock(target, state.ref, state.commit)


def _lock(target: Target, ref: str, commit: str) -> dict[str, Any]:
    return {
        "type": "git",
        "git": {
            "repo": target.repository.remote.written,
            "directory": target.location.path,
            "ref": ref,
            "commit": commit,
        },
    }
