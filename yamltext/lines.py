"""Edits of YAML text by lines and places, independent of the values there."""

import re
from bisect import bisect_left
from collections.abc import Iterable
from functools import cached_property

_NOT_BLANK = re.compile(r"\S")
_COMMENT = re.compile(r"\s#")
_BREAKS = ("\n", "\x85", "\u2028", "\u2029")
"""Line ends in YAML."""
_BREAK = re.compile("[\n\x85\u2028\u2029]")
_COMMENT_LINE = re.compile(r"( *)#")


class InexpressibleError(Exception):
    """The text has no place for this edit; replace a larger part."""


class TextEdits:
    """A text, and the edits to make in it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.edits: list[tuple[int, int, str]] = []

    def result(self) -> str:
        """Return the text with all edits made.

        Raises:
            InexpressibleError: Two edits overlap.
        """
        parts: list[str] = []
        cursor = 0
        # The sort is stable: insertions at one place stay in the order of their requests, inner before outer.
        for start, end, replacement in sorted(self.edits, key=lambda edit: (edit[0], edit[1] > edit[0])):
            if start < cursor:
                raise InexpressibleError
            parts += (self.text[cursor:start], replacement)
            cursor = end
        return "".join([*parts, self.text[cursor:]])

    # Entries of mappings and sequences

    def _cut_lines(self, spans: list[tuple[int, int]], kept: list[bool], column: int, *, keep_head: bool) -> None:
        """Remove the lines of the entries that are not kept, with the comment lines right above them."""
        index = 0
        while index < len(spans):
            if kept[index]:
                index += 1
                continue
            last = index
            while last + 1 < len(spans) and not kept[last + 1]:
                last += 1
            self._cut_run(spans[index][0], spans[last][1], column, keep_comments=keep_head and index == 0)
            index = last + 1

    def _cut_run(self, start: int, end: int, column: int, *, keep_comments: bool) -> None:
        after = self._line_after(end)
        if self._before(start).strip():
            # The first entry shares its line with a dash: the text after it moves up to the dash.
            following = _NOT_BLANK.search(self.text, after)
            self.edits.append((start, following.start() if following else after, ""))
            return
        line = self._line_start(start)
        if not keep_comments:
            line = self._head_comments(line, column)
        self.edits.append((line, after, ""))

    def _head_comments(self, line: int, column: int) -> int:
        """Return the start of the block of comment lines right above a line, at the same column."""
        while line > 0:
            above = self._line_start(line - 1)
            comment = _COMMENT_LINE.match(self.text, above)
            if comment is None or len(comment[1]) != column:
                break
            line = above
        return line

    def _edit_flow(self, spans: list[tuple[int, int]], kept: list[bool], added: dict[int, list[str]]) -> None:
        """Remove and add entries between brackets."""
        if not all(kept):
            if any(added.values()) or self._has_comment(spans[0][0], spans[-1][1]):
                raise InexpressibleError
            self._cut_flow(spans, kept)
        for place, texts in added.items():
            if texts and place < len(spans):
                at = spans[place][0]
                self.edits.append((at, at, "".join(text + self._separator(spans) for text in texts)))
            elif texts:
                at = spans[-1][1]
                self.edits.append((at, at, "".join(self._separator(spans) + text for text in texts)))

    def _cut_flow(self, spans: list[tuple[int, int]], kept: list[bool]) -> None:
        last = max(index for index, keep in enumerate(kept) if keep)
        for index in range(last):
            if not kept[index]:
                self.edits.append((spans[index][0], spans[index + 1][0], ""))
        if last + 1 < len(spans):
            self.edits.append((spans[last][1], spans[-1][1], ""))

    def _place_in_flow(self, spans: list[tuple[int, int]], texts: list[str]) -> None:
        """Put texts in the places of the entries between brackets, from the first one on."""
        for (start, end), text in zip(spans, texts, strict=False):
            if self.text[start:end] != text:
                self.edits.append((start, end, text))
        last = min(len(spans), len(texts)) - 1
        if len(texts) > len(spans):
            at = spans[last][1]
            self.edits.append((at, at, "".join(self._separator(spans) + text for text in texts[len(spans) :])))
        elif last + 1 < len(spans):
            self.edits.append((spans[last][1], spans[-1][1], ""))

    def _separator(self, spans: list[tuple[int, int]]) -> str:
        """Return the text between two entries: a line break with indentation if the last two are separated so."""
        before = self._before(spans[-1][0])
        return ", " if before.strip() else ",\n" + before

    def _has_comment(self, start: int, end: int) -> bool:
        return _COMMENT.search(self.text, start, end) is not None

    # Places

    def _insert_lines(self, at: int, lines: list[str]) -> None:
        if lines:
            self.edits.append((at, at, joined(lines)))

    def _tail(self, place: int) -> str:
        """Return the comment that follows on the same line, with the blanks before it."""
        return "" if place and self.text[place - 1] in _BREAKS else self.text[place : self._line_end(place)].rstrip()

    @cached_property
    def _breaks(self) -> list[int]:
        """The places where lines end. Found once: a search from each place would take time with the line's length."""
        return [found.start() for found in _BREAK.finditer(self.text)]

    def _line_start(self, place: int) -> int:
        before = bisect_left(self._breaks, place)
        return self._breaks[before - 1] + 1 if before else 0

    def _line_end(self, place: int) -> int:
        before = bisect_left(self._breaks, place)
        return self._breaks[before] if before < len(self._breaks) else len(self.text)

    def _line_after(self, place: int) -> int:
        """Return the start of the line below; a place at the start of a line after a block scalar is already there."""
        if place and self.text[place - 1] in _BREAKS:
            return place
        return min(self._line_end(place) + 1, len(self.text))

    def _before(self, place: int) -> str:
        return self.text[self._line_start(place) : place]

    def _column(self, place: int) -> int:
        return place - self._line_start(place)


def replaced(text: str, edits: Iterable[tuple[int, int, str]]) -> str:
    """Return the text with some stretches of it replaced; they do not overlap.

    Args:
        text: The text to change.
        edits: Start, end and replacement.
    """
    parts: list[str] = []
    cursor = 0
    for start, end, new in sorted(edits):
        parts += (text[cursor:start], new)
        cursor = end
    return "".join([*parts, text[cursor:]])


def joined(lines: list[str]) -> str:
    """Return lines as a text in which each one ends."""
    return "".join(line + "\n" for line in lines)
