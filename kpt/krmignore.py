"""The `.krmignore` of a package: patterns as in `.gitignore`.

kpt's library ignores a pattern that begins with `/`; here it means the package's root, as in git.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

KRMIGNORE = ".krmignore"


@dataclass(frozen=True)
class _Rule:
    pattern: re.Pattern[str]
    negated: bool
    only_directories: bool


def ignored(text: str) -> Callable[[str], bool]:
    """Compile the content of a `.krmignore`.

    Returns:
        A predicate for paths of files relative to the package. A file below an ignored directory is ignored, whatever
        later patterns say, as in git.
    """
    rules = [rule for line in text.splitlines() if (rule := _rule(line)) is not None]

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
    return _Rule(re.compile(prefix + _translate(line), re.DOTALL), negated, only_directories)


_TOKEN = re.compile(r"\A\*\*/|/\*\*/|/\*\*\Z|\*+|\?|\[!?\]?[^\]]*\]|\\.|.", re.DOTALL)
_SPECIAL = {"**/": "(?:.*/)?", "/**/": "/(?:.*/)?", "/**": "/.+", "?": "[^/]"}


def _translate(glob: str) -> str:
    return "".join(map(_translate_token, _TOKEN.findall(glob)))


def _translate_token(token: str) -> str:
    if token in _SPECIAL:
        return _SPECIAL[token]
    if token.startswith("*"):
        return "[^/]*"
    if token.startswith("[") and len(token) > 1:
        body = token[1:-1].replace("\\", "\\\\")
        return "[^" + body[1:] + "]" if body.startswith("!") else "[" + body.replace("^", "\\^") + "]"
    if token.startswith("\\") and len(token) > 1:
        return re.escape(token[1:])
    return re.escape(token)
