"""Comments in a three-way merge: those of new fields come along, and upstream's changes of comments land."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from porchflow.kpt.merge.resource_identity import MERGE_COMMENT
from porchflow.kpt.merge.shape import Shape
from porchflow.kpt.merge.values import equal
from porchflow.yamltext.document import Document, same
from porchflow.yamltext.line_comments import LineComment, entry_comment, item_comment
from porchflow.yamltext.lines import replaced
from porchflow.yamltext.nodes import MappingNode, Node, ScalarNode, SequenceNode
from porchflow.yamltext.yaml_error import YamlError

_COMMENT_LINE = re.compile(r"[ \t]*(#[^\r\n]*)")


@dataclass(frozen=True)
class _Place:
    """An entry or item of one side, with the places of its comments."""

    text: str
    node: Node
    start: int
    """Of its key or its dash's line."""
    line: LineComment | None

    @property
    def comment(self) -> str:
        return self.line.text if self.line is not None else ""

    @property
    def head(self) -> list[str]:
        """The comment lines right above it."""
        lines: list[str] = []
        end = self.text.rfind("\n", 0, self.start)
        while end > 0:
            start = self.text.rfind("\n", 0, end) + 1
            match = _COMMENT_LINE.fullmatch(self.text, start, end - self.text.endswith("\r", start, end))
            if match is None:
                break
            lines.append(match[1])
            end = start - 1
        return lines[::-1]


@dataclass
class _Merge:
    merged: Document
    edits: list[tuple[int, int, str]] = field(default_factory=list)
    known: set[str] = field(init=False)
    """The lines that are comments already: the comment above a new upstream field may belong to the field before it."""

    def __post_init__(self) -> None:
        self.known = {line.strip() for line in self.merged.text.splitlines() if line.lstrip().startswith("#")}

    def nodes(self, merged: Node, sides: tuple["Node | None", ...], texts: tuple[str, ...], shape: Shape) -> None:
        """Merge the comments below a node; `sides` and `texts` are those of base, upstream and local."""
        if isinstance(merged, MappingNode) and not merged.flow:
            known = [_entries(node, text) for node, text in zip(sides, texts, strict=True)]
            for name, place in _entries(merged, self.merged.text).items():
                self.place(place, tuple(side.get(name) for side in known), texts, shape.child(str(name)))
        elif isinstance(merged, SequenceNode) and not merged.flow:
            self.items(merged, sides, texts, shape)

    def items(
        self, merged: SequenceNode, sides: tuple["Node | None", ...], texts: tuple[str, ...], shape: Shape
    ) -> None:
        lists = [node.value if isinstance(node, SequenceNode) else [] for node in sides]
        key = shape.keying([*lists, merged.value]) if shape.keying is not None else None
        if key is not None:
            known = [_items(node, text) for node, text in zip(sides, texts, strict=True)]
            by_key = [{key(place.node.value): place for place in side} for side in known]
            for place in _items(merged, self.merged.text):
                name = key(place.node.value)
                self.place(place, tuple(side.get(name) for side in by_key), texts, shape.element)
        elif isinstance(sides[1], SequenceNode) and same(merged.value, lists[1]) and not same(lists[1], lists[2]):
            theirs = _items(sides[1], texts[1])
            for place, their in zip(_items(merged, self.merged.text), theirs, strict=True):
                self.place(place, (None, their, None), texts, shape.element)

    def place(self, place: _Place, sides: "tuple[_Place | None, ...]", texts: tuple[str, ...], shape: Shape) -> None:
        base, upstream, local = sides
        wanted = _wanted(base, upstream, local)
        if wanted is not None and place.line is not None and wanted != place.comment:
            self.edits.append((place.line.start, place.line.end, f" {wanted}" if wanted else ""))
        if local is None and upstream is not None and not place.head:
            self._add_head(place, [line for line in upstream.head if line not in self.known])
        self.nodes(place.node, tuple(side.node if side is not None else None for side in sides), texts, shape)

    def _add_head(self, place: _Place, lines: list[str]) -> None:
        start = place.text.rfind("\n", 0, place.start) + 1
        before = place.text[start : place.start]
        if lines and not before.strip(" "):
            newline = "\r\n" if "\r\n" in place.text else "\n"
            self.edits.append((start, start, "".join(before + line + newline for line in lines)))


def merge_comments(
    merged: Document, base: Document | None, upstream: Document, local: Document, shape: Shape
) -> Document:
    """Return the merged document with its comments merged.

    A comment that only upstream changed becomes upstream's, on fields whose value the local package left alone; a field
    that comes from upstream brings its comments. The comments that record the upstream resource of a resource
    (`kpt-merge`) never move.
    """
    if merged.root is None or not any("#" in side.text for side in (base, upstream) if side is not None):
        return merged
    sides = (base.root if base is not None else None, upstream.root, local.root)
    work = _Merge(merged)
    work.nodes(merged.root, sides, (base.text if base is not None else "", upstream.text, local.text), shape)
    if not work.edits:
        return merged
    try:
        changed = Document(replaced(merged.text, work.edits))
    except YamlError:
        return merged
    return changed if same(changed.value, merged.value) else merged


def _wanted(base: _Place | None, upstream: _Place | None, local: _Place | None) -> str | None:
    """Return the comment that an entry must have; None to leave it as it is."""
    if upstream is None or MERGE_COMMENT.search(upstream.comment):
        return None
    if local is None:
        return upstream.comment or None
    if MERGE_COMMENT.search(local.comment):
        return None
    if base is None:
        return upstream.comment if not local.comment and upstream.comment else None
    if local.comment != base.comment or upstream.comment == base.comment or not _untouched(base.node, local.node):
        return None
    return upstream.comment


def _untouched(base: Node, local: Node) -> bool:
    """Return whether the local value is the base's; for a value with lines of its own only its key's comment counts."""
    if isinstance(local.value, dict | list) and isinstance(base.value, dict | list):
        return True
    return equal(base.value, local.value)


def _entries(node: Node | None, text: str) -> dict[str, _Place]:
    if not isinstance(node, MappingNode) or node.flow:
        return {}
    return {key.raw: _entry(text, key, value) for key, value in node.entries}


def _entry(text: str, key: ScalarNode, value: Node) -> _Place:
    return _Place(text, value, key.start, entry_comment(text, key, value))


def _items(node: Node | None, text: str) -> list[_Place]:
    return list(_item_places(node, text)) if isinstance(node, SequenceNode) and not node.flow else []


def _item_places(node: SequenceNode, text: str) -> Iterator[_Place]:
    for item in node.items:
        line = text.rfind("\n", 0, item.start) + 1
        yield _Place(
            text,
            item,
            line + len(text[line : item.start]) - len(text[line : item.start].lstrip()),
            item_comment(text, item),
        )
