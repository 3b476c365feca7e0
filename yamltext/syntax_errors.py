"""Errors of a text that is no YAML: libyaml's message, the place in the file, and how to mend it."""

import re

import yaml

from porchflow.api.limits import YAML_KEY_CHARACTERS
from porchflow.yamltext.quoting import shown
from porchflow.yamltext.yaml_error import YamlError

_HINTS = {
    "mapping values are not allowed": "quote a text that has `: ` in it, and mind the indentation",
    "did not find expected <document start>": "separate documents with a line `---`",
    "did not find expected key": "mind the indentation",
    "did not find expected '-' indicator": "mind the indentation",
    "could not find expected ':'": "a key needs `: ` behind it on its line",
    "found unexpected end of stream": "close the quote",
    "found unexpected document indicator": "close the quote",
}
"""How to mend libyaml's errors, by the beginning of the message."""

_LINE_ENDS_OF_YAML = re.compile("[\x85\u2028\u2029]")


def line_at(text: str, index: int) -> int:
    """Return the 1-based line of a place as editors count lines: libyaml also counts U+2028 and such as line ends."""
    return text.count("\n", 0, index) + 1


def above(lines: int) -> str:
    """Return how far up a line is; unlike a line number it stays true when the document is part of a file."""
    return f"{lines} line{'s' if lines > 1 else ''} above" if lines else "on this line"


def marked_error(text: str, error: yaml.MarkedYAMLError) -> YamlError:
    """Return the error for libyaml's message about a place in the text."""
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return YamlError(error.problem or "not valid YAML")
    line = line_at(text, mark.index)
    problem = error.problem or "not valid YAML"
    character = text[mark.index : mark.index + 1]
    if "tab character" in problem or (character == "\t" and "cannot start any token" in problem):
        return YamlError("a tab cannot indent in YAML: use spaces", line)
    if character and "cannot start any token" in problem:
        return YamlError(f"no value can begin with {shown(character)} unless it is quoted", line)
    context = error.context or ""
    began = line_at(text, error.context_mark.index) if error.context_mark else line
    if context and began != line:
        context += f", which began {above(line - began)}"
    hint = _hint(text, mark.index, problem)
    return YamlError(problem + (f" ({context})" if context else "") + (f": {hint}" if hint else ""), line)


def _hint(text: str, index: int, problem: str) -> str:
    if problem.startswith("mapping values") and index - text.rfind("\n", 0, index) > YAML_KEY_CHARACTERS:
        return f"a key can have {YAML_KEY_CHARACTERS} characters"
    odd = list(_LINE_ENDS_OF_YAML.finditer(text, 0, index))
    if odd:
        found = odd[-1]
        return (
            f"U+{ord(found[0]):04X} {above(line_at(text, index) - line_at(text, found.start()))} ends a line in YAML;"
            f' write it as \\u{ord(found[0]):04x} in a text in "quotes"'
        )
    return next((hint for start, hint in _HINTS.items() if problem.startswith(start)), "")


def character_error(text: str, error: yaml.reader.ReaderError) -> YamlError:
    """Return the error for a character that YAML does not allow; libyaml counts bytes up to it."""
    line = text.encode(errors="surrogatepass")[: error.position].count(b"\n") + 1
    code = error.character if isinstance(error.character, int) else ord(error.character)
    escape = f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"  # noqa: PLR2004 - the largest of two digits
    return YamlError(
        f'character U+{code:04X} is not allowed in YAML: remove it, or write it as {escape} in a text in "quotes"', line
    )
