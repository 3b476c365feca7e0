"""Which Porch something is of: the first one with v1alpha2, or one since July 2026.

Source: docs/reference/porch-api.md, "Releases of Porch".
"""

import re
from collections.abc import Iterable
from typing import Final

from porchflow.kube.client import Object

BEFORE: Final = "Porch of before July 2026 (v1.5)"
SINCE: Final = "Porch of July 2026 or later (v1.6)"
UNKNOWN: Final = "Porch"

_SINCE: Final = (1, 6)
_TAG: Final = re.compile(r":v?(\d+)\.(\d+)(\.\d+)?(-[0-9A-Za-z.-]+)?(?:@|$)")
_NEWER_FIELDS: Final = frozenset({"subpackageOperation", "resourcesSizeBytes", "lastSubpackageOperationHash"})
_OUR_FIELDS: Final = frozenset({"lastRun", "observedReconcileNow"})


def release_of_images(images: Iterable[str]) -> str:
    """Return the release that Porch's images tell by their tags; `UNKNOWN` where no tag is a version."""
    tags = [found for image in images if (found := _TAG.search(image))]
    if not tags:
        return UNKNOWN
    oldest = min((int(tag[1]), int(tag[2])) for tag in tags)
    return SINCE if oldest >= _SINCE else BEFORE


def release_of_crd(crd: Object) -> str:
    """Return whose a raw CustomResourceDefinition of PackageRevisions is; empty for one of porchflow."""
    fields: set[str] = set()
    for version in (crd.get("spec") or {}).get("versions") or []:
        properties = ((version.get("schema") or {}).get("openAPIV3Schema") or {}).get("properties") or {}
        for part in ("spec", "status"):
            fields |= ((properties.get(part) or {}).get("properties") or {}).keys()
    if fields & _OUR_FIELDS:
        return ""
    return SINCE if fields & _NEWER_FIELDS else BEFORE
