"""Patches of JSON values: JSON Patch (RFC 6902) and JSON Merge Patch (RFC 7386). Pure."""

import copy
import json
from collections.abc import Mapping, Sequence
from typing import Any

from porchflow.api.limits import PATCH_COPIED_BYTES, PATCH_OPERATIONS


class BadPatch(ValueError):  # noqa: N818 - says what it is
    """The patch is malformed, or cannot be applied to this value; the message names the part."""


def merge_patch(target: Any, patch: Any) -> Any:  # noqa: ANN401 - JSON
    """Apply a merge patch: given fields are replaced, null removes one, a list is replaced as a whole."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def json_patch(target: Any, patch: Any) -> Any:  # noqa: ANN401 - JSON
    """Apply a JSON patch, all operations or none.

    Raises:
        BadPatch: An operation is malformed or cannot be applied, for instance a `test` that does not hold.
    """
    if not isinstance(patch, Sequence) or isinstance(patch, str):
        raise BadPatch("a JSON patch is a list of operations")
    if len(patch) > PATCH_OPERATIONS:
        raise BadPatch(f"a JSON patch has at most {PATCH_OPERATIONS} operations, this one {len(patch)}")
    result, budget = copy.deepcopy(target), _Budget()
    for index, operation in enumerate(patch):
        try:
            result = _apply(result, operation, budget)
        except BadPatch as error:
            raise BadPatch(f"operation {index}: {error}") from None
    return result


class _Budget:
    """Bytes that a patch may still copy."""

    def __init__(self) -> None:
        self._left = PATCH_COPIED_BYTES

    def spend(self, value: Any) -> None:  # noqa: ANN401 - JSON
        self._left -= len(json.dumps(value))
        if self._left < 0:
            raise BadPatch(f"the patch copies more than {PATCH_COPIED_BYTES} bytes")


def _apply(target: Any, operation: Any, budget: _Budget) -> Any:  # noqa: ANN401 - JSON
    if not isinstance(operation, Mapping) or not isinstance(operation.get("op"), str):
        raise BadPatch("it has no op")
    path = _pointer(operation, "path")
    match operation["op"]:
        case "add":
            return _add(target, path, copy.deepcopy(_value(operation)))
        case "remove":
            return _remove(target, path)
        case "replace":
            _get(target, path)
            return _add(_remove(target, path), path, copy.deepcopy(_value(operation)))
        case "move":
            source = _pointer(operation, "from")
            if path[: len(source)] == source and path != source:
                raise BadPatch("it moves a value into itself")
            value = _get(target, source)
            return _add(_remove(target, source), path, value)
        case "copy":
            value = _get(target, _pointer(operation, "from"))
            budget.spend(value)
            return _add(target, path, copy.deepcopy(value))
        case "test":
            if not _equal(_get(target, path), _value(operation)):
                raise BadPatch(f"the test of {operation['path']!r} does not hold")
            return target
    raise BadPatch(f"unknown op {operation['op']!r}")


def _pointer(operation: Mapping[str, Any], field: str) -> list[str]:
    pointer = operation.get(field)
    if not isinstance(pointer, str) or (pointer and not pointer.startswith("/")):
        raise BadPatch(f"its {field} is no JSON pointer")
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def _value(operation: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
    if "value" not in operation:
        raise BadPatch("it has no value")
    return operation["value"]


def _get(target: Any, path: list[str]) -> Any:  # noqa: ANN401 - JSON
    for depth, part in enumerate(path):
        if isinstance(target, dict) and part in target:
            target = target[part]
        elif isinstance(target, list):
            target = target[_index(part, len(target) - 1)]
        else:
            raise BadPatch(f"there is no {_shown(path[: depth + 1])}")
    return target


def _add(target: Any, path: list[str], value: Any) -> Any:  # noqa: ANN401 - JSON
    if not path:
        return value
    parent = _get(target, path[:-1])
    if isinstance(parent, dict):
        parent[path[-1]] = value
    elif isinstance(parent, list):
        parent.insert(len(parent) if path[-1] == "-" else _index(path[-1], len(parent)), value)
    else:
        raise BadPatch(f"{_shown(path[:-1])} holds nothing that could be added to")
    return target


def _remove(target: Any, path: list[str]) -> Any:  # noqa: ANN401 - JSON
    if not path:
        return None
    parent = _get(target, path[:-1])
    if isinstance(parent, dict) and path[-1] in parent:
        del parent[path[-1]]
    elif isinstance(parent, list):
        del parent[_index(path[-1], len(parent) - 1)]
    else:
        raise BadPatch(f"there is no {_shown(path)}")
    return target


def _index(part: str, highest: int) -> int:
    if not (part.isascii() and part.isdigit() and (part == "0" or part[0] != "0")):
        raise BadPatch(f"{part!r} is no index of a list")
    index = int(part)
    if index > highest:
        raise BadPatch(f"index {index} is beyond the end of the list")
    return index


def _equal(one: Any, other: Any) -> bool:  # noqa: ANN401 - JSON
    # Python's True equals 1; JSON's true does not.
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    return bool(one == other)


def _shown(path: list[str]) -> str:
    return "/" + "/".join(part.replace("~", "~0").replace("/", "~1") for part in path)
