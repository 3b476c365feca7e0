"""Edits YAML text at the marks of its nodes, so that only the lines of a changed value change.

An edit that the text cannot take in place (an explicit `? key`, a merge key, a comment inside brackets) raises
`InexpressibleError`; the next larger subtree is then replaced as a whole.
"""

import re
from dataclasses import replace
from enum import Enum, auto
from functools import cached_property
from typing import NamedTuple

from porchflow.yamltext.aliases import is_merge
from porchflow.yamltext.align import Pair, align, same
from porchflow.yamltext.emit import (
    Style,
    block,
    check,
    child_column,
    entry,
    flow,
    inline,
    is_block,
    item_lines,
    render_key,
)
from porchflow.yamltext.lines import InexpressibleError, TextEdits, joined
from porchflow.yamltext.nodes import AliasNode, MappingNode, Node, ScalarNode, SequenceNode, Value
from porchflow.yamltext.scalars import literal_header, render_scalar

_COLON = re.compile(r"[ \t]*:")
_EXPLICIT_COLON = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\n)+ *:")
_NOT_BLANK = re.compile(r"\S")
_BLOCK = ("|", ">")
_PROPERTIES = re.compile(r"(?:[&!][^ \t\r\n]*[ \t]+)+(?=.)", re.DOTALL)
_OTHER_TAGS = {f"!!{name}" for name in ("int", "float", "bool", "null")}
_BLOCK_HEADER = re.compile(r"[|>][-+0-9]*")


class Aliases(Enum):
    """What an edit does where an alias or a merge key means another value than before."""

    FOLLOWED = auto()
    """Nothing: the value changes at the anchor."""
    OVERRIDDEN = auto()
    """The same, but a key beside a merge key is written with a value of its own."""
    EDITED = auto()
    """The alias is replaced by its value."""


class Slot(NamedTuple):
    """The place of a node in its parent."""

    kind: str
    """`root`, `value` (behind a key of a block mapping), `item` (behind a dash) or `flow` (inside brackets)."""
    column: int = 0
    """Column of the parent's keys or dashes."""
    start: int = 0
    """For `value`: right after the colon. For `item`: right after the dash."""


class Editor(TextEdits):
    """Collects the edits that turn the text of one document into that of another value."""

    def __init__(self, text: str, root: Node, *, by_position: bool = False, aliases: Aliases = Aliases.EDITED) -> None:
        super().__init__(text)
        self.root = root
        self.by_position = by_position
        self.aliases = aliases
        self.moved = False
        """Whether an item of a list took its text to another place, where the text around it may change its meaning."""

    @cached_property
    def style(self) -> Style:
        """The style of the document."""
        return Style(wide_lists=_has_wide_lists(self.text, self.root), json_text=self.json_text)

    @cached_property
    def json_text(self) -> bool:
        """Whether the document is JSON."""
        return _is_json(self.root)

    def update(self, node: Node, new: Value, slot: Slot) -> None:
        """Change the text of `node` so that it means `new`."""
        if not same(node.value, new) and not (self.aliases is not Aliases.EDITED and isinstance(node, AliasNode)):
            self._update(node, new, slot)

    def _update(self, node: Node, new: Value, slot: Slot) -> None:
        mark = len(self.edits)
        try:
            self._update_inside(node, new, slot)
        except InexpressibleError:
            del self.edits[mark:]
            self.replace(node, new, slot)

    def expand_aliases(self, node: Node, slot: Slot) -> None:
        """Replace every alias below `node` by the text of its value."""
        if isinstance(node, AliasNode) or (isinstance(node, MappingNode) and node.merged):
            self.replace(node, node.value, slot)
        elif isinstance(node, MappingNode):
            for key, value in node.entries:
                self.expand_aliases(value, self._value_slot(node, key))
        elif isinstance(node, SequenceNode):
            for item in node.items:
                self.expand_aliases(item, self._item_slot(node, item))

    def _update_inside(self, node: Node, new: Value, slot: Slot) -> None:
        if isinstance(node, MappingNode) and isinstance(new, dict) and new and node.entries:
            self._mapping(node, new)
        elif isinstance(node, SequenceNode) and isinstance(new, list) and new and node.items:
            self._sequence(node, new)
        elif isinstance(node, ScalarNode) and not is_block(new) and node.start < node.end and node.style not in _BLOCK:
            self._scalar(node, new, slot)
        else:
            raise InexpressibleError

    def _scalar(self, node: ScalarNode, new: Value, slot: Slot) -> None:
        check(new)
        literal = isinstance(new, str) and slot.kind != "flow" and not self.json_text and literal_header(new)
        if literal or isinstance(new, dict | list):
            raise InexpressibleError
        in_flow = slot.kind == "flow"
        rendered = render_scalar(new, style=node.style, flow=in_flow, json_text=self.json_text)
        self.edits.append((node.start, node.end, self._properties(node, new) + rendered))

    def _properties(self, node: ScalarNode, new: Value) -> str:
        """Return the anchor of a scalar, and its tag where a text keeps its meaning with it."""
        found = _PROPERTIES.match(self.text, node.start, node.end)
        if found is None:
            return ""
        if self.text[found.end()] in "\r\n":
            raise InexpressibleError
        is_text = isinstance(new, str)
        kept = [word for word in found[0].split() if word[0] == "&" or (is_text and word not in _OTHER_TAGS)]
        return "".join(f"{word} " for word in kept)

    # Mappings

    def _mapping(self, node: MappingNode, new: dict[str, Value]) -> None:
        if node.merged and self.aliases is Aliases.EDITED:
            raise InexpressibleError
        kept = [key.raw in new or (node.merged and is_merge(key)) for key, _ in node.entries]
        if not any(kept):
            raise InexpressibleError
        for key, value in node.entries:
            if key.raw in new and not same(value.value, new[key.raw]):
                self.update(value, new[key.raw], self._value_slot(node, key))
        added = [key for key in new if key not in node.value or self._overrides(node, key, new[key])]
        if not added and all(kept):
            return
        for name in added:
            check({name: new[name]})
        spans = [(key.start, value.end) for key, value in node.entries]
        if node.flow:
            texts = [f"{self._flow_key(key)}: {flow(new[key], self.style)}" for key in added]
            self._edit_flow(spans, kept, {len(spans): texts})
        else:
            self._edit_block_mapping(node, spans, kept, {key: new[key] for key in added})

    def _overrides(self, node: MappingNode, key: str, new: Value) -> bool:
        """Return whether a key that only a merge key contributes has to be written, with another value."""
        if self.aliases is not Aliases.OVERRIDDEN or not node.merged or same(node.value[key], new):
            return False
        return all(own.raw != key for own, _ in node.entries)

    def _edit_block_mapping(
        self, node: MappingNode, spans: list[tuple[int, int]], kept: list[bool], added: dict[str, Value]
    ) -> None:
        if any(self._column(key.start) != node.column or self._is_explicit(key) for key, _ in node.entries):
            raise InexpressibleError
        self._cut_lines(spans, kept, node.column, keep_head=node is self.root)
        if added:
            last = max(index for index, keep in enumerate(kept) if keep)
            at = self._line_after(spans[last][1])
            style = self._style_before(at, node.column)
            self._insert_lines(
                at, [line for key, value in added.items() for line in entry(key, value, node.column, style)]
            )

    def _flow_key(self, key: str) -> str:
        return render_key(key, self.style, flow=True)

    def _is_explicit(self, key: ScalarNode) -> bool:
        return self.text[self._line_start(key.start) : key.start].rstrip().endswith("?") or not _COLON.match(
            self.text, key.end
        )

    def _value_slot(self, node: MappingNode, key: ScalarNode) -> Slot:
        explicit = not node.flow and self._is_explicit(key)
        colon = (_EXPLICIT_COLON if explicit else _COLON).match(self.text, key.end)
        if colon is None:
            raise InexpressibleError
        return Slot("flow") if node.flow else Slot("value", node.column, colon.end())

    # Lists

    def _sequence(self, node: SequenceNode, new: list[Value]) -> None:
        pairs = self._pairs(node.value, new)
        order = [i for i, j in pairs if i is not None and j is not None]
        if not order:
            raise InexpressibleError
        for i, j in pairs:
            if i is None and j is not None:
                check(new[j])
        if order != sorted(order):
            self._reorder(node, new, pairs)
            return
        for i, j in pairs:
            if i is not None and j is not None and not same(node.value[i], new[j]):
                self.update(node.items[i], new[j], self._item_slot(node, node.items[i]))
        self._add_and_cut(node, new, pairs)

    def _add_and_cut(self, node: SequenceNode, new: list[Value], pairs: list[Pair]) -> None:
        kept = [False] * len(node.items)
        added: dict[int, list[Value]] = {}
        seen = 0
        for i, j in pairs:
            if i is not None:
                seen = i + 1
                kept[i] = j is not None
            elif j is not None:
                added.setdefault(seen, []).append(new[j])
        if all(kept) and not added:
            return
        if node.flow:
            spans = [(item.start, item.end) for item in node.items]
            texts = {place: [flow(value, self.style) for value in values] for place, values in added.items()}
            self._edit_flow(spans, kept, texts)
        else:
            self._edit_block_sequence(node, kept, added)

    def _reorder(self, node: SequenceNode, new: list[Value], pairs: list[Pair]) -> None:
        """Write the items in another order: each one that stays takes its text and its comments along."""
        self.moved = True
        if node.flow:
            spans = [(item.start, item.end) for item in node.items]
            if self._has_comment(spans[0][0], spans[-1][1]):
                raise InexpressibleError
        else:
            spans = self._chunks(node)
        texts: list[str] = []
        for i, j in pairs:
            if i is not None and j is not None:
                texts.append(self._item_text(node, i, new[j], spans[i]))
            elif j is not None:
                texts.append(self._new_item_text(node, new[j], spans[-1][1]))
        if node.flow:
            self._place_in_flow(spans, texts)
        else:
            start = spans[0][0]
            before = " " * node.column if self._column(start) else ""
            if not texts[0].startswith(" " * node.column + "-" if before else ""):
                raise InexpressibleError
            self.edits.append((start, spans[-1][1], "".join(texts).removeprefix(before)))

    def _item_text(self, node: SequenceNode, index: int, new: Value, span: tuple[int, int]) -> str:
        """Return the text of an item that stays, with the edits in it made."""
        item, mark = node.items[index], len(self.edits)
        self.update(item, new, self._item_slot(node, item))
        edits = self.edits[mark:]
        del self.edits[mark:]
        start, end = span
        inner = TextEdits(self.text[:end])
        inner.edits = edits
        before = "" if node.flow or not self._column(start) else " " * node.column
        return before + inner.result()[start:]

    def _new_item_text(self, node: SequenceNode, value: Value, at: int) -> str:
        if node.flow:
            return flow(value, self.style)
        return joined(item_lines(value, node.column, self._style_before(at, node.column)))

    def _chunks(self, node: SequenceNode) -> list[tuple[int, int]]:
        """Return the lines of each item, from the comments above it to those of the next one."""
        dashes = [self._dash(node, item) for item in node.items]
        if any(self._before(dash).strip() for dash in dashes[1:]):
            raise InexpressibleError
        first = dashes[0] if self._before(dashes[0]).strip() else self._line_start(dashes[0])
        starts = [first, *(self._head_comments(self._line_start(dash), node.column) for dash in dashes[1:])]
        if node is not self.root and first == self._line_start(dashes[0]):
            starts[0] = self._head_comments(first, node.column)
        return list(zip(starts, [*starts[1:], self._line_after(node.items[-1].end)], strict=True))

    def _pairs(self, old: list[Value], new: list[Value]) -> list[Pair]:
        if self.by_position and len(old) == len(new):
            return [(index, index) for index in range(len(old))]
        return align(old, new)

    def _edit_block_sequence(self, node: SequenceNode, kept: list[bool], added: dict[int, list[Value]]) -> None:
        spans = [(self._dash(node, item), item.end) for item in node.items]
        first_inline = bool(self._before(spans[0][0]).strip())
        if first_inline and (0 in added or (not kept[0] and added)):
            raise InexpressibleError
        self._cut_lines(spans, kept, node.column, keep_head=node is self.root)
        for place, values in added.items():
            at = self._line_after(spans[place - 1][1]) if place else self._line_start(spans[0][0])
            style = self._style_before(at, node.column)
            self._insert_lines(at, [line for value in values for line in item_lines(value, node.column, style)])

    def _item_slot(self, node: SequenceNode, item: Node) -> Slot:
        return Slot("flow") if node.flow else Slot("item", node.column, self._dash(node, item) + 1)

    def _dash(self, node: SequenceNode, item: Node) -> int:
        """Return the place of the dash of an item: on its line or, with comments between, on one above."""
        if self.text[node.start] != "-":
            raise InexpressibleError
        line = self._line_start(item.start)
        while line >= 0:
            place = line + node.column
            if node.start <= place < item.start and self.text[place] == "-":
                return place
            if line <= node.start:
                break
            line = self._line_start(line - 1)
        raise InexpressibleError

    # Replacing a whole subtree

    def replace(self, node: Node, new: Value, slot: Slot) -> None:
        """Put entirely new text in the place of `node`; comments inside it are lost."""
        check(new)
        if slot.kind == "flow":
            self._replace_in_flow(node, new)
        elif slot.kind == "value":
            self._replace_value(node, new, slot)
        elif slot.kind == "item":
            self._replace_item(node, new, slot)
        else:
            self._replace_root(node, new)

    def _replace_in_flow(self, node: Node, new: Value) -> None:
        if node.start == node.end:
            if self.text[node.start - 1 : node.start] != ":":
                raise InexpressibleError
            self.edits.append((node.start, node.start, " " + flow(new, self.style)))
        else:
            self.edits.append((node.start, node.end, flow(new, self.style)))

    def _replace_root(self, node: Node, new: Value) -> None:
        column = self._column(node.start)
        style = self._style_before(self._line_after(node.end), column)
        lines = block(new, column, style) if is_block(new) else inline(new, column, style)
        text = flow(new, style) if style.json_text else "\n".join(lines)[column if is_block(new) else 0 :]
        self.edits.append((node.start, node.end, text))

    def _replace_value(self, node: Node, new: Value, slot: Slot) -> None:
        style = self._style_before(self._line_after(node.end), slot.column)
        first, *rest = (
            ["", *block(new, child_column(new, slot.column, style), style)]
            if is_block(new)
            else inline(new, slot.column, style)
        )
        if first:
            first = " " + first
        if node.start > self._line_end(slot.start):
            # The old value has lines of its own below the key; a comment after the key stays.
            self.edits.append((slot.start, slot.start, first))
            self.edits.append((self._line_after(slot.start), self._line_after(node.end), joined(rest)))
        elif rest:
            tail = self._header_comment(node) or self._tail(node.end)
            self.edits.append((slot.start, self._line_after(node.end), first + tail + "\n" + joined(rest)))
        else:
            self.edits.append((slot.start, node.end, first + self._header_comment(node)))

    def _replace_item(self, node: Node, new: Value, slot: Slot) -> None:
        lines = item_lines(new, slot.column, self._style_before(self._line_after(node.end), slot.column))
        header_comment = self._header_comment(node)
        tail = header_comment or self._tail(node.end)
        if len(lines) > 1 and tail:
            if is_block(new):
                lines = [" " * (slot.column + 1), " " * (slot.column + 2) + lines[0][slot.column + 2 :], *lines[1:]]
            lines[0] += tail
            self.edits.append((slot.start, self._line_end(node.end), "\n".join(lines)[slot.column + 1 :]))
        else:
            self.edits.append((slot.start, node.end, "\n".join(lines)[slot.column + 1 :] + header_comment))

    def _header_comment(self, node: Node) -> str:
        """Return the comment behind the header of a block scalar, with the blanks before it; else nothing."""
        header = (
            _BLOCK_HEADER.match(self.text, node.start)
            if isinstance(node, ScalarNode) and node.style in _BLOCK
            else None
        )
        return self._tail(header.end()) if header else ""

    def _style_before(self, place: int, column: int) -> Style:
        """Return the document's style, without the block scalars that would swallow the lines at `place`."""
        following = _NOT_BLANK.search(self.text, place)
        at = following.start() if following else len(self.text)
        if at < len(self.text) and self.text[at] == "#" and self._column(at) > column:
            return replace(self.style, literals=())
        return replace(self.style, literals=("|", "|-")) if "\n" in self.text[place:at] else self.style


def _is_json(root: Node) -> bool:
    if isinstance(root, MappingNode) and root.flow:
        return not root.entries or root.entries[0][0].style == '"'
    return False


def _has_wide_lists(text: str, root: Node) -> bool:
    """Return whether the first list below a key stands right of that key (`seqindent: wide` in kpt's words)."""
    stack = [root]
    while stack:
        node = stack.pop()
        if isinstance(node, SequenceNode):
            stack += reversed(node.items)
        elif isinstance(node, MappingNode) and not node.flow:
            for _, value in node.entries:
                if isinstance(value, SequenceNode) and not value.flow and text[value.start] == "-":
                    return value.column > node.column
            stack += reversed([value for _, value in node.entries])
    return False
