"""Regular expressions of users in RE2's syntax, as in the catalog's functions; matching takes linear time."""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

import re2

from porchflow.api.limits import PATTERN_CHARACTERS, PATTERN_MEMORY, PATTERNS_KEPT

OPTIONS = re2.Options()
OPTIONS.log_errors = False
OPTIONS.max_mem = PATTERN_MEMORY
"""Options of every pattern that is matched against foreign text."""

# Messages of RE2 in C++, and those of Go's package regexp, which users of the catalog know.
_SAID_IN_GO = {
    "missing ]": "missing closing ]",
    "missing )": "missing closing )",
    "no argument for repetition operator": "missing argument to repetition operator",
    "bad repetition operator": "invalid nested repetition operator",
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "invalid repetition size": "invalid repeat count",
    "invalid named capture group": "invalid named capture",
    "trailing \\": "trailing backslash at end of expression",
}
_INDEX = re.compile(r"[0-9]{1,4}")
_REFERENCE = re.compile(r"\$(?:\$|(?P<plain>\w+)|\{(?P<braced>\w+)\})", re.ASCII)


class PatternError(ValueError):
    """A text is no regular expression; the message says why."""


class Match:
    """A match of a pattern in a text.

    Attributes:
        span: Its first character, and the one after its last.
        text: The matched text.
        groups: The text of each group, the first group first; empty for a group that takes no part.
    """

    def __init__(self, span: tuple[int, int], text: str, groups: Sequence[str], names: dict[str, int]) -> None:
        self.span = span
        self.text = text
        self.groups = groups
        self._names = names

    def expanded(self, template: str) -> str:
        """Return a replacement with `$1`, `${1}`, `$name` and `${name}` filled in; `$$` is a dollar sign.

        As in Go, a name is as long as possible (`$1x` is the group `1x`), and a group that does not exist is empty.
        """
        return _REFERENCE.sub(lambda found: self._referred(found["plain"] or found["braced"]), template)

    def _referred(self, name: str | None) -> str:
        if name is None:
            return "$"
        index = int(name) if _INDEX.fullmatch(name) else self._names.get(name, -1)
        return self.text if index == 0 else self.groups[index - 1] if 0 < index <= len(self.groups) else ""


class Pattern:
    """A regular expression."""

    def __init__(self, text: str) -> None:
        """Compile a pattern.

        Raises:
            PatternError: The text is no regular expression, or is too large.
        """
        if len(text) > PATTERN_CHARACTERS:
            most = f"more than {PATTERN_CHARACTERS:,} characters (the limit)"
            raise PatternError(f"error parsing regexp: pattern too large: {most}")
        try:
            self._compiled = re2.compile(text, OPTIONS)
        except re2.error as error:
            raise PatternError(f"error parsing regexp: {_in_go(error)}") from None

    def search(self, text: str) -> Match | None:
        """Return the first match."""
        return next(self.matches(text), None)

    def matches(self, text: str) -> Iterator[Match]:
        """Yield all matches that do not overlap, from left to right.

        As in Go, an empty match does not follow directly on another match.
        """
        names, end = self._compiled.groupindex, -1
        for found in self._compiled.finditer(text):
            if found.span() != (end, end):
                yield Match(found.span(), found.group(), found.groups(default=""), names)
            end = found.end()

    def replaced(self, text: str, template: str, count: int = 0) -> str:
        """Return the text with matches replaced; see `Match.expanded`.

        Args:
            text: The text to search.
            template: The replacement of each match.
            count: Matches to replace at most; 0 for all.
        """
        parts, done = [], 0
        for number, found in enumerate(self.matches(text), 1):
            parts += [text[done : found.span[0]], found.expanded(template)]
            done = found.span[1]
            if number == count:
                break
        return "".join([*parts, text[done:]])


@lru_cache(PATTERNS_KEPT)
def compiled(text: str) -> Pattern:
    """Return the compiled pattern of a text, from a cache where possible.

    Raises:
        PatternError: The text is no regular expression, or is too large.
    """
    return Pattern(text)


def _in_go(error: re2.error) -> str:
    """Return RE2's message in Go's words: `missing closing ): `(a``."""
    said = error.args[0] if error.args else "unknown"
    text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
    problem, _, place = text.partition(": ")
    return f"{_SAID_IN_GO.get(problem, problem)}: `{place}`"
