"""What `status.selfLock` reports: where in Git a package revision was when a phase looked last."""

from porchflow.api.packagerevision import PackageRevisionStatus
from porchflow.gitrepo.refs import UNNUMBERED


def published_ref(status: PackageRevisionStatus) -> str | None:
    """Return the tag that the last report named, which spares reading the package's tags; None for a draft."""
    lock = status.self_lock
    return lock.git.ref if lock is not None and lock.git is not None and (status.revision or 0) > 0 else None


def reported_commit(status: PackageRevisionStatus) -> str:
    """Return the commit that the last report named; empty when none did."""
    lock = status.self_lock
    return lock.git.commit if lock is not None and lock.git is not None else ""


def how_to_put_back(status: PackageRevisionStatus) -> str:
    """Return how a person puts a branch or tag back that is gone from Git; empty where none of its own was reported."""
    lock = status.self_lock
    if lock is None or lock.git is None or not lock.git.commit or status.revision == UNNUMBERED:
        return ""
    kind, folder = ("tag", "tags") if status.revision else ("branch", "heads")
    ref, commit = lock.git.ref, lock.git.commit
    return (
        f"the {kind} {ref} is gone from the repository: put it back with git push origin {commit}:refs/{folder}/{ref}"
    )
