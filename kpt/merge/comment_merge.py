"""Comments in a three-way merge: those of new fields come along, and upstream's changes of comments land.

A comment behind a value belongs to it. Comments on lines of their own belong to the field or item that follows them;
those behind the last one belong to the document.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from porchflow.api.limits import COMMENT_LINES_COMPARED
from porchflow.kpt.merge.merge_result import Kept
from porchflow.kpt.merge.own_lines import END, OwnLines, line_edits, own_lines
from porchflow.kpt.merge.resource_identity import MERGE_COMMENT
from porchflow.kpt.merge.shape import Shape
from porchflow.kpt.merge.values import Clash, FieldPath, equal, item_step, step
from porchflow.yamltext.align import align
from porchflow.yamltext.document import Document, same
from porchflow.yamltext.line_comments import LineComment, entry_comment, item_comment
from porchflow.yamltext.lines import replaced
from porchflow.yamltext.nodes import MappingNode, Node, ScalarNode, SequenceNode, Value
from porchflow.yamltext.yaml_error import YamlError

ABOVE: Final = " (comment above it)"
BEHIND: Final = " (comment behind it)"
AT_THE_END: Final = "(comment at the end)"
"""Last steps of the path of a conflict about a comment."""


class _Side:
    """A document of one side, with the comments on lines of their own."""

    def __init__(self, document: Document | None) -> None:
        self.text = document.text if document is not None else ""
        self.root = document.root if document is not None else None
        self.own = own_lines(self.text, self.root)
        self.counts = Counter(comment for lines in self.own.values() for comment in lines.comments)

    @cached_property
    def places(self) -> dict[str, tuple[int, int]]:
        """Where each comment on a line of its own stands; of equal ones the last."""
        return {comment: (start, end) for lines in self.own.values() for comment, start, end in lines.places}

    def entries(self, node: Node | None) -> "dict[str, _Place]":
        """Return the entries of a block mapping by key."""
        if not isinstance(node, MappingNode) or node.flow:
            return {}
        return {key.raw: self._entry(key, value) for key, value in node.entries}

    def _entry(self, key: ScalarNode, value: Node) -> "_Place":
        return _Place(value, entry_comment(self.text, key, value), self.own.get(("key", key.start)))

    def items(self, node: Node | None) -> "list[_Place]":
        """Return the items of a block list."""
        return list(self._items(node)) if isinstance(node, SequenceNode) and not node.flow else []

    def _items(self, node: SequenceNode) -> "Iterator[_Place]":
        for item in node.items:
            yield _Place(item, item_comment(self.text, item), self.own.get(("item", item.start)))


@dataclass(frozen=True)
class _Place:
    """An entry or item of one side, with its comments.

    Attributes:
        node: Its value.
        line: The place for the comment behind it; None where none can stand.
        own: The lines above it; None where it shares its line with what is before it.
    """

    node: Node
    line: LineComment | None
    own: OwnLines | None

    @property
    def comment(self) -> str:
        return self.line.text if self.line is not None else ""


_Places = tuple[_Place | None, _Place | None, _Place | None]
"""The same entry or item of base, upstream and local."""


@dataclass
class _Merge:
    merged: _Side
    base: _Side | None
    upstream: _Side
    local: _Side
    edits: list[tuple[int, int, str]] = field(default_factory=list)
    clashes: list[Clash] = field(default_factory=list)

    @property
    def sides(self) -> tuple[_Side, _Side, _Side]:
        return self.base or _Side(None), self.upstream, self.local

    def nodes(self, merged: Node, sides: Sequence[Node | None], shape: Shape, path: FieldPath) -> None:
        """Merge the comments below a node; `sides` are the nodes of base, upstream and local."""
        if isinstance(merged, MappingNode) and not merged.flow:
            known = [side.entries(node) for side, node in zip(self.sides, sides, strict=True)]
            for name, place in self.merged.entries(merged).items():
                base, upstream, local = (side.get(name) for side in known)
                self.place(place, (base, upstream, local), shape.child(str(name)), (*path, step(str(name))))
        elif isinstance(merged, SequenceNode) and not merged.flow:
            self.items(merged, sides, shape, path)

    def items(self, merged: SequenceNode, sides: Sequence[Node | None], shape: Shape, path: FieldPath) -> None:
        lists = [node.value if isinstance(node, SequenceNode) else [] for node in sides]
        key = shape.keying([*lists, merged.value]) if shape.keying is not None else None
        known = [side.items(node) for side, node in zip(self.sides, sides, strict=True)]
        if key is not None:
            by_key = [{key(place.node.value): place for place in side} for side in known]
            for place in self.merged.items(merged):
                name = key(place.node.value)
                base, upstream, local = (side.get(name) for side in by_key)
                self.place(place, (base, upstream, local), shape.element, (*path, item_step(name)))
            return
        taken_over = same(merged.value, lists[1]) and not same(lists[1], lists[2])
        partners = [_partners(side, merged.value) for side in known]
        for index, place in enumerate(self.merged.items(merged)):
            base, upstream, local = (side.get(index) for side in partners)
            self._above(place, (base, upstream, local), (*path, f"[{index}]"))
            if taken_over and upstream is not None:
                self._taken_over(place, upstream, known[0], (*path, f"[{index}]"))
                self.nodes(place.node, [None, upstream.node, None], shape.element, (*path, f"[{index}]"))
            else:
                self._behind_and_below(place, (base, upstream, local), shape.element, (*path, f"[{index}]"))

    def place(self, place: _Place, sides: _Places, shape: Shape, path: FieldPath) -> None:
        self._above(place, sides, path)
        self._behind_and_below(place, sides, shape, path)

    def _behind_and_below(self, place: _Place, sides: _Places, shape: Shape, path: FieldPath) -> None:
        self._behind(place, sides, path)
        self.nodes(place.node, [side.node if side is not None else None for side in sides], shape, path)

    def _behind(self, place: _Place, sides: _Places, path: FieldPath) -> None:
        base, upstream, local = sides
        if (
            place.line is None
            or upstream is None
            or any(MERGE_COMMENT.search(side.comment) for side in (place, upstream))
        ):
            return
        before = base.comment if base is not None else ""
        if local is None:
            wanted = upstream.comment or place.comment
        elif _settled(before, upstream.comment, local.comment):
            return
        elif local.comment == before and _free(base, upstream, local, place):
            wanted = upstream.comment
        else:
            self._tell(path, BEHIND, local.comment, upstream.comment)
            return
        if wanted != place.comment:
            self._write_behind(place.line, wanted)

    def _write_behind(self, line: LineComment, comment: str) -> None:
        self.edits.append((line.start, line.end, f" {comment}" if comment else ""))

    def _taken_over(self, place: _Place, upstream: _Place, before: Sequence[_Place], path: FieldPath) -> None:
        """Merge the comment behind an item of a list that is upstream's as a whole, as its comments are too.

        Which item of the old list it was is not known for sure. So a comment counts as local if the old list has none
        such.
        """
        if place.line is None or MERGE_COMMENT.search(place.comment) or MERGE_COMMENT.search(upstream.comment):
            return
        old = {side.comment for side in before}
        if not place.comment or place.comment in old:
            if upstream.comment != place.comment:
                self._write_behind(place.line, upstream.comment)
        elif upstream.comment and upstream.comment not in old and upstream.comment != place.comment:
            self._tell(path, BEHIND, place.comment, upstream.comment)

    def _above(self, place: _Place, sides: _Places, path: FieldPath) -> None:
        base, upstream, local = (side.own if side is not None else None for side in sides)
        if place.own is None or upstream is None:
            return
        if sides[2] is None:
            new = [comment for comment in upstream.comments if not self.merged.counts[comment]]
            if new and not place.own.comments:
                self.edits.append(place.own.only(new))
        elif local is not None:
            self._own(place.own, (base, upstream, local), (*path, ABOVE))

    def end(self) -> None:
        """Merge the comments behind the last field."""
        place = self.merged.own.get(END)
        base, upstream, local = (side.own.get(END) for side in self.sides)
        if place is not None and upstream is not None and local is not None:
            self._own(place, (base, upstream, local), (AT_THE_END,))

    def _own(self, place: OwnLines, sides: tuple[OwnLines | None, OwnLines, OwnLines], path: FieldPath) -> None:
        base, upstream, local = sides
        before = base.comments if base is not None else ()
        if before not in (upstream.comments, local.comments) and self._stayed(before, upstream, local):
            self.edits += line_edits(self.merged.text, self.merged.places, before, upstream.comments)
            return
        if _settled(before, upstream.comments, local.comments) or not self._news(before, upstream.comments):
            return
        if local.comments != before or place.comments != before:
            self._tell(path[:-1], path[-1], "\n".join(local.comments), "\n".join(upstream.comments))
        elif not any(MERGE_COMMENT.search(line) for line in (*before, *upstream.comments)):
            self.edits.append(place.like(upstream))

    def _stayed(self, before: Sequence[str], upstream: OwnLines, local: OwnLines) -> bool:
        """Return whether local left the comments alone, and only put fields of its own between them and the entry."""
        if not before or self.base is None or max(len(before), len(upstream.comments)) > COMMENT_LINES_COMPARED:
            return False
        if not set(local.comments) < set(before):
            return False
        if any(MERGE_COMMENT.search(line) for line in (*before, *upstream.comments)):
            return False
        sides = (self.base, self.local, self.merged)
        alone = all(side.counts[line] == 1 for side in sides for line in before)
        return alone and all(self.upstream.counts[line] == (line in upstream.comments) for line in before)

    def _news(self, before: Sequence[str], upstream: Sequence[str]) -> bool:
        """Return whether upstream wrote or removed a comment, as opposed to moving fields around it."""
        old = self.base.counts if self.base is not None else Counter[str]()
        gone, come = set(before) - set(upstream), set(upstream) - set(before)
        return any(self.upstream.counts[line] < old[line] for line in gone) or any(
            self.merged.counts[line] < self.upstream.counts[line] for line in come
        )

    def _tell(self, path: FieldPath, what: str, local: str, upstream: str) -> None:
        self.clashes.append(Clash((*path, what), local, upstream, Kept.LOCAL))


def merge_comments(
    merged: Document, base: Document | None, upstream: Document, local: Document, shape: Shape
) -> tuple[Document, Sequence[Clash]]:
    """Return the merged document with its comments merged, and the conflicts.

    A comment that only upstream changed becomes upstream's; a field that comes from upstream brings its comments. The
    local comment stays where both changed it, and behind a value that the local package changed; both are conflicts.
    Comments that record the upstream resource of a resource (`kpt-merge`) never move.
    """
    if merged.root is None or not any("#" in side.text for side in (base, upstream) if side is not None):
        return merged, ()
    work = _Merge(_Side(merged), _Side(base) if base is not None else None, _Side(upstream), _Side(local))
    work.nodes(merged.root, [side.root for side in work.sides], shape, ())
    work.end()
    if not work.edits:
        return merged, work.clashes
    try:
        changed = Document(replaced(merged.text, work.edits))
    except YamlError:
        return merged, work.clashes
    return changed if same(changed.value, merged.value) else merged, work.clashes


def _settled(base: object, upstream: object, local: object) -> bool:
    """Return whether upstream brings nothing."""
    return upstream in (base, local)


def _free(base: _Place | None, upstream: _Place, local: _Place, merged: _Place) -> bool:
    """Return whether a comment can be upstream's: its value is upstream's, or the local package left it alone."""
    values = [side.node.value for side in (upstream, local)]
    if all(isinstance(value, dict | list) for value in values) or base is None:
        return True
    return equal(base.node.value, local.node.value) or equal(merged.node.value, upstream.node.value)


def _partners(side: list[_Place], merged: list[Value]) -> dict[int, _Place]:
    """Return the items of a side by the index of the merged item that each has become."""
    pairs = align([place.node.value for place in side], merged)
    return {j: side[i] for i, j in pairs if i is not None and j is not None}
