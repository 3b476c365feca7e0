"""YAML text to a tree that knows the place and the value of each node.

Built from libyaml's events in one loop without recursion, unless the document is of the plain kind that needs no
events: a hostile document can exhaust neither the stack nor, through aliases, the memory. Aliases are nodes of their
own, because an edit needs the place of the alias and not of its anchor.
"""

import re
from typing import Any

import yaml
from yaml.cyaml import CParser  # type: ignore[attr-defined]  # the stubs leave out the base class of its loaders

from porchflow.api.limits import YAML_DEPTH, YAML_DIRECTIVES, YAML_EXPANDED_NODES, YAML_NODES
from porchflow.yamltext.plain import compose_plain
from porchflow.yamltext.quoting import shown
from porchflow.yamltext.scalars import resolve_plain, resolve_tagged
from porchflow.yamltext.syntax_errors import above, character_error, line_at, marked_error
from porchflow.yamltext.tree import AliasNode, MappingNode, Node, ScalarNode, SequenceNode, Value
from porchflow.yamltext.yaml_error import YamlError

__all__ = ["AliasNode", "MappingNode", "Node", "ScalarNode", "SequenceNode", "Value", "compose"]


def compose(text: str) -> Node | None:
    """Parse one document.

    Returns:
        The root node; None when the text has only blanks and comments.

    Raises:
        YamlError: Not YAML, several documents, a duplicate key, a key that is not a scalar, or more of anything than
            `porchflow.api.limits` allows.
    """
    plain = compose_plain(text)
    return compose_events(text) if plain is None else plain


def compose_events(text: str) -> Node | None:
    """Parse one document of any kind; see `compose`."""
    _check_directives(text)
    builder = _Builder(text)
    try:
        parser = CParser(text)
        while (event := parser.get_event()) is not None:
            handler = builder.handlers.get(type(event))
            if handler:
                handler(event)
    except yaml.MarkedYAMLError as error:
        raise marked_error(text, error) from None
    except yaml.reader.ReaderError as error:
        raise character_error(text, error) from None
    return builder.root


def _check_directives(text: str) -> None:
    """Refuse too many directives: libyaml compares each tag, and each directive, with all of them."""
    if "%" not in text:
        return
    found = 0
    for match in _HEAD_LINE.finditer(text):
        found += match[0].startswith("%")
        if found > YAML_DIRECTIVES:
            raise YamlError(f"more than {YAML_DIRECTIVES} directives (the limit)", line_at(text, match.start()))
        if not match[0].startswith(("%", "#")) and match[0].strip():
            return


_HEAD_LINE = re.compile(r"[^\n]*(?:\n|\Z)")

_Event = Any
"""A libyaml event; the stubs give their shared attributes to some classes only."""


class _Builder:
    """Consumes events; keeps the open collections on a stack of its own.

    The hottest code of a rendering: it runs for every scalar of every document, several times.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.root: Node | None = None
        self.top: MappingNode | SequenceNode | None = None
        """The innermost open collection."""
        self.key: ScalarNode | None = None
        """The key in `top` that waits for its value."""
        self.stack: list[tuple[MappingNode | SequenceNode | None, str | None, int]] = []
        self.anchors: dict[str, Node] = {}
        self.sizes: dict[int, int] = {}
        self.nodes = 0
        self.expanded = 0
        self.handlers: dict[type, Any] = {
            yaml.ScalarEvent: self.scalar,
            yaml.AliasEvent: self.alias,
            yaml.MappingStartEvent: self.mapping,
            yaml.SequenceStartEvent: self.sequence,
            yaml.MappingEndEvent: self.close,
            yaml.SequenceEndEvent: self.close,
            yaml.DocumentStartEvent: self.document,
        }

    def document(self, event: _Event) -> None:
        if self.root is not None:
            raise YamlError("a second document begins here, expected one", self.line(event))

    def scalar(self, event: _Event) -> None:
        self.nodes += 1
        if self.nodes > YAML_NODES:
            raise self.too_many(event)
        raw, style, mark = event.value, event.style or "", event.start_mark
        end = event.end_mark.index
        if style in _BLOCK_STYLES:
            end = _block_end(self.text, mark.index, end)
        if event.tag is not None and event.tag != "!":
            value = resolve_tagged(event.tag, raw)
        else:
            value = resolve_plain(raw) if event.implicit[0] else raw
        node = ScalarNode(mark.index, end, raw, style, value)
        if event.anchor:
            self.anchors[event.anchor] = node
            self.sizes[id(node)] = 1
        top = self.top
        if self.key is None and type(top) is MappingNode:
            if not top.entries:
                top.column = mark.column
            self.key = node
        else:
            self.attach(node, event)

    def alias(self, event: _Event) -> None:
        target = self.anchors.get(event.anchor)
        if target is None:
            reason = f"alias *{shown(event.anchor)} has no anchor before it: quote a text that begins with *"
            raise YamlError(reason, self.line(event))
        size = self.sizes.get(id(target))
        if size is None:
            raise YamlError(f"alias *{shown(event.anchor)} stands inside its own anchor", self.line(event))
        self.expanded += size
        if self.expanded > YAML_EXPANDED_NODES:
            reason = f"aliases expand to more than {YAML_EXPANDED_NODES:,} nodes (the limit): use fewer of them"
            raise YamlError(reason, self.line(event))
        self.nodes += size
        self.attach(AliasNode(event.start_mark.index, event.end_mark.index, target), event)

    def mapping(self, event: _Event) -> None:
        self.open(MappingNode(event.start_mark.index, flow=bool(event.flow_style)), event)

    def sequence(self, event: _Event) -> None:
        mark = event.start_mark
        self.open(SequenceNode(mark.index, mark.column, flow=bool(event.flow_style)), event)

    def line(self, event: _Event) -> int:
        return line_at(self.text, event.start_mark.index)

    def too_many(self, event: _Event) -> YamlError:
        return YamlError(f"more than {YAML_NODES:,} nodes (the limit): split the document", self.line(event))

    def open(self, node: MappingNode | SequenceNode, event: _Event) -> None:
        if len(self.stack) >= YAML_DEPTH:
            raise YamlError(f"nested deeper than {YAML_DEPTH} levels (the limit)", self.line(event))
        if event.anchor:
            self.anchors[event.anchor] = node
        self.attach(node, event)
        self.stack.append((self.top, event.anchor, self.nodes))
        self.nodes += 1
        if self.nodes > YAML_NODES:
            raise self.too_many(event)
        self.top = node

    def close(self, event: _Event) -> None:
        node = self.top
        self.top, anchor, before = self.stack.pop()
        if isinstance(node, MappingNode):
            node.end = event.end_mark.index if node.flow or not node.entries else node.entries[-1][1].end
            if node.merged:
                _merge(node, self.text)
        elif node is not None:
            node.end = event.end_mark.index if node.flow or not node.items else node.items[-1].end
        if anchor:
            self.sizes[id(node)] = self.nodes - before

    def attach(self, node: Node, event: _Event) -> None:
        """Put a node where the innermost open collection expects one."""
        top = self.top
        if top is None:
            self.root = node
        elif isinstance(top, SequenceNode):
            top.items.append(node)
            top.value.append(node.value)
        elif self.key is None:
            reason = "a mapping key must be a scalar: quote a template such as '{{ x }}'"
            raise YamlError(reason, self.line(event))
        else:
            key, self.key = self.key, None
            top.entries.append((key, node))
            self.assign(top, key, node)

    def assign(self, parent: MappingNode, key: ScalarNode, node: Node) -> None:
        name = key.raw
        if name == "<<" and not key.style:
            parent.merged = True
        elif name in parent.value:
            line = line_at(self.text, key.start)
            first = next(line_at(self.text, other.start) for other, _ in parent.entries if other.raw == name)
            reason = f'key "{shown(name)}" appears twice in one mapping, first {above(line - first)}: keep one of them'
            raise YamlError(reason, line)
        else:
            parent.value[name] = node.value


_BLOCK_STYLES = ("|", ">")


def _merge(node: MappingNode, text: str) -> None:
    """Add the entries of `<<`; the mapping's own keys win, then earlier sources."""
    for key, source in node.entries:
        if key.raw != "<<" or key.style:
            continue
        values = source.value if isinstance(source.value, list) else [source.value]
        for value in values:
            if not isinstance(value, dict):
                raise YamlError("`<<` must name a mapping or a list of mappings", line_at(text, key.start))
            for name, item in value.items():
                node.value.setdefault(name, item)


def _block_end(text: str, start: int, end: int) -> int:
    """Return the end of a block scalar: after its last line of text, or with `+` after its blank lines too."""
    header = text[start : text.find("\n", start) + 1 or end]
    if "+" in header.partition("#")[0]:
        return end
    return start + len(text[start:end].rstrip("\r\n"))
