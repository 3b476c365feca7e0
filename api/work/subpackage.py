"""Subpackage operations of raw PackageRevisions: which one is asked for, and whether it is done. Pure.

Source: docs/reference/porch-api.md, "Subpackage operations".
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from porchflow.api.names import RECONCILE_NOW_ANNOTATION, SYNC_TOKEN_PREFIX
from porchflow.api.work.go_scalars import go_scalar

_Raw = Mapping[str, Any]

_REFERENCE: Final = {"name": ""}
_GIT: Final = {"repo": "", "ref": "", "directory": "", "secretRef": _REFERENCE}
_SHAPE: Final = {
    "subpackageDir": "",
    "cloneFrom": {"type": "", "git": _GIT, "upstreamRef": _REFERENCE},
    "upgrade": {"oldUpstream": _REFERENCE, "newUpstream": _REFERENCE, "currentPackage": _REFERENCE, "strategy": ""},
}
"""The fields of an operation in the order of Porch's type; an empty text stands for a text."""

_OPTIONAL: Final = frozenset({"cloneFrom", "upgrade", "git", "upstreamRef"})
"""Fields that are written as `null` where they are absent; all other ones are written empty."""


def operation_of(obj: _Raw) -> _Raw | None:
    """Return `spec.subpackageOperation` of a raw PackageRevision; None without it."""
    found = (obj.get("spec") or {}).get("subpackageOperation")
    return found if isinstance(found, Mapping) else None


def operation_hash(operation: _Raw) -> str:
    """Return the digest of a raw operation, as Porch records it: `sha256:` and 64 hexadecimal digits.

    Porch digests the YAML that its Go type is written as.
    """
    text = "".join(f"{line}\n" for line in _lines(_SHAPE, operation, ""))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def operation_due(obj: _Raw) -> bool:
    """Return whether a raw PackageRevision asks for an operation that was not done for it.

    A new reconcile-now token of a user asks for one that was done on a Draft again: its upstream may have moved.
    """
    operation = operation_of(obj)
    return operation is not None and (not is_recorded(obj, operation) or _asked_again(obj))


def is_recorded(obj: _Raw, operation: _Raw) -> bool:
    """Return whether the status of a raw PackageRevision records an operation as done."""
    return bool((obj.get("status") or {}).get("lastSubpackageOperationHash") == operation_hash(operation))


def unmade(obj: _Raw) -> list[_Raw]:
    """Return the raw source and subpackage operation of a PackageRevision, each while it is still to be done."""
    source, operation = (obj.get("spec") or {}).get("source"), operation_of(obj)
    made = bool((obj.get("status") or {}).get("creationSource"))
    return [
        *([source] if isinstance(source, Mapping) and not made else []),
        *([operation] if operation is not None and operation_due(obj) else []),
    ]


def forgotten_operation(obj: _Raw) -> dict[str, Any]:
    """Return the status fields that forget an operation which nobody asks for any more: it can be asked for again."""
    recorded = (obj.get("status") or {}).get("lastSubpackageOperationHash")
    return {"lastSubpackageOperationHash": None} if recorded and operation_of(obj) is None else {}


def _asked_again(obj: _Raw) -> bool:
    if (obj.get("spec") or {}).get("lifecycle") not in {None, "Draft"}:
        return False
    annotations, status = obj["metadata"].get("annotations") or {}, obj.get("status") or {}
    token: str = annotations.get(RECONCILE_NOW_ANNOTATION) or ""
    return token not in {"", status.get("observedReconcileNow")} and not token.startswith(SYNC_TOKEN_PREFIX)


def _lines(shape: _Raw, value: _Raw, indent: str) -> Iterator[str]:
    """Yield the lines that Go's YAML library writes for a struct: names in lower case, in the order of the type."""
    for name, inner in shape.items():
        found = value.get(name)
        if not isinstance(inner, Mapping):
            yield f"{indent}{name.lower()}: {go_scalar(str(found or ''))}"
        elif found is None and name in _OPTIONAL:
            yield f"{indent}{name.lower()}: null"
        else:
            yield f"{indent}{name.lower()}:"
            yield from _lines(inner, found if isinstance(found, Mapping) else {}, f"{indent}  ")
