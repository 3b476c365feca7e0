"""The `.krmignore` of a package: patterns as in `.gitignore`.

kpt's library ignores a pattern that begins with `/`; here it means the package's root, as in git. Paths are matched in
time linear in their length, whatever the pattern is.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import re2

from porchflow.kpt.package_errors import InvalidPackage
from porchflow.yamltext.quoting import shown

KRMIGNORE = ".krmignore"

_LONGEST, _MOST = 4096, 10_000


@dataclass(frozen=True)
class _Rule:
    pattern: Any  # what re2 compiles to; the library is not typed
    negated: bool
    only_directories: bool


def ignored(text: str, path: str = KRMIGNORE) -> Callable[[str], bool]:
    """Compile the content of a `.krmignore`.

    Args:
        text: the content.
        path: of the file, for errors.

    Returns:
        A predicate for paths of files relative to the package. A file below an ignored directory is ignored, whatever
        later patterns say, as in git.

    Raises:
        InvalidPackage: a pattern cannot be read.
    """
    rules: list[_Rule] = []
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > _LONGEST or len(rules) > _MOST:
            reason = f"line {number}: a pattern can have {_LONGEST} characters, the file {_MOST} patterns"
            raise InvalidPackage(path, reason)
        try:
            rule = _rule(line)
        except re2.error:
            reason = f"line {number}: the pattern {shown(line)} cannot be read"
            raise InvalidPackage(path, reason, "mind what is in [brackets]") from None
        if rule is not None:
            rules.append(rule)

    def matches(path: str) -> bool:
        segments = path.split("/")
        ends = range(1, len(segments) + 1)
        return any(_verdict(rules, "/".join(segments[:end]), directory=end < len(segments)) for end in ends)

    return matches


def _verdict(rules: list[_Rule], path: str, *, directory: bool) -> bool:
    for rule in reversed(rules):
        if (directory or not rule.only_directories) and rule.pattern.fullmatch(path):
            return not rule.negated
    return False


def _rule(line: str) -> _Rule | None:
    line = re.sub(r"(?<!\\)[ \t]+$", "", line)
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


_OPTIONS = re2.Options()
_OPTIONS.dot_nl = True
_OPTIONS.log_errors = False
_OPTIONS.max_mem = 8 << 20

_TOKEN = re.compile(r"\A\*\*/|/\*\*/|/\*\*\Z|\*+|\?|\[[!^]?\]?(?:\[:[a-z]+:\]|\\.|[^\]\\])*\]|\\.|.", re.DOTALL)
_IN_CLASS = re.compile(r"\[:[a-z]+:\]|\\(.)|[\[\]^]", re.DOTALL)
_SPECIAL = {"**/": "(?:.*/)?", "/**/": "/(?:.*/)?", "/**": "/.+", "?": "[^/]"}


def _translate(glob: str) -> str:
    return "".join(map(_translate_token, _TOKEN.findall(glob)))


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
