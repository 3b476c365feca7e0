"""Three-way merge of Kptfiles.

Source: docs/reference/kpt-merge.md, "Kptfiles", which also lists the differences to kpt's behaviour.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from porchflow.kpt.format.images import parse_image
from porchflow.kpt.format.kptfile import RENDERED
from porchflow.kpt.format.krm import map_of
from porchflow.kpt.merge.comment_merge import merge_comments
from porchflow.kpt.merge.merge_result import ABSENT
from porchflow.kpt.merge.resource_identity import with_own
from porchflow.kpt.merge.shape import PLAIN, Key, Shape, by_fields, unique
from porchflow.kpt.merge.text import edited
from porchflow.kpt.merge.values import Clash, ValueMerge, equal
from porchflow.yamltext.document import Document
from porchflow.yamltext.nodes import Value

_OWN: Final = ("name", "namespace")
"""Fields of the metadata that stay the local package's."""

_RENDER_STATUS: Final = "renderStatus"
_UPSTREAM: Final = ("upstream", "upstreamLock")


def _image(function: Value) -> Key:
    """Return the image of a function, without its version; None for a function without one."""
    if not isinstance(function, dict):
        return None
    image, command = function.get("image"), function.get("exec")
    if isinstance(command, str) and command:
        return ("exec", command)
    if not isinstance(image, str) or not image:
        return None
    return ("image", parse_image(image).base)


def _functions(lists: Sequence[list[Value]]) -> Callable[[Value], Key] | None:
    """Return the key that tells functions apart: the name if all have one, else the image if no list repeats one."""
    by_name = by_fields(["name"])(lists)
    if by_name is not None:
        return by_name
    return _image if all(unique(_image, functions) for functions in lists) else None


_FUNCTIONS: Final = Shape(keying=_functions, stays_removed=True)
SHAPE: Final = Shape(
    fields={"pipeline": Shape(fields={"mutators": _FUNCTIONS, "validators": _FUNCTIONS}), "metadata": PLAIN}
)
"""Of a Kptfile: functions are merged one by one, every other list as a whole."""


def merge_kptfiles(
    base: Document | None, upstream: Document, local: Document, *, take_upstream: bool
) -> tuple[Document, Sequence[Clash]]:
    """Merge the Kptfiles of one package.

    Args:
        base: Of the old upstream, a mapping like the others; None if it has none.
        upstream: Of the new upstream.
        local: The one to update.
        take_upstream: Whether `upstream` and `upstreamLock` come from the new upstream where it has them; otherwise
            they stay. Name and namespace always stay.

    Returns:
        The local Kptfile with upstream's changes in it, and the conflicts.

    Raises:
        YamlError: A merged value cannot be written as YAML.
    """
    ours = without_rendering(local.value)
    theirs = _own_of(upstream.value, ours, take_upstream=take_upstream)
    old = _own_of(base.value, ours, take_upstream=False) if base is not None else ABSENT
    work = ValueMerge()
    merged = work.merge(old, theirs, ours, SHAPE)
    document = edited(local, _with_rendering(merged, ours, local.value), SHAPE)
    document, about_comments = merge_comments(document, base, upstream, local, SHAPE)
    return document, [*work.clashes, *about_comments]


def _own_of(value: Value, local: Value, *, take_upstream: bool) -> dict[str, Value]:
    """Return a side with the local package's own fields in place of its own, so that the merge leaves those alone."""
    result = without_rendering(with_own(value, local))
    _replace(result, local, [name for name in _UPSTREAM if not (take_upstream and name in value)])
    metadata = dict(map_of(result, "metadata"))
    _replace(metadata, map_of(local, "metadata"), _OWN)
    if metadata:
        result["metadata"] = metadata
    return result


def _replace(target: dict[str, Value], source: Mapping[str, Value], names: Sequence[str]) -> None:
    for name in names:
        target.pop(name, None)
        if name in source:
            target[name] = source[name]


def without_rendering(value: Value) -> dict[str, Value]:
    """Return a Kptfile's value without the last rendering's entries in its status."""
    status = map_of(value, "status")
    conditions = status.get("conditions")
    kept = {key: item for key, item in status.items() if key != _RENDER_STATUS}
    if isinstance(conditions, list) and any(map(_is_rendered, conditions)):
        kept["conditions"] = [one for one in conditions if not _is_rendered(one)]
        if not kept["conditions"]:
            del kept["conditions"]
    if len(kept) == len(status) and kept.get("conditions") is conditions:
        return dict(value)
    return {key: kept if key == "status" else item for key, item in value.items() if key != "status" or kept}


def _with_rendering(merged: Value, plain: Value, local: Value) -> Value:
    """Return the merged value with the entries of the local package's last rendering in its status."""
    if equal(merged.get("status", ABSENT), plain.get("status", ABSENT)):
        return {**merged, "status": local["status"]} if "status" in local else merged
    status = dict(map_of(merged, "status"))
    ours = map_of(local, "status")
    rendered = [one for one in ours.get("conditions") or [] if _is_rendered(one)]
    if rendered:
        status["conditions"] = [*(status.get("conditions") or []), *rendered]
    if _RENDER_STATUS in ours:
        status[_RENDER_STATUS] = ours[_RENDER_STATUS]
    return {**merged, "status": status}


def _is_rendered(condition: Value) -> bool:
    return isinstance(condition, dict) and condition.get("type") == RENDERED


def same_package(base: Value, local: Value) -> bool:
    """Return whether two Kptfiles are equal but for a package's own fields: name, upstream and the last rendering."""
    if not isinstance(base, dict) or not isinstance(local, dict):
        return equal(base, local)
    ours = without_rendering(local)
    return equal(_own_of(base, ours, take_upstream=False), ours)
