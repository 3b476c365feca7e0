"""Comments on lines of their own, by the entry or item that follows them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cached_property
from typing import Final

from porchflow.yamltext.lines import TextEdits
from porchflow.yamltext.nodes import MappingNode, Node, SequenceNode

_BLANK_OR_COMMENT: Final = re.compile(r"(?:[ \t\r]*(?:#[^\n]*)?(?:\n|\Z))*")
Owner = tuple[str, int]
"""`key` or `item` and the start of the key or of the item's value; or `END`."""

END: Final = ("end", 0)
"""Owns the lines behind the last entry."""


@dataclass(frozen=True)
class OwnLines:
    """The blank lines and comments between an entry and what is before it.

    Attributes:
        text: Of the document.
        start: Of the first line.
        end: Behind the last line.
        column: Of the entry.
    """

    text: str
    start: int
    end: int
    column: int

    @cached_property
    def lines(self) -> tuple[str, ...]:
        """The lines without line ends."""
        return tuple(self.text[self.start : self.end].splitlines())

    @cached_property
    def comments(self) -> tuple[str, ...]:
        """The comments, without their indentation."""
        return tuple(line.strip() for line in self.lines if line.strip())

    @property
    def places(self) -> Iterator[tuple[str, int, int]]:
        """The comments with the places of their lines: start without indentation, and end without the line end."""
        start = self.start
        for line in self.text[self.start : self.end].splitlines(keepends=True):
            if line.strip():
                yield line.strip(), start + len(line) - len(line.lstrip()), start + len(line.rstrip("\r\n"))
            start += len(line)

    def only(self, comments: Sequence[str]) -> tuple[int, int, str]:
        """Return the edit that adds comments right above the entry."""
        return self.end, self.end, self._joined([" " * self.column + comment for comment in comments])

    def like(self, other: "OwnLines") -> tuple[int, int, str]:
        """Return the edit that makes the comments those of another side; blank lines around them stay."""
        theirs = [self._indented(line, other.column) for line in other.lines]
        if not self.lines or not other.lines:
            return self.start, self.end, self._joined(theirs)
        first, last = _span(self.lines)
        from_them, to_them = _span(other.lines)
        own = self.text[self.start : self.end].splitlines(keepends=True)
        new = self._joined(theirs[from_them:to_them])
        return self.start, self.end, "".join([*own[:first], new, *own[last:]])

    def _indented(self, line: str, column: int) -> str:
        comment = line.strip()
        if not comment:
            return ""
        return " " * max(len(line) - len(line.lstrip()) - column + self.column, 0) + comment

    def _joined(self, lines: Sequence[str]) -> str:
        newline = "\r\n" if "\r\n" in self.text else "\n"
        before = newline if lines and self.start and not self.text[: self.start].endswith("\n") else ""
        return before + "".join(line + newline for line in lines)


def line_edits(
    text: str, places: Mapping[str, tuple[int, int]], before: Sequence[str], after: Sequence[str]
) -> Iterator[tuple[int, int, str]]:
    """Yield the edits that change comments where their lines stand, which need not be one below the other.

    Args:
        text: Of the document.
        places: Start and end of each comment, as in `OwnLines.places`.
        before: The comments, one at least.
        after: What becomes of them.
    """
    for kind, first, last, begin, end in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        new = list(after[begin:end])
        if kind == "insert":
            yield _inserted(text, places[before[max(first - 1, 0)]], new, behind=first > 0)
        elif kind != "equal":
            for number, line in enumerate(before[first:last]):
                is_last = number == last - first - 1
                yield _put(text, places[line], new[number:] if is_last else new[number : number + 1])


def _inserted(text: str, place: tuple[int, int], new: Sequence[str], *, behind: bool) -> tuple[int, int, str]:
    between = _between(text, place[0])
    if behind:
        return place[1], place[1], "".join(between + line for line in new)
    return place[0], place[0], "".join(line + between for line in new)


def _put(text: str, place: tuple[int, int], new: Sequence[str]) -> tuple[int, int, str]:
    start, end = place
    if new:
        return start, end, _between(text, start).join(new)
    return text.rfind("\n", 0, start) + 1, text.find("\n", end) + 1 or len(text), ""


def _between(text: str, start: int) -> str:
    """Return what separates the comment that starts here from another one below it."""
    newline = "\r\n" if "\r\n" in text else "\n"
    return newline + text[text.rfind("\n", 0, start) + 1 : start]


def _span(lines: Sequence[str]) -> tuple[int, int]:
    """Return the first and the last but one line with a comment; for none the place behind blank lines."""
    found = [index for index, line in enumerate(lines) if line.strip()]
    return (found[0], found[-1] + 1) if found else (len(lines), len(lines))


def own_lines(text: str, root: Node | None) -> dict[Owner, OwnLines]:
    """Return the lines above each entry and item that begins a line, and those at the end."""
    if root is None:
        return {}
    places = _Places(text)
    found: dict[Owner, OwnLines] = {}
    for owner, start, end, column in places.walk(root):
        if _BLANK_OR_COMMENT.fullmatch(text, start, end):
            found[owner] = OwnLines(text, start, end, column)
    return found


class _Places(TextEdits):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.last = 0

    def walk(self, root: Node) -> Iterator[tuple[Owner, int, int, int]]:
        """Yield each entry and item that begins a line: owner, first line above it, its line, its column."""
        yield from self._below(root)
        yield END, self._above(), len(self.text), 0

    def _above(self) -> int:
        return self._line_after(self.last) if self.last else 0

    def _below(self, node: Node) -> Iterator[tuple[Owner, int, int, int]]:
        if isinstance(node, MappingNode) and not node.flow:
            for key, value in node.entries:
                yield from self._at(("key", key.start), key.start)
                self.last = key.end
                yield from self._below(value)
        elif isinstance(node, SequenceNode) and not node.flow:
            for item in node.items:
                dash = self._dash_of(node, item)
                yield from self._at(("item", item.start), dash)
                self.last = max(self.last, dash + 1)
                yield from self._below(item)
        else:
            self.last = max(self.last, node.end)

    def _at(self, owner: Owner, place: int) -> Iterator[tuple[Owner, int, int, int]]:
        line = self._line_start(place)
        if self._above() <= line and not self._before(place).strip():
            yield owner, self._above(), line, place - line

    def _dash_of(self, node: SequenceNode, item: Node) -> int:
        """Return the place of the dash of an item: on its line or, with comments between, on one above."""
        line = self._line_start(item.start)
        while line > self.last and self.text[line + node.column : line + node.column + 1] != "-":
            line = self._line_start(line - 1)
        return line + node.column
