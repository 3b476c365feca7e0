"""The annotations of the wire put into a document's text and taken out again, as text where the layout allows."""

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
    """A document as it travels.

    Attributes:
        text: its own lines with the annotations.
        lines: the lines that were put in; None if the annotations could not be put in as lines of their own.
        column: of the key below which nothing may follow the lines; see `without_lines`.
        head: the document's text before its own lines.
        tail: the text behind them.
    """

    text: str
    lines: str | None
    column: int
    head: str
    tail: str

    def without_lines(self, answer: str) -> str | None:
        """The whole document that an answer stands for, with the lines of the wire taken out as text.

        Returns:
            None if they are not there exactly as they were sent, if something was added right behind them that would
            belong to another mapping without them, or if what follows the document might become part of its last value.
        """
        if self.lines is None or answer.count(self.lines) != 1 or self.tail[:1].isspace():
            return None
        before, _, behind = answer.partition(self.lines)
        following = behind.lstrip("\n")
        if len(following) - len(following.lstrip(" ")) > self.column:
            return None
        return self.head + before + behind + self.tail


def annotated(document: Document, annotations: Mapping[str, str]) -> Annotated:
    """Add annotations to a document, which get the better of those of the same name."""
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
    """Where lines with annotations go: place, column, and whether the key `annotations` comes with them."""
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
    """The non-empty block mapping below a key of another one; None if either is of any other kind."""
    if not isinstance(node, MappingNode) or node.flow or node.merged:
        return None
    child = next((value for name, value in node.entries if name.raw == key), None)
    if not isinstance(child, MappingNode) or child.flow or child.merged or not child.entries:
        return None
    return child
