"""Cuts a file's text into its documents; joining the parts gives the same bytes."""

import re
from dataclasses import dataclass

from porchflow.yamltext.quoting import shown
from porchflow.yamltext.yaml_error import YamlError

_SEPARATOR = re.compile(r"^---.*(?:\n|\Z)", re.MULTILINE)
_CONTENT_LINE = re.compile(r"^[ \t]*(?!#|%|\.\.\.[ \t\r]*$)[^\s#]", re.MULTILINE)


@dataclass(frozen=True)
class Part:
    """One stretch of a file: a separator line and the text after it, up to the next one."""

    separator: str
    """The `---` line with its line break; empty at the start of a file that begins without one."""
    body: str
    line: int
    """Lines of the file before `body`, to name lines of the file in errors."""

    @property
    def has_content(self) -> bool:
        """Whether there is a document: more than blanks, comments and directives."""
        return _CONTENT_LINE.search(self.body) is not None


def split(text: str) -> list[Part]:
    """Cut a file at its `---` lines.

    Raises:
        YamlError: Text other than a comment follows `---` on its line (kpt calls this an invalid document separator).
    """
    parts: list[Part] = []
    separator, start, line = "", 0, 0
    for match in _SEPARATOR.finditer(text):
        rest = match[0][3:].strip()
        if rest and not rest.startswith("#"):
            reason = f"invalid document separator: {shown(match[0].strip())}; begin the document on the next line"
            raise YamlError(reason, text.count("\n", 0, match.start()) + 1)
        if match.start() or separator:
            parts.append(Part(separator, text[start : match.start()], line))
        line += text.count("\n", start, match.end())
        separator, start = match[0], match.end()
    parts.append(Part(separator, text[start:], line))
    return parts


def join(parts: list[Part]) -> str:
    """Return the text of a file from its parts; a missing separator or line break between two of them is added."""
    texts: list[str] = []
    last = ""
    for part in parts:
        separator = part.separator
        if last and not separator:
            separator = "---\n"
        if last and not last.endswith("\n"):
            texts.append("\n")
        if separator and not separator.endswith("\n") and part.body:
            separator += "\n"
        texts.append(separator + part.body)
        last = texts[-1] or last
    return "".join(texts)
