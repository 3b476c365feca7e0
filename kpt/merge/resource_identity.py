"""What identifies a resource across the sides of a merge, and what in it does not count as a change."""

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
"""kpt's record, behind `metadata:`, of the name that the resource had upstream."""

UPSTREAM_IDENTIFIER: Final = "internal.kpt.dev/upstream-identifier"
"""kpt's record of the same in an annotation."""

_OWN_CONTEXT: Final = ("name", "package-path")
# Only from the beginning of blanks: else each of them would be looked at once for every one before it.
_NOISE: Final = re.compile(r"(?<![ \t])[ \t]*#\s*kpt-merge:[^\r\n]*")
_COMMENT: Final = re.compile(r"(?:^|[ \t])(#[^\r\n]*)", re.MULTILINE)


class Identity(NamedTuple):
    """API group, kind, namespace and name: what a merge compares. The version does not count.

    Source: docs/reference/kpt-merge.md, "Which resource is which".
    """

    group: str
    kind: str
    namespace: str
    name: str


def identity_of(document: Document) -> Identity:
    """The identity of a resource; where a `kpt-merge` comment tells another name, that one counts."""
    value = document.value
    group, slash, _ = text_of(value, "apiVersion").rpartition("/")
    namespace, name = text_of(value, "metadata", "namespace"), text_of(value, "metadata", "name")
    match = MERGE_COMMENT.search(_metadata_comment(document)) if "kpt-merge" in document.text else None
    if match is not None:
        namespace, name = match["namespace"], match["name"]
    return Identity(group if slash else "", text_of(value, "kind"), namespace, name)


def _metadata_comment(document: Document) -> str:
    """The comment on the line of the key `metadata` of the document itself."""
    root = document.root
    if not isinstance(root, MappingNode):
        return ""
    for key, value in root.entries:
        if key.raw == "metadata":
            line = entry_comment(document.text, key, value)
            return line.text if line is not None else ""
    return ""


def with_own(value: Value, local: Value) -> Value:
    """The value with what belongs to the local package as there, so that neither merge nor comparison see a change.

    That is the upstream identifier, which machines write, and the package's own name in a package context.
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
    """Whether a resource is what it was: the same values and comments.

    Layout does not count, nor do the `kpt-merge` comment and the upstream identifier, which kpt and Porch add to what
    they clone, nor the package's name in a package context.
    """
    if base.text == other.text:
        return True
    return equal(with_own(base.value, other.value), other.value) and _comments(base.text) == _comments(other.text)


def _comments(text: str) -> list[str]:
    """All that looks like a comment; a `#` inside of a text is the same on both sides when the values are."""
    if "#" not in text:
        return []
    text = _NOISE.sub("", text)
    return [" ".join(comment.split()) for comment in _COMMENT.findall(text)]
