"""Updating a package: the changes between two versions of its upstream brought into the local version."""

from collections.abc import Callable
from posixpath import basename
from typing import Final

from porchflow.api.packagerevision import UpdateStrategy
from porchflow.kpt.format.files import Files, is_krm
from porchflow.kpt.format.krmignore import KRMIGNORE
from porchflow.kpt.merge.merge_result import Conflict, Kept, UpdateOutcome
from porchflow.kpt.merge.package_merge import resource_merge
from porchflow.kpt.merge.replacing import copy_merge, fast_forward, force_delete_replace
from porchflow.kpt.merge.sides import Sides

__all__ = ["Conflict", "Kept", "UpdateOutcome", "reads", "update_package"]

_STRATEGIES: Final[dict[UpdateStrategy, Callable[[Sides], UpdateOutcome]]] = {
    UpdateStrategy.RESOURCE_MERGE: resource_merge,
    UpdateStrategy.FAST_FORWARD: fast_forward,
    UpdateStrategy.FORCE_DELETE_REPLACE: force_delete_replace,
    UpdateStrategy.COPY_MERGE: copy_merge,
}


def reads(path: str) -> bool:
    """Whether an update looks into a file. Of any other it only asks whether it is the same on two sides."""
    return is_krm(path) or basename(path) == KRMIGNORE


def update_package(strategy: UpdateStrategy, *, base: Files, upstream: Files, local: Files) -> UpdateOutcome:
    """Bring what changed between two versions of upstream into a package (`docs/merge.md`).

    The name, namespace, `upstream` and `upstreamLock` of the package's own Kptfile are not upstream's to change; only
    the strategies that replace files take `upstream` and `upstreamLock` over where the new upstream has them.

    Args:
        strategy: how changes come together.
        base: the upstream version that the package was made from or last updated to.
        upstream: the upstream version to update to.
        local: the package.

    Returns:
        The updated package, and where upstream and the package changed the same thing in different ways.

    Raises:
        LocalChanges: `fast-forward`, and the package differs from `base`.
        InvalidPackage: a file that has to be merged cannot be read, a resource is there twice, or upstream and the
            package have added different subpackages in one place; names side, file and line.
    """
    return _STRATEGIES[strategy](Sides(base, upstream, local))
