"""Strategic merge patches, as far as the manifests of deploy/ use them: `kubectl kustomize` merges in the same way."""

import copy
from typing import Any, Final

from porchflow.kube.client import Object

_DELETE: Final = {"$patch": "delete"}

_KEYS: Final = {
    "containers": ("name",),
    "env": ("name",),
    "ports": ("containerPort", "port"),
    "volumeMounts": ("mountPath",),
    "volumes": ("name",),
}
"""The field by which items of a list are the same, of those that Kubernetes names for the list."""


class UnsupportedPatchError(ValueError):
    """A patch has something that is not known here; the message names the field."""


def patched(base: Object, patch: Object) -> Object:
    """Return an object with a strategic merge patch.

    Args:
        base: The object; it is left as it is.
        patch: Fields to set. A null removes a field, `$patch: delete` an item of a list.

    Raises:
        UnsupportedPatchError: The patch changes a list of objects whose key is not known, or has another `$patch`.
    """
    return _merged_object(copy.deepcopy(base), patch, "")


def _merged_object(base: Object, patch: Object, path: str) -> Object:
    for name, value in patch.items():
        where = f"{path}.{name}"
        if name == "$patch":
            raise UnsupportedPatchError(f"{where} is {value!r}: only items of lists and whole objects can be deleted")
        if value is None:
            base.pop(name, None)
        elif isinstance(value, dict):
            old = base.get(name)
            base[name] = _merged_object(old if isinstance(old, dict) else {}, value, where)
        elif isinstance(value, list):
            base[name] = _merged_list(base.get(name) or [], value, name, where)
        else:
            base[name] = value
    return base


def _merged_list(base: list[Any], patch: list[Any], name: str, path: str) -> list[Any]:
    if not all(isinstance(item, dict) for item in patch):
        return copy.deepcopy(patch)
    added: list[Any] = []
    for item in patch:
        key = next((each for each in _KEYS.get(name, ()) if each in item), None)
        if key is None:
            raise UnsupportedPatchError(f"{path}: nothing says by which field items of this list are the same")
        same = [place for place, old in enumerate(base) if old.get(key) == item[key]]
        if _DELETE.items() <= item.items():
            base = [old for place, old in enumerate(base) if place not in same]
        elif same:
            base[same[0]] = _merged_object(base[same[0]], item, f"{path}[{item[key]}]")
        else:
            added.append(_merged_object({}, item, f"{path}[{item[key]}]"))
    # As kustomize does: what is added stands before what was there.
    return added + base
