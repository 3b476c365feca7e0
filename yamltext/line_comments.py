"""Comments at the ends of lines: the value that each belongs to, and taking over those that a function wrote."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from porchflow.yamltext.document import Document, same
from porchflow.yamltext.lines import replaced
from porchflow.yamltext.nodes import MappingNode, Node, ScalarNode, SequenceNode
from porchflow.yamltext.yaml_error import YamlError

_COLON = re.compile(r"[ \t]*:")
_REST = re.compile(r"(?P<blank>[ \t]*)(?P<comment>#[^\r\n]*)?(?=\r?\n|\Z)")
_HEADER = re.compile(r"[|>][-+0-9]*")

Path = tuple[str | int, ...]
"""Keys and indices that lead to a value."""


class LineComment(NamedTuple):
    """The comment after a value on its line, or after the key of a value that has lines of its own."""

    start: int
    end: int
    text: str
    """The comment from its `#`; empty for none."""


def line_comments(document: Document) -> dict[Path, LineComment]:
    """Return the places for comments of a document, with the comments that exist."""
    found = {}
    if document.root is not None:
        for path, place in _places(document.text, document.root, ()):
            match = _REST.match(document.text, place)
            if match is not None:
                found[path] = LineComment(match.start(), match.end(), (match["comment"] or "").rstrip())
    return found


def entry_comment(text: str, key: ScalarNode, value: Node) -> LineComment | None:
    """Return the place for the comment of one entry of a block mapping."""
    colon = _COLON.match(text, key.end)
    return _comment_at(text, _behind(text, value) or (colon.end() if colon else 0))


def item_comment(text: str, item: Node) -> LineComment | None:
    """Return the place for the comment of one item of a block list; a collection with lines of its own has none."""
    return _comment_at(text, _behind(text, item))


def _comment_at(text: str, place: int) -> LineComment | None:
    match = _REST.match(text, place) if place else None
    return LineComment(match.start(), match.end(), (match["comment"] or "").rstrip()) if match is not None else None


def _places(text: str, node: Node, path: Path) -> Iterator[tuple[Path, int]]:
    """Yield for each value outside of brackets the place where its comment begins."""
    if isinstance(node, MappingNode) and not node.flow:
        for key, value in node.entries:
            colon = _COLON.match(text, key.end)
            own = (*path, key.raw)
            place = _behind(text, value) or (colon.end() if colon else 0)
            if place:
                yield own, place
            yield from _places(text, value, own)
    elif isinstance(node, SequenceNode) and not node.flow:
        for index, item in enumerate(node.items):
            place = _behind(text, item)
            if place:
                yield (*path, index), place
            yield from _places(text, item, (*path, index))


def _behind(text: str, node: Node) -> int:
    """Return the place behind a value that ends on its own line; 0 for a block collection."""
    if isinstance(node, ScalarNode) and node.style in ("|", ">"):
        header = _HEADER.match(text, node.start)
        return header.end() if header else 0
    return 0 if isinstance(node, MappingNode | SequenceNode) and not node.flow else node.end


def adopt(document: Document, answer: Document) -> Document:
    """Return the document with the line comments of another one with the same value.

    Comments that the other one lacks stay: functions in other languages often lose them unintentionally.
    """
    if "#" not in answer.text:
        return document
    ours = line_comments(document)
    edits = []
    for path, theirs in line_comments(answer).items():
        place = ours.get(path)
        if theirs.text and place is not None and place.text != theirs.text:
            edits.append((place.start, place.end, f" {theirs.text}"))
    return _proven(replaced(document.text, edits), document) if edits else document


def _proven(text: str, document: Document) -> Document:
    try:
        changed = Document(text)
    except YamlError:
        return document
    return changed if same(changed.value, document.value) else document
