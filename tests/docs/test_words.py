"""Words of docstrings and comments, as far as a script can hold `docs/contributing/words.md`."""

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRODUCT = sorted(
    path for room in ROOT.glob("*/__init__.py") if room.parent.name != "tests" for path in room.parent.rglob("*.py")
)

MANIFESTS = sorted(
    path
    for pattern in ("*.yaml", "*.env", "Dockerfile*", "[Kk]ustomization*")
    for path in (ROOT / "deploy").rglob(pattern)
    if "toolchain" not in path.parts
)

PAGES = sorted(path for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")] if path.name != "words.md")

SUBJECT = re.compile(r"(?:^|[.!?] )(?:Who|Whom|Whoever)\b")
_VERB = (
    "(?:is|are|was|were|has|have|had|will|may|must|can|cannot|does|do|goes|stays?|becomes|comes?|gets|needs|takes|says"
    "|stands|keeps)"
)
WHAT_SUBJECT = re.compile(rf"(?:^|[.!?] )What (?:[^.!?:;,]*? )?{_VERB}\b[^.!?:;,]*? {_VERB}\b")
"""A clause with "what" and its verb, and behind it the verb that it is the subject of."""
TAKES = re.compile(r"^Takes? (?:what|who)\b")
CONSTRUCTOR_TAKES = re.compile(r"^Takes?\b")
BEGINS = re.compile(r"\s*(?:[-*|]|\d+\.) ?")
"""An item of a list, or a row of a table."""
BUILTIN = re.compile(r"(?<![\w/.-])builtins?(?![\w/-]|\.\w)", re.IGNORECASE)
CODE = re.compile(r"`[^`]*`")


@cache
def parsed(text: str) -> ast.Module:
    """The syntax of a module, which several rules read."""
    return ast.parse(text)


def pieces(text: str) -> Iterator[tuple[int, str]]:
    """Line and text of each docstring and comment, each on one line; comments on lines in a row are one."""
    yield from comments(text)
    for node in ast.walk(parsed(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, " ".join(node.value.value.split())


def comments(text: str) -> Iterator[tuple[int, str]]:
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    yield from joined((token.start[0], token.string) for token in tokens if token.type == tokenize.COMMENT)


def manifest_comments(text: str) -> Iterator[tuple[int, str]]:
    """Comments of YAML, a Dockerfile or a file of settings that have lines of their own."""
    lines = ((number, line.strip()) for number, line in enumerate(text.splitlines(), 1))
    yield from joined((number, line) for number, line in lines if line.startswith("#"))


def joined(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Comments by their first line, of which those on lines in a row are one."""
    first, last, words = 0, 0, ""
    for line, comment in lines:
        said = comment.removeprefix("#").strip()
        if words and line == last + 1:
            last, words = line, f"{words} {said}"
            continue
        if words:
            yield first, words
        first, last, words = line, line, said
    if words:
        yield first, words


def constructors(text: str) -> Iterator[tuple[int, str]]:
    """Line and docstring of each constructor that has one."""
    for node in ast.walk(parsed(text)):
        if isinstance(node, ast.FunctionDef) and node.name == "__init__" and (words := ast.get_docstring(node)):
            yield node.lineno, words


def faults(words: str) -> list[str]:
    """What the rules have against a docstring or comment."""
    plain = CODE.sub("", words)
    return [
        *(["a clause with who is no subject: name the actor"] if SUBJECT.search(words) else []),
        *(["a clause with what is no subject: name the thing"] if WHAT_SUBJECT.search(plain) else []),
        *(["says nothing of what it takes"] if TAKES.search(words) else []),
        *(["built-in function, unless the name in code is meant"] if BUILTIN.search(plain) else []),
        *(["a long dash"] if "\u2014" in words else []),
    ]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_docstrings_and_comments_follow_the_rules() -> None:
    wrong = [
        f"{name_of(path)}:{line}: {fault}: {words[:80]}"
        for path in PRODUCT
        for line, words in pieces(path.read_text(encoding="utf-8"))
        for fault in faults(words)
    ]
    assert wrong == []


def test_constructors_say_more_than_that_they_take_something() -> None:
    wrong = [
        f"{name_of(path)}:{line}: leave it out, or document the arguments: {words[:80]}"
        for path in PRODUCT
        for line, words in constructors(path.read_text(encoding="utf-8"))
        if CONSTRUCTOR_TAKES.search(words)
    ]
    assert wrong == []


def test_comments_of_manifests_follow_the_rules() -> None:
    wrong = [
        f"{name_of(path)}:{line}: {fault}: {words[:80]}"
        for path in MANIFESTS
        for line, words in manifest_comments(path.read_text(encoding="utf-8"))
        for fault in faults(words)
    ]
    assert MANIFESTS
    assert wrong == []


def paragraphs(text: str) -> Iterator[tuple[int, str]]:
    """Line and text of each paragraph, item and row of a page, without code and headings."""
    code, first, words = False, 0, ""
    for number, line in enumerate([*text.splitlines(), ""], 1):
        fence = line.lstrip().startswith("```")
        code = code is not fence
        ends = code or fence or not line.strip() or line.startswith("#")
        if words and (ends or BEGINS.match(line)):
            yield first, words
            words = ""
        if not ends:
            first, words = (first, f"{words} {line.strip()}") if words else (number, line.strip())


def test_pages_name_their_subjects() -> None:
    wrong = [
        f"{name_of(path)}:{line}: name the subject: {words[:80]}"
        for path in PAGES
        for line, words in paragraphs(path.read_text(encoding="utf-8"))
        if SUBJECT.search(words) or WHAT_SUBJECT.search(CODE.sub("", words))
    ]
    assert PAGES
    assert wrong == []


def test_messages_have_no_long_dashes() -> None:
    assert [name_of(path) for path in PRODUCT if "\u2014" in path.read_text(encoding="utf-8")] == []


class TestTheseRules:
    """What is wrong is found, and nothing else."""

    @pytest.mark.parametrize(
        "text",
        [
            '"""Who resumes it has its workflow look."""',
            "x = 1  # Whom the front proxy lets in is in its trace.",
            '"""Resume it. Whoever resumes it signals it."""',
            "# A comment that goes on.\n# Who waits now is not alone.",
            '"""Take what the phase works with."""',
            '"""Takes who is told."""',
            '"""The builtin that stands for an image."""',
            "# Builtins run without an image.",
            "# What is above a limit is refused.",
            '"""Read it. What stays is said at the end."""',
            '"""A branch \u2014 or a tag."""',
            'x = 1\n"""Who is told."""',
        ],
    )
    def test_words_that_are_not_taken(self, text: str) -> None:
        assert [fault for _, words in pieces(text) for fault in faults(words)]

    def test_a_page_is_read_by_paragraphs_items_and_rows(self) -> None:
        page = "# Who\n\nOne\ntwo.\n```sh\nWho\n\nls\n```\n- Three\n  four.\n- Five.\n| six |\n\nSeven."
        found = [(3, "One two."), (10, "- Three four."), (12, "- Five."), (13, "| six |"), (15, "Seven.")]
        assert list(paragraphs(page)) == found

    @pytest.mark.parametrize(
        ("text", "wrong"),
        [
            ('class A:\n    def __init__(self, kube):\n        """Take the client."""', True),
            ('class A:\n    def __init__(self, kube):\n        """Create it."""', False),
            ('class A:\n    def take(self, kube):\n        """Take the client."""', False),
        ],
    )
    def test_constructors_that_are_not_taken(self, text: str, wrong: bool) -> None:
        assert any(CONSTRUCTOR_TAKES.search(words) for _, words in constructors(text)) is wrong

    @pytest.mark.parametrize(
        "text", ["# Who talks to whom.", "spec:\n  # Many.\n  # Whoever answers is heard.\n  a: b", "# a \u2014 b"]
    )
    def test_comments_of_manifests_that_are_not_taken(self, text: str) -> None:
        assert [fault for _, words in manifest_comments(text) for fault in faults(words)]

    @pytest.mark.parametrize(
        "text",
        [
            '"""The user who resumes an object signals its workflow."""',
            '"""Run a built-in function; `builtin` is its folder."""',
            '"""See functions/builtin/catalog.py."""',
            '"""Take a package from upstream."""',
            'said = "Who is told"',
            '"""What is to be installed, as the record has it."""',
            '"""What somebody wants to have installed, and the manifests of it."""',
        ],
    )
    def test_words_that_are_taken(self, text: str) -> None:
        assert [fault for _, words in pieces(text) for fault in faults(words)] == []
