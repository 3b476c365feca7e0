"""Status fields that say what a package and its subpackages were made from, as their Kptfiles say.

Source: docs/reference/porch-api.md, "Dependents".
"""

from collections.abc import Mapping
from posixpath import basename, dirname
from typing import Any

from porchflow.api.dependents import upstream_key
from porchflow.api.limits import SUBPACKAGE_UPSTREAMS
from porchflow.kpt.format.files import KPTFILE
from porchflow.kpt.format.upstream import upstream_lock

_MARK = b"upstreamLock"
"""In every Kptfile that names an upstream; all others need not be parsed."""


def upstreams_of(files: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the status fields; None removes one.

    Args:
        files: The resource files of a package, by path.
    """
    locks: dict[str, dict[str, str]] = {}
    paths = sorted((path for path in files if basename(path) == KPTFILE and _MARK in files[path]), key=_order)
    truncated = False
    for path in paths:
        if len(locks.keys() - {""}) >= SUBPACKAGE_UPSTREAMS:
            truncated = True
            break
        lock = upstream_lock(files[path])
        if lock is not None and lock.repo:
            locks[dirname(path)] = lock.model_dump()
    subpackages = [{"path": path, "upstream": {"type": "git", "git": lock}} for path, lock in locks.items() if path]
    keys = sorted({upstream_key(lock) for lock in locks.values()})
    return {
        "subpackageUpstreams": subpackages or None,
        "upstreamKeys": keys or None,
        "dependencyTruncated": True if truncated else None,
    }


def _order(path: str) -> tuple[int, str]:
    """Sort the package itself before its subpackages."""
    return (1 if dirname(path) else 0), path
