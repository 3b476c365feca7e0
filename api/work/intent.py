"""The intent that a PackageRevision states, as one comparable value.

The watcher compares it to signal once per intent. A workflow compares it to notice that newer intent supersedes the
work in progress. An activity compares it before its report, so that a stale result is never written.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from porchflow.api.names import (
    ORPHAN_ANNOTATION,
    RECONCILE_NOW_ANNOTATION,
    RENDER_REQUEST_ANNOTATION,
    SUSPEND_ANNOTATION,
    SUSPEND_UNTIL_ANNOTATION,
)

_SUSPENSION = (SUSPEND_ANNOTATION, SUSPEND_UNTIL_ANNOTATION)
_MIRRORED_FROM_KPTFILE = frozenset({"readinessGates", "packageMetadata"})


def intent_key(obj: Mapping[str, Any]) -> str:
    """Return a digest of everything in a raw PackageRevision that states intent.

    `metadata.generation` is deliberately not part of it: mirroring the Kptfile's readiness gates and metadata into the
    spec moves the generation without a new intent.

    Args:
        obj: The object as the Kubernetes API serves it.

    Returns:
        A hexadecimal digest; equal for two objects exactly when their intents are equal.
    """
    metadata = obj.get("metadata") or {}
    annotations = metadata.get("annotations") or {}
    spec = {key: value for key, value in (obj.get("spec") or {}).items() if key not in _MIRRORED_FROM_KPTFILE}
    intent = [
        metadata.get("uid", ""),
        spec,
        "deletionTimestamp" in metadata,
        annotations.get(RENDER_REQUEST_ANNOTATION, ""),
        annotations.get(RECONCILE_NOW_ANNOTATION, ""),
        *([ORPHAN_ANNOTATION] if annotations.get(ORPHAN_ANNOTATION) == "true" else []),
        *((key, annotations[key]) for key in _SUSPENSION if key in annotations),
    ]
    canonical = json.dumps(intent, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]
