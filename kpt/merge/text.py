"""Three-way merge of one document as text: only the lines that the merge changes change."""

from collections.abc import Sequence

from porchflow.kpt.merge.comment_merge import merge_comments
from porchflow.kpt.merge.merge_result import ABSENT
from porchflow.kpt.merge.resource_identity import with_own
from porchflow.kpt.merge.shape import Key, Shape
from porchflow.kpt.merge.values import Clash, ValueMerge
from porchflow.yamltext.document import Document
from porchflow.yamltext.nodes import Value


def merge_documents(
    base: Document | None, upstream: Document, local: Document, shape: Shape
) -> tuple[Document, Sequence[Clash]]:
    """Merge one resource that upstream and the local package both have.

    Returns:
        The local document with upstream's changes in it, and the conflicts.

    Raises:
        YamlError: A merged value cannot be written as YAML.
    """
    if upstream.text == local.text or (base is not None and base.text == upstream.text):
        return local, ()
    if base is not None and base.text == local.text:
        return upstream, ()
    ours = local.value
    old = with_own(base.value, ours) if base is not None else ABSENT
    theirs = with_own(upstream.value, ours)
    work = ValueMerge()
    merged = work.merge(old, theirs, ours, shape)
    document = edited(local, None if merged is ABSENT else merged, shape)
    document, about_comments = merge_comments(document, base, upstream, local, shape)
    return document, [*work.clashes, *about_comments]


def edited(local: Document, merged: Value, shape: Shape) -> Document:
    """Return the local document with the merged value: elements are removed first, then changed, then added.

    In one step a removed element could count as an added one, and its comments would stay at the wrong place.

    Raises:
        YamlError: The value cannot be written as YAML.
    """
    document = local.edit(_common(local.value, merged, shape, changed=False))
    document = document.edit(_common(document.value, merged, shape, changed=True), by_position=True)
    return document.edit(merged)


def _common(old: Value, new: Value, shape: Shape, *, changed: bool) -> Value:
    """Return a value with only those elements of keyed lists that the other one has too.

    Args:
        old: The value before.
        new: The value after.
        shape: Of both.
        changed: Whether everything but other lists is as in `new`, as opposed to as in `old`.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        common = {key: _common(old[key], new[key], shape.child(key), changed=changed) for key in old if key in new}
        return {**(new if changed else old), **common}
    if isinstance(old, list) and isinstance(new, list) and shape.keying is not None:
        key = shape.keying([old, new])
        if key is not None:
            return _common_elements(
                {key(each): each for each in old}, {key(each): each for each in new}, shape, changed
            )
    return old if isinstance(old, list) or not changed else new


def _common_elements(old: dict[Key, Value], new: dict[Key, Value], shape: Shape, changed: bool) -> list[Value]:  # noqa: FBT001
    names = [name for name in (new if changed else old) if name in old and name in new]
    return [_common(old[name], new[name], shape.element, changed=changed) for name in names]
