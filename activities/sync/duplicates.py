"""Two Repositories for one place in Git would both make, publish and delete the same packages: the older one has it."""

from collections.abc import Mapping, Sequence
from typing import Any

from porchflow.api.conditions import Reason
from porchflow.api.git_address import place_of
from porchflow.api.repository import Repository
from porchflow.kube.client import KubeClient
from porchflow.kube.kinds import REPOSITORIES
from porchflow.repositories.failures import Stalled


async def check_alone(kube: KubeClient, raw: Mapping[str, Any], namespaces: Sequence[str]) -> None:
    """Refuse a Repository when an older one is for the same branch and directory of the same remote.

    Args:
        kube: Lists Repositories.
        raw: The Repository.
        namespaces: Where to look; none means all namespaces.

    Raises:
        Stalled: There is an older one.
        KubeError: The API server cannot be reached or refuses.
    """
    mine, age = _place(raw), _age(raw)
    for namespace in namespaces or (None,):
        async for other in kube.list_all(REPOSITORIES, namespace):
            same = other["metadata"]["uid"] == raw["metadata"]["uid"]
            if (
                not same
                and _place(other) == mine
                and _age(other) < age
                and "deletionTimestamp" not in other["metadata"]
            ):
                metadata = other["metadata"]
                raise Stalled(
                    Reason.DUPLICATE_REPOSITORY,
                    f"Repository {metadata['namespace']}/{metadata['name']} is for the same branch and directory of the"
                    " same remote, and older: delete one of the two, or register another directory or branch",
                )


def _place(raw: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """Return remote, branch and directory, each written in one way; None for what is no place in Git."""
    git = Repository.model_validate(raw).spec.git
    remote = place_of(git.repo) if git is not None else None
    if git is None or remote is None:
        return None
    return remote, git.branch, (git.directory or "").strip("/")


def _age(raw: Mapping[str, Any]) -> tuple[str, bool, str]:
    """Return what orders Repositories; of two that were made in one second the one that was synced is the older."""
    unsynced = "lastFullSyncTime" not in (raw.get("status") or {})
    return raw["metadata"]["creationTimestamp"], unsynced, raw["metadata"]["uid"]
