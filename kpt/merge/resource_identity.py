"""Identity of a resource across the sides of a merge, and differences that do not count as changes."""

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import re2

from porchflow.kpt.format.init import CONTEXT_NAME
from porchflow.kpt.format.krm import map_of, text_of
from porchflow.kpt.merge.values import equal
from porchflow.yamltext.document import Document
from porchflow.yamltext.line_comments import entry_comment
from porchflow.yamltext.nodes import MappingNode, Value

MERGE_COMMENT: Final = re2.compile(r"#\s*kpt-merge:\s*(?P<namespace>[^\s/]*)/(?P<name>\S+)")
"""kpt's record of the resource's name upstream: a comment behind `metadata:`."""

UPSTREAM_IDENTIFIER: Final = "internal.kpt.dev/upstream-identifier"
"""kpt's record of the same name: an annotation."""

_OWN_CONTEXT: Final = ("name", "package-path")
# A match begins at the first of several blanks: otherwise the time would be quadratic in their number.
_NOISE: Final = re.compile(r"(?<![ \t])[ \t]*#\s*kpt-merge:[^\r\n]*")
_COMMENT: Final = re.compile(r"(?:^|[ \t])(#[^\r\n]*)", re.MULTILINE)


class Identity(NamedTuple):
    """API group, kind, namespace and name of a resource: a merge pairs resources by them. The version does not count.

    Source: docs/reference/kpt-merge.md, "Which resource is which".
    """

    group: str
    kind: str
    namespace: str
    name: str


def identity_of(document: Document) -> Identity:
    """Return the identity of a resource; namespace and name of a `kpt-merge` comment go before its own."""
    value = document.value
    group, slash, _ = text_of(value, "apiVersion").rpartition("/")
    namespace, name = text_of(value, "metadata", "namespace"), text_of(value, "metadata", "name")
    match = MERGE_COMMENT.search(_metadata_comment(document)) if "kpt-merge" in document.text else None
    if match is not None:
        namespace, name = match["namespace"], match["name"]
    return Identity(group if slash else "", text_of(value, "kind"), namespace, name)


def _metadata_comment(document: Document) -> str:
    """Return the comment on the line of the top-level key `metadata`; empty without one."""
    root = document.root
    if not isinstance(root, MappingNode):
        return ""
    for key, value in root.entries:
        if key.raw == "metadata":
            line = entry_comment(document.text, key, value)
            return line.text if line is not None else ""
    return ""


def with_own(value: Value, local: Value) -> Value:
    """Return a value with the local package's own fields, so that these are no change in a merge or a comparison.

    The fields are the upstream identifier, which programs write, and the package's name in a package context.

    Args:
        value: Value of the resource on one side.
        local: Value of the resource in the local package.
    """
    if not isinstance(value, dict) or not isinstance(local, dict):
        return value
    metadata, annotations = map_of(value, "metadata"), map_of(value, "metadata", "annotations")
    ours = map_of(local, "metadata", "annotations")
    if annotations.get(UPSTREAM_IDENTIFIER) != ours.get(UPSTREAM_IDENTIFIER):
        changed = _taken(annotations, ours, [UPSTREAM_IDENTIFIER])
        rest = {key: item for key, item in metadata.items() if key != "annotations" or changed}
        value = {**value, "metadata": {**rest, **({"annotations": changed} if changed else {})}}
    if _is_context(value) and _is_context(local):
        value = {**value, "data": _taken(map_of(value, "data"), map_of(local, "data"), _OWN_CONTEXT)}
    return value


def _taken(target: Mapping[str, Value], source: Mapping[str, Value], names: Sequence[str]) -> dict[str, Value]:
    kept = {key: item for key, item in target.items() if key not in names or key in source}
    return {**kept, **{name: source[name] for name in names if name in source}}


def _is_context(value: Value) -> bool:
    return text_of(value, "kind") == "ConfigMap" and text_of(value, "metadata", "name") == CONTEXT_NAME


def unchanged(base: Document, other: Document) -> bool:
    """Return whether two versions of a resource have the same values and comments.

    Three differences do not count: the layout; the `kpt-merge` comment and the upstream identifier, which kpt and Porch
    add to cloned resources; and the package's name in a package context.
    """
    if base.text == other.text:
        return True
    return equal(with_own(base.value, other.value), other.value) and _comments(base.text) == _comments(other.text)


def _comments(text: str) -> list[str]:
    """Return all comments, and texts that look like one: for equal values those are the same on both sides."""
    if "#" not in text:
        return []
    text = _NOISE.sub("", text)
    return [" ".join(comment.split()) for comment in _COMMENT.findall(text)]
