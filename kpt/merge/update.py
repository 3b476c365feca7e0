"""Updates a package: brings the changes between two versions of its upstream into the local version."""

from collections.abc import Callable
from posixpath import basename
from typing import Final

from porchflow.api.models.packagerevision import UpdateStrategy
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
    """Return whether an update parses a file. Any other file is only compared between two sides."""
    return is_krm(path) or basename(path) == KRMIGNORE


def update_package(strategy: UpdateStrategy, *, base: Files, upstream: Files, local: Files) -> UpdateOutcome:
    """Bring the changes between two versions of upstream into a package (`docs/guides/merge.md`).

    The name, namespace, `upstream` and `upstreamLock` of the package's own Kptfile are not upstream's to change; only
    the strategies that replace files take `upstream` and `upstreamLock` over where the new upstream has them.

    Args:
        strategy: How changes are merged.
        base: The upstream version that the package was made from or last updated to.
        upstream: The upstream version to update to.
        local: The package.

    Returns:
        The updated package, and the fields that upstream and the package changed in different ways.

    Raises:
        LocalChanges: `fast-forward`, and the package differs from `base`.
        InvalidPackage: A file that must be merged cannot be read, a resource occurs twice, or upstream and the package
            have added different subpackages in one place; the message names side, file and line.
    """
    return _STRATEGIES[strategy](Sides(base, upstream, local))
