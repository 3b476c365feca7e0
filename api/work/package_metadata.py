"""Labels and annotations of a package in its object: asked for in the spec, and recorded in the status. Pure.

`status.packageMetadata` has what the Kptfile had when it was copied last. While the spec of a draft differs from it, a
user asks for a change.
"""

from collections.abc import Mapping
from typing import Any

PackageMaps = dict[str, dict[str, str]]
"""`labels` and `annotations`; an empty map counts like none."""


def asked_metadata(obj: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return `spec.packageMetadata` of a raw PackageRevision; empty without it."""
    found: Mapping[str, Any] = (obj.get("spec") or {}).get("packageMetadata") or {}
    return found


def recorded_metadata(obj: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return `status.packageMetadata` of a raw PackageRevision; None where the Kptfile was never copied so."""
    found: Mapping[str, Any] | None = (obj.get("status") or {}).get("packageMetadata")
    return found


def maps_of(metadata: Mapping[str, Any]) -> PackageMaps:
    """Return the maps of a `packageMetadata` that hold anything, comparable."""
    return {name: dict(metadata[name]) for name in ("labels", "annotations") if metadata.get(name)}


def asks_for_metadata(obj: Mapping[str, Any]) -> bool:
    """Return whether the spec of a raw PackageRevision says something else of the Kptfile than was copied last."""
    recorded = recorded_metadata(obj)
    return recorded is not None and maps_of(asked_metadata(obj)) != maps_of(recorded)
