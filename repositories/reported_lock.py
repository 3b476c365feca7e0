"""Reading `status.selfLock`: the ref and commit of a package revision in the last report."""

from porchflow.api.models.packagerevision import PackageRevisionStatus
from porchflow.gitrepo.refs import UNNUMBERED


def published_ref(status: PackageRevisionStatus) -> str | None:
    """Return the tag in the last report, which spares listing the package's tags; None without a number above 0."""
    lock = status.self_lock
    return lock.git.ref if lock is not None and lock.git is not None and (status.revision or 0) > 0 else None


def reported_commit(status: PackageRevisionStatus) -> str:
    """Return the commit in the last report; empty without one."""
    lock = status.self_lock
    return lock.git.commit if lock is not None and lock.git is not None else ""


def how_to_put_back(status: PackageRevisionStatus) -> str:
    """Return how to put back a branch or tag that is gone from Git, as text for a message; empty where none is known.

    The `-1` revision of the main branch has no ref of its own to put back.
    """
    lock = status.self_lock
    if lock is None or lock.git is None or not lock.git.commit or status.revision == UNNUMBERED:
        return ""
    kind, folder = ("tag", "tags") if status.revision else ("branch", "heads")
    ref, commit = lock.git.ref, lock.git.commit
    return (
        f"the {kind} {ref} is gone from the repository: put it back with git push origin {commit}:refs/{folder}/{ref}"
    )
