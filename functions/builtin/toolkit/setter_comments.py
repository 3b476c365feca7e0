"""Comments at the ends of lines: reads the comment after a value of a document, and writes another."""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from porchflow.yamltext.document import Document
from porchflow.yamltext.edit import Editor
from porchflow.yamltext.emit import Style, block, child_column, is_block
from porchflow.yamltext.lines import replaced
from porchflow.yamltext.nodes import MappingNode, Node, ScalarNode, SequenceNode, Value

Path = tuple[str | int, ...]
"""Keys and indices from the root of a document."""

_COLON = re.compile(r"[ \t]*:")
_BLOCK = ("|", ">")


class Field(NamedTuple):
    """A scalar or list of a document, with the key before it; None for elements of lists."""

    path: Path
    key: ScalarNode | None
    node: ScalarNode | SequenceNode


def takes_comments(root: Node | None) -> bool:
    """Return whether comments can be put into a document: one that is all in brackets is JSON, which has none."""
    return isinstance(root, MappingNode | SequenceNode) and not root.flow


def fields(root: Node | None) -> Iterator[Field]:
    """Yield every list of a key and every scalar; of one mapping first the lists, then the contents of each entry."""
    if root is not None:
        yield from _fields(root, (), None)


def _fields(node: Node, path: Path, key: ScalarNode | None) -> Iterator[Field]:
    if isinstance(node, ScalarNode):
        yield Field(path, key, node)
    elif isinstance(node, SequenceNode):
        for index, item in enumerate(node.items):
            yield from _fields(item, (*path, index), None)
    elif isinstance(node, MappingNode):
        entries = [(name, value) for name, value in node.entries if not (name.raw == "<<" and node.merged)]
        for name, value in entries:
            if isinstance(value, SequenceNode):
                yield Field((*path, name.raw), name, value)
        for name, value in entries:
            yield from _fields(value, (*path, name.raw), name)


def shown(path: Path) -> str:
    """Return a path in the form of results: `spec.list[0].name`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).removeprefix(".")


def assign(value: Value, changes: Mapping[Path, Value]) -> Value:
    """Return a copy of a value with the values at some paths replaced; the same object if there are none."""
    if () in changes:
        return changes[()]
    # All changes below a step at once: one by one each would copy all that stands beside it.
    below: dict[str | int, dict[Path, Value]] = {}
    for path, new in changes.items():
        below.setdefault(path[0], {})[path[1:]] = new
    if not below:
        return value
    if isinstance(value, list):
        return [assign(element, below.get(index, {})) for index, element in enumerate(value)]
    return {**value, **{step: assign(value[step], inner) for step, inner in below.items()}}


def comment_of(text: str, field: Field) -> str:
    """Return the comment of a field from its `#` on, with one space at its end; empty if there is none.

    A list has it after its key, or after its brackets; a literal block after its header.
    """
    place = _place(text, field)
    end = text.find("\n", place)
    rest = text[place : end if end >= 0 else len(text)]
    comment = rest.lstrip(" \t")
    return comment.rstrip() + " " if comment.startswith("#") and comment != rest else ""


def _place(text: str, field: Field) -> int:
    """Return where the comment of a field begins, or would."""
    node = field.node
    if isinstance(node, ScalarNode):
        if node.style not in _BLOCK:
            return node.end
        end = text.find("\n", node.start)
        header = text[node.start : end if end >= 0 else len(text)]
        return node.start + len(header.partition(" #")[0].rstrip())
    colon = _COLON.match(text, field.key.end) if field.key is not None else None
    return node.end if node.flow or colon is None else colon.end()


def put_comments(text: str, comments: Mapping[Path, str]) -> str:
    """Return the text of a document with comments after some of its fields, in place of the old ones.

    Collections in brackets that have such a field inside are written in lines first, because there is no place for a
    comment between brackets.

    Args:
        text: One document, which takes comments.
        comments: By path, without the `# `.
    """
    document = Document(_in_lines(Document(text), set(comments)))
    edits: list[tuple[int, int, str]] = []
    for field in fields(document.root):
        comment = comments.get(field.path)
        if comment is not None:
            edits += _edit(document.text, field, f" # {comment}")
    return replaced(document.text, edits)


def _edit(text: str, field: Field, comment: str) -> list[tuple[int, int, str]]:
    place = _place(text, field)
    end = text.find("\n", place)
    end = len(text) if end < 0 else end
    rest = text[place:end].strip()
    return [(place, end, comment)] if not rest or rest.startswith("#") else []


def _in_lines(document: Document, wanted: set[Path]) -> str:
    """Return the text with every collection in brackets that has a wanted path below it written in lines."""
    root = document.root
    if not isinstance(root, MappingNode | SequenceNode) or root.flow:
        return document.text
    style = Editor(document.text, root).style
    above = {path[:length] for path in wanted for length in range(len(path))}
    edits = [_unfolded(document.text, entry, style) for entry in _outermost(root, (), above)]
    return replaced(document.text, edits)


class _Brackets(NamedTuple):
    """A collection in brackets, below a key (None: a dash) at a column."""

    node: MappingNode | SequenceNode
    key: ScalarNode | None
    column: int


def _outermost(node: Node, path: Path, above: set[Path]) -> Iterator[_Brackets]:
    if isinstance(node, MappingNode):
        children: list[tuple[str | int, ScalarNode | None, Node]] = [
            (key.raw, key, value) for key, value in node.entries
        ]
    elif isinstance(node, SequenceNode):
        children = [(index, None, item) for index, item in enumerate(node.items)]
    else:
        return
    for step, key, child in children:
        below = (*path, step)
        if isinstance(child, MappingNode | SequenceNode) and child.flow:
            if below in above:
                yield _Brackets(child, key, node.column)
        else:
            yield from _outermost(child, below, above)


def _unfolded(text: str, entry: _Brackets, style: Style) -> tuple[int, int, str]:
    node, value = entry.node, entry.node.value
    end = text.find("\n", node.end)
    end = len(text) if end < 0 else end
    comment = text[node.end : end].strip()
    colon = _COLON.match(text, entry.key.end) if entry.key is not None else None
    if not is_block(value) or (comment and not comment.startswith("#")):
        return node.start, node.start, ""
    if colon is None:
        lines = block(value, entry.column + 2, style)
        first = lines[0].lstrip() + (f" {comment}" if comment else "")
        return node.start, end, "\n".join([first, *lines[1:]])
    lines = block(value, child_column(value, entry.column, style), style)
    return colon.end(), end, "\n".join([f" {comment}" if comment else "", *lines])
