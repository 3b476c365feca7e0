"""A fast reader of the YAML in which nearly all Kubernetes resources are written.

Block mappings and lists with a scalar, a quoted text, `{}` or `[]` on the line of its key: two thirds of the time of
libyaml's events. A document with anything else, or with an error, is left to those: this reader returns either the very
tree that the events would give, or none.
"""

import re

from porchflow.api.limits import YAML_DEPTH, YAML_NODES
from porchflow.yamltext.scalars import Scalar, resolve_plain
from porchflow.yamltext.tree import MappingNode, Node, ScalarNode, SequenceNode

_LINE = re.compile(r"^( *)(- +)?(?:([A-Za-z_][A-Za-z0-9_./-]{0,500}):(?: +|$))?(.*)$", re.MULTILINE)
_OTHER = re.compile(r"[^\n -~]")
_PLAIN = re.compile(r"[A-Za-z0-9_/.+~$(<^;=\\)]|-[A-Za-z0-9.]")
_QUOTED = re.compile(r"""(?:'((?:[^']|'')*)'|"([^"\\]*)")(?: +#.*| *)\Z""")
_MOST_OF_A_LINE = 4
"""Nodes that can begin on one line: a list, a mapping, a key and a value. Another step enforces the limit."""
_FIRST_OF_CONSTANTS = frozenset("nNtTfF")


class _OtherLayoutError(Exception):
    """The document has a layout that this reader does not know."""


def compose_plain(text: str) -> MappingNode | None:
    """Parse one document.

    Returns:
        The tree; None for a document with a layout that this reader does not know.
    """
    if _OTHER.search(text) or text.count("\n") * _MOST_OF_A_LINE >= YAML_NODES:
        return None
    try:
        return _Reader().read(text)
    except _OtherLayoutError:
        return None


class _Reader:
    """Reads line by line, with the open collections on a stack."""

    def __init__(self) -> None:
        self.stack: list[MappingNode | SequenceNode] = []
        self.key: ScalarNode | None = None
        """The key in the innermost mapping whose value is still to come."""

    def read(self, text: str) -> MappingNode | None:
        for match in _LINE.finditer(text):
            indent, dash, name, rest = match.groups()
            if name is not None:
                self._place(match, len(indent), dash)
                self._entry(match, name, rest)
            elif dash is not None:
                self._place(match, len(indent), dash)
                self._add(_value(match, rest))
            elif rest and rest[0] != "#":
                return None
        if self.key is not None or not self.stack:
            return None
        root = self.stack[0]
        while self.stack:
            self._close()
        return root if type(root) is MappingNode else None

    def _place(self, match: "re.Match[str]", column: int, dash: str | None) -> None:
        """Open and close collections so that the line's entry belongs to the innermost one."""
        stack = self.stack
        if not stack and (column or dash):
            raise _OtherLayoutError
        if self.key is not None or not stack:
            self._open(match.start() + column, column, in_list=dash is not None)
        else:
            while stack[-1].column > column or (stack[-1].column == column and not dash and _is_list(stack[-1])):
                self._close()
            if stack[-1].column != column or _is_list(stack[-1]) != (dash is not None):
                raise _OtherLayoutError
        if dash and match[3] is not None:
            start = match.end(2)
            self._open(start, start - match.start(), in_list=False)

    def _open(self, start: int, column: int, *, in_list: bool) -> None:
        """Begin the value of the key that waits for one, or an item of a list."""
        stack = self.stack
        node: MappingNode | SequenceNode
        if in_list:
            node = SequenceNode(start, column, flow=False)
        else:
            node = MappingNode(start, flow=False)
            node.column = column
        if stack:
            above = stack[-1].column
            if column < above or (column == above and not in_list) or len(stack) >= YAML_DEPTH:
                raise _OtherLayoutError
            self._add(node)
        stack.append(node)

    def _entry(self, match: "re.Match[str]", name: str, rest: str) -> None:
        """Begin an entry of the innermost mapping; its value may be on the same line."""
        if name in self.stack[-1].value:
            raise _OtherLayoutError
        start = match.start(3)
        meaning: Scalar = resolve_plain(name) if name[0] in _FIRST_OF_CONSTANTS else name
        self.key = ScalarNode(start, start + len(name), name, "", meaning)
        if rest and rest[0] != "#":
            self._add(_value(match, rest))

    def _add(self, node: Node) -> None:
        top = self.stack[-1]
        if type(top) is SequenceNode:
            top.items.append(node)
            top.value.append(node.value)
        elif self.key is not None and type(top) is MappingNode:
            top.entries.append((self.key, node))
            top.value[self.key.raw] = node.value
            self.key = None

    def _close(self) -> None:
        node = self.stack.pop()
        node.end = node.entries[-1][1].end if type(node) is MappingNode else node.items[-1].end  # type: ignore[union-attr]  # it is one of the two


def _is_list(node: MappingNode | SequenceNode) -> bool:
    return type(node) is SequenceNode


def _value(match: "re.Match[str]", rest: str) -> Node:
    """Return the value after a key or dash on its line."""
    start = match.start(4)
    if _PLAIN.match(rest):
        raw = rest.partition(" #")[0].rstrip(" ")
        if ": " in raw or raw[-1] == ":":
            raise _OtherLayoutError
        return ScalarNode(start, start + len(raw), raw, "", resolve_plain(raw))
    quoted = _QUOTED.match(rest)
    if quoted is not None:
        single, double = quoted.groups()
        text = single if double is None else double
        raw = text.replace("''", "'") if double is None else text
        return ScalarNode(start, start + len(text) + 2, raw, rest[0], raw)
    if rest not in ("{}", "[]"):
        raise _OtherLayoutError
    column = start - match.start()
    empty = MappingNode(start, flow=True) if rest == "{}" else SequenceNode(start, column, flow=True)
    empty.end = start + len(rest)
    return empty
