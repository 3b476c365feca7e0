"""The `.krmignore` of a package: patterns as in `.gitignore`.

kpt's library ignores a pattern that begins with `/`; here the slash means the package's root, as in Git. Matching takes
time linear in the length of the path, for any pattern.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import re2

from porchflow.api.limits import KRMIGNORE_CHARACTERS, KRMIGNORE_PATTERN_CHARACTERS, KRMIGNORE_PATTERNS
from porchflow.kpt.package_errors import InvalidPackage
from porchflow.yamltext.quoting import shown

KRMIGNORE = ".krmignore"


@dataclass(frozen=True)
class _Rule:
    pattern: Any  # a pattern of re2, which has no types
    negated: bool
    only_directories: bool


def ignored(text: str, path: str = KRMIGNORE) -> Callable[[str], bool]:
    """Compile the content of a `.krmignore`.

    Args:
        text: Content of the file.
        path: Path of the file, for errors.

    Returns:
        A predicate for paths of files relative to the package. A file below an ignored directory is ignored even if a
        later pattern negates it, as in Git.

    Raises:
        InvalidPackage: A pattern cannot be parsed, or the file exceeds a limit.
    """
    if len(text) > KRMIGNORE_CHARACTERS:
        raise InvalidPackage(path, f"more than {KRMIGNORE_CHARACTERS:,} characters (the limit)", "name directories")
    rules: list[_Rule] = []
    for number, line in enumerate(text.splitlines(), 1):
        rule = _read(line, number, path)
        if rule is not None:
            rules.append(rule)
        if len(rules) > KRMIGNORE_PATTERNS:
            reason = f"line {number}: more than {KRMIGNORE_PATTERNS:,} patterns (the limit)"
            raise InvalidPackage(path, reason, "name directories")
    return _Matcher(rules)


class _Matcher:
    """Tells whether a path is ignored; caches the answers for directories, which many files share."""

    def __init__(self, rules: list[_Rule]) -> None:
        self._rules = list(reversed(rules))
        self._directories: dict[str, bool] = {"": False}

    def __call__(self, path: str) -> bool:
        return self._ignored_directory(path.rpartition("/")[0]) or self._verdict(path, directory=False)

    def _ignored_directory(self, path: str) -> bool:
        above: list[str] = []
        while path not in self._directories:
            above.append(path)
            path = path.rpartition("/")[0]
        known = self._directories[path]
        for each in reversed(above):
            known = self._directories[each] = known or self._verdict(each, directory=True)
        return known

    def _verdict(self, path: str, *, directory: bool) -> bool:
        for rule in self._rules:
            if (directory or not rule.only_directories) and rule.pattern.fullmatch(path):
                return not rule.negated
        return False


def _read(line: str, number: int, path: str) -> _Rule | None:
    if len(line) > KRMIGNORE_PATTERN_CHARACTERS:
        reason = f"line {number}: a pattern of more than {KRMIGNORE_PATTERN_CHARACTERS} characters (the limit)"
        raise InvalidPackage(path, reason, "name directories")
    try:
        return _rule(line)
    except re2.error:
        reason = f"line {number}: the pattern {shown(line)} cannot be read"
        raise InvalidPackage(path, reason, "mind what is in [brackets]") from None


def _rule(line: str) -> _Rule | None:
    line = _without_blanks(line)
    if not line or line.startswith("#"):
        return None
    negated = line.startswith("!")
    line = line[negated:]
    only_directories = line.endswith("/")
    line = line.removesuffix("/")
    anchored = "/" in line
    line = line.removeprefix("/")
    if not line:
        return None
    prefix = "" if anchored or line.startswith("**/") else "(?:.*/)?"
    return _Rule(re2.compile(prefix + _translate(line), _OPTIONS), negated, only_directories)


def _without_blanks(line: str) -> str:
    """Return the line without blanks at its end; after a backslash the first blank stays."""
    stripped = line.rstrip(" \t")
    return line[: len(stripped) + 1] if stripped.endswith("\\") else stripped


_OPTIONS = re2.Options()
_OPTIONS.dot_nl = True
_OPTIONS.log_errors = False
_OPTIONS.max_mem = 1 << 20

_TOKEN = re.compile(r"\A\*\*/|/\*\*/|/\*\*\Z|\*+|\?|\\.|.", re.DOTALL)
_CLOSING = re.compile(r"\\.|(\])", re.DOTALL)
_IN_CLASS = re.compile(r"\[:[a-z]+:\]|\\(.)|[\[\]^]", re.DOTALL)
_SPECIAL = {"**/": "(?:.*/)?", "/**/": "/(?:.*/)?", "/**": "/.+", "?": "[^/]"}


def _translate(glob: str) -> str:
    return "".join(map(_translate_token, _tokens(glob)))


def _tokens(glob: str) -> Iterator[str]:
    """Cut a pattern into tokens, in time linear in its length."""
    last = max((found.start() for found in _CLOSING.finditer(glob) if found[1]), default=-1)
    place = 0
    while place < len(glob):
        if glob[place] == "[" and place < last:
            end = _class_end(glob, place)
        else:
            found = _TOKEN.match(glob, place)
            end = found.end() if found else len(glob)
        yield glob[place:end]
        place = end


def _class_end(glob: str, start: int) -> int:
    """Return the place after a class in brackets; the pattern has a closing bracket behind `start`.

    A bracket right at the beginning of the class does not close it. The bracket of `[:alpha:]` does so only if no other
    one does.
    """
    place = start + 1 + (glob[start + 1] in "!^")
    fallback = place + 1
    place += glob[place] == "]"
    while place < len(glob) and glob[place] != "]":
        found = _IN_CLASS.match(glob, place)
        place = found.end() if found else place + 1
        fallback = place if found and found[0].endswith(":]") else fallback
    return place + 1 if place < len(glob) else fallback


def _translate_token(token: str) -> str:
    if token in _SPECIAL:
        return _SPECIAL[token]
    if token.startswith("*"):
        return "[^/]*"
    if token.startswith("[") and len(token) > 1:
        body = _IN_CLASS.sub(_translate_in_class, token[1 + (token[1] in "!^") : -1])
        return ("[^/" if token[1] in "!^" else "[") + body + "]"
    if token.startswith("\\") and len(token) > 1:
        return re.escape(token[1:])
    return re.escape(token)


def _translate_in_class(found: "re.Match[str]") -> str:
    if found[1] is not None:
        return re.escape(found[1])
    return found[0] if len(found[0]) > 1 else "\\" + found[0]
