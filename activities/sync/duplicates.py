"""Repositories that hold the same packages of one Git repository.

Within a namespace they would make, publish and delete one another's packages, so the younger one is refused. Two
namespaces may both register a repository: Git decides between their pushes, and a condition tells each of the other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from porchflow.api.git_address import place_of
from porchflow.api.models.conditions import ConditionType, Reason, raw_holding
from porchflow.api.models.repository import Repository
from porchflow.kube.client import KubeClient
from porchflow.kube.kinds import REPOSITORIES
from porchflow.repositories.failures import Stalled


@dataclass(frozen=True)
class _Place:
    remote: str
    branch: str
    directory: tuple[str, ...]

    def overlaps(self, other: "_Place") -> bool:
        """Whether one directory contains the other, so that a package can lie in both."""
        common = min(len(self.directory), len(other.directory))
        return (self.remote, self.branch, self.directory[:common]) == (
            other.remote,
            other.branch,
            other.directory[:common],
        )

    def __str__(self) -> str:
        return "/" + "/".join(self.directory)


async def check_alone(kube: KubeClient, raw: Mapping[str, Any], namespaces: Sequence[str]) -> bool:
    """Refuse a Repository when another of its namespace works on the same packages already.

    A Repository that was never synced, because its address or its credentials are wrong, does not count.

    Args:
        kube: Lists Repositories.
        raw: The raw Repository.
        namespaces: The namespaces to list; none means all.

    Returns:
        Whether a Repository of another namespace works on the same packages.

    Raises:
        Stalled: There is an older one in the namespace.
        KubeError: The API server cannot be reached or refuses.
    """
    mine, shared = _place(raw), False
    for namespace in namespaces or (None,):
        async for other in kube.list_all(REPOSITORIES, namespace):
            theirs = _place(other)
            if mine is None or theirs is None or not theirs.overlaps(mine) or not _is_in_the_way(other, raw):
                continue
            if other["metadata"]["namespace"] != raw["metadata"]["namespace"]:
                # Without its name: readers of this Repository may have no right to read other namespaces.
                shared = True
            elif _order(other) < _order(raw):
                raise Stalled(
                    Reason.DUPLICATE_REPOSITORY,
                    f"Repository {other['metadata']['name']!r} is for the same branch of the same Git repository, was"
                    f" there first, and its directory ({theirs}) and this one's ({mine}) overlap: delete one of the"
                    " two, or register another directory or branch",
                )
    return shared


def is_shared(raw: Mapping[str, Any]) -> bool:
    """Whether the last full sync of a raw Repository found one of another namespace with the same packages."""
    return bool(raw_holding(raw, ConditionType.SHARED))


def has_worked(raw: Mapping[str, Any]) -> bool:
    """Whether a raw Repository was ever synced."""
    return "lastFullSyncTime" in (raw.get("status") or {})


def _is_in_the_way(other: Mapping[str, Any], raw: Mapping[str, Any]) -> bool:
    stalled = raw_holding(other, ConditionType.STALLED)
    return (
        other["metadata"]["uid"] != raw["metadata"]["uid"]
        and "deletionTimestamp" not in other["metadata"]
        and has_worked(other)
        and stalled.get("reason") != Reason.DUPLICATE_REPOSITORY
    )


def _place(raw: Mapping[str, Any]) -> _Place | None:
    """Return remote, branch and directory in normal form; None for a Repository without a valid address."""
    git = Repository.model_validate(raw).spec.git
    remote = place_of(git.repo) if git is not None else None
    if git is None or remote is None:
        return None
    return _Place(remote, git.branch, tuple(part for part in (git.directory or "").split("/") if part))


def _order(raw: Mapping[str, Any]) -> tuple[bool, str, str]:
    """Return the sort key of Repositories: synced ones first, then by age."""
    return not has_worked(raw), raw["metadata"]["creationTimestamp"], raw["metadata"]["uid"]
