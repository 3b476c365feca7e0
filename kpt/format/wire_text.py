"""The annotations of the wire in a document's text: added and removed as lines where the layout allows it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from porchflow.kpt.format.krm import map_of
from porchflow.kpt.format.resource_list import body_span, item_text
from porchflow.yamltext.document import Document, dump
from porchflow.yamltext.nodes import MappingNode, Node

_SIMPLE = re.compile(r"[\x20-\x7e]*")


@dataclass(frozen=True)
class Annotated:
    """A document with the annotations of the wire.

    Attributes:
        text: The document's own lines with the annotations.
        lines: The added lines; None if the annotations could not be added as lines of their own.
        column: Column of the mapping with the added lines; see `without_lines`.
        head: The document's text before its own lines.
        tail: The text after them.
    """

    text: str
    lines: str | None
    column: int
    head: str
    tail: str

    def without_lines(self, answer: str) -> str | None:
        """Return the text of the whole document for an item of an answer, without the added lines.

        Args:
            answer: Text of the item.

        Returns:
            None in three cases: the lines are not there exactly as sent; text follows them that would belong to another
            mapping without them; or the text after the document might become part of its last value.
        """
        if self.lines is None or answer.count(self.lines) != 1 or self.tail[:1].isspace():
            return None
        before, _, behind = answer.partition(self.lines)
        following = behind.lstrip("\n")
        if len(following) - len(following.lstrip(" ")) > self.column:
            return None
        return self.head + before + behind + self.tail


def annotated(document: Document, annotations: Mapping[str, str]) -> Annotated:
    """Add annotations to a document; they replace those of the same name."""
    start, end = body_span(document)
    text = document.text
    head, tail = text[:start], text[end:]
    place = _place(document, annotations)
    if place is not None:
        at, column, created = place
        pad = " " * (column + 2 if created else column)
        lines = "".join(f"{pad}{key}: '{value}'\n" for key, value in annotations.items())
        if created:
            lines = " " * column + "annotations:\n" + lines
        return Annotated(text[start:at] + lines + text[at:end], lines, column, head, tail)
    metadata = map_of(document.value, "metadata")
    merged = {**map_of(metadata, "annotations"), **annotations}
    value = {**document.value, "metadata": {**metadata, "annotations": merged}}
    edited = document.edit_text(value)
    inside = edited.startswith(head) and edited.endswith(tail)
    own = edited[start : len(edited) - len(tail)] if inside else dump(value)
    return Annotated(item_text(own), None, 0, head, tail)


def _place(document: Document, annotations: Mapping[str, str]) -> tuple[int, int, bool] | None:
    """Return where to add lines with annotations: place, column, and whether to add the key `annotations` too.

    None if they cannot be added as lines.
    """
    text = document.text
    metadata = _block(document.root, "metadata")
    if metadata is None or "\r" in text or not text.endswith("\n"):
        return None
    if not all(_SIMPLE.fullmatch(value) and "'" not in value for value in annotations.values()):
        return None
    target, created = metadata, True
    if "annotations" in metadata.value:
        present = _block(metadata, "annotations")
        if present is None or not annotations.keys().isdisjoint(present.value):
            return None
        target, created = present, False
    end = target.end
    at = end if text[end - 1] == "\n" else text.find("\n", end) + 1
    return at, target.column, created


def _block(node: Node | None, key: str) -> MappingNode | None:
    """Return the non-empty block mapping below a key of a block mapping; None for other kinds of nodes."""
    if not isinstance(node, MappingNode) or node.flow or node.merged:
        return None
    child = next((value for name, value in node.entries if name.raw == key), None)
    if not isinstance(child, MappingNode) or child.flow or child.merged or not child.entries:
        return None
    return child
