"""The tree of a YAML document: the place and the value of each node."""

from typing import Any

from porchflow.yamltext.scalars import Scalar

Value = Any
"""The value of a document: dict with string keys, list, or scalar. Shared between readers, so never changed in place.
"""


class ScalarNode:
    """A scalar; `style` is the quote or block indicator, empty when plain."""

    __slots__ = ("end", "raw", "start", "style", "value")

    def __init__(self, start: int, end: int, raw: str, style: str, value: Scalar) -> None:
        self.start, self.end, self.raw, self.style, self.value = start, end, raw, style, value


class AliasNode:
    """A `*name`; its value is that of the anchored node."""

    __slots__ = ("end", "start", "target", "value")

    def __init__(self, start: int, end: int, target: "Node") -> None:
        self.start, self.end, self.target = start, end, target
        self.value: Value = target.value


class MappingNode:
    """A mapping; `column` is that of its keys, `merged` is set where `<<` contributes to its value."""

    __slots__ = ("column", "end", "entries", "flow", "merged", "start", "value")

    def __init__(self, start: int, *, flow: bool) -> None:
        self.start, self.end, self.flow, self.merged, self.column = start, start, flow, False, 0
        self.entries: list[tuple[ScalarNode, Node]] = []
        self.value: dict[str, Value] = {}


class SequenceNode:
    """A list; `column` is that of its dashes."""

    __slots__ = ("column", "end", "flow", "items", "start", "value")

    def __init__(self, start: int, column: int, *, flow: bool) -> None:
        self.start, self.end, self.flow, self.column = start, start, flow, column
        self.items: list[Node] = []
        self.value: list[Value] = []


Node = ScalarNode | AliasNode | MappingNode | SequenceNode
