"""Two Repositories for one place in Git would both make, publish and delete the same packages: the older one has it."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from porchflow.api.conditions import Reason
from porchflow.api.repository import Repository
from porchflow.kube.client import KubeClient
from porchflow.kube.kinds import REPOSITORIES
from porchflow.repositories.failures import Stalled

_PORTS = {"http": 80, "https": 443, "ssh": 22}


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
    mine, age = place_of(raw), _age(raw)
    for namespace in namespaces or (None,):
        async for other in kube.list_all(REPOSITORIES, namespace):
            same = other["metadata"]["uid"] == raw["metadata"]["uid"]
            if (
                not same
                and place_of(other) == mine
                and _age(other) < age
                and "deletionTimestamp" not in other["metadata"]
            ):
                metadata = other["metadata"]
                raise Stalled(
                    Reason.DUPLICATE_REPOSITORY,
                    f"Repository {metadata['namespace']}/{metadata['name']} is for the same branch and directory of the"
                    " same remote, and older: delete one of the two, or register another directory or branch",
                )


def place_of(raw: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """Return remote, branch and directory, each written in one way; None for what is not in Git."""
    git = Repository.model_validate(raw).spec.git
    if git is None:
        return None
    return _normal(git.repo), git.branch, (git.directory or "").strip("/")


def _normal(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return url
    path = parts.path.rstrip("/").removesuffix(".git")
    return f"{(parts.hostname or '').lower()}:{port}{path}" if parts.scheme else url


def _age(raw: Mapping[str, Any]) -> tuple[str, bool, str]:
    """Return what orders Repositories; of two that were made in one second the one that was synced is the older."""
    unsynced = "lastFullSyncTime" not in (raw.get("status") or {})
    return raw["metadata"]["creationTimestamp"], unsynced, raw["metadata"]["uid"]
