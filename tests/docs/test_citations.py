"""Pages that code and documentation name are there, with the sections that they name.

A citation of a reference page has the form `docs/reference/PAGE.md, "Section"`, with more sections after `and`.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
MODULES = sorted(path for room in ROOT.glob("*/__init__.py") for path in room.parent.rglob("*.py"))
OTHERS = sorted(path for pattern in ("deploy/**/*.yaml", "tests/**/*.yaml") for path in ROOT.glob(pattern))
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])

PAGE = re.compile(r"[\w./-]*\w\.md\b")
OURS = re.compile(r"docs/[\w./-]*\w\.md\b")
SECTIONS = re.compile(r'docs/reference/[\w-]+\.md,((?: and|,)? "[^"\n]+")+')
SECTION = re.compile(r'"([^"]+)"')
LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")


@cache
def words(path: Path) -> str:
    """The docstrings and comments of a module, lines joined."""
    text = path.read_text(encoding="utf-8")
    return re.sub(r"\s+", " ", " ".join([*comments(text), *strings(text)])) if ".md" in text else ""


def comments(text: str) -> Iterator[str]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.string.removeprefix("#")


def strings(text: str) -> Iterator[str]:
    """Strings that are statements: docstrings of modules, classes, functions and attributes."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value.value


def headings(page: Path) -> list[str]:
    return HEADING.findall(FENCE.sub("", page.read_text(encoding="utf-8")))


def anchor(heading: str) -> str:
    """A heading's anchor as forges make it."""
    return re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).replace(" ", "-")


def absent(text: str) -> list[str]:
    """The pages that a text names and that are nowhere."""
    return sorted(name for name in set(PAGE.findall(text)) if not (ROOT / name).is_file())


def wrong_sections(text: str) -> list[str]:
    """What is wrong with the citations of reference pages in a text."""
    wrong = []
    for match in re.finditer(r"docs/reference/[\w-]+\.md", text):
        page = ROOT / match[0]
        if is_generated(page):
            continue
        cited = SECTIONS.match(text, match.start())
        if cited is None:
            wrong.append(f"{match[0]} without a section")
            continue
        known = headings(page) if page.is_file() else []
        wrong += [f"{match[0]} has no section {name!r}" for name in SECTION.findall(cited[0]) if name not in known]
    return wrong


def is_generated(page: Path) -> bool:
    """Whether a page of the reference is made from the code, and so never cited by it."""
    return page.is_file() and "<!-- Made from" in page.read_text(encoding="utf-8")


def is_cited(text: str) -> set[tuple[str, str]]:
    return {
        (match[0].partition(",")[0], name) for match in SECTIONS.finditer(text) for name in SECTION.findall(match[0])
    }


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def wrong_links(page: Path) -> list[str]:
    text = CODE.sub("", FENCE.sub("", page.read_text(encoding="utf-8")))
    return [target for target in LINK.findall(text) if not leads_somewhere(page, target)]


def leads_somewhere(page: Path, target: str) -> bool:
    if re.match(r"[a-z]+:", target):
        return True
    name, _, section = target.partition("#")
    found = (page.parent / name).resolve() if name else page
    return found.exists() and (not section or section in map(anchor, headings(found)))


def test_docstrings_and_comments_name_what_is_there() -> None:
    found = {name_of(path): words(path) for path in MODULES if path != Path(__file__)}
    wrong = {name: [*absent(text), *wrong_sections(text)] for name, text in found.items()}
    assert {name: each for name, each in wrong.items() if each} == {}


def test_messages_and_manifests_name_pages_that_are_there() -> None:
    found = {name_of(path): path.read_text(encoding="utf-8") for path in [*MODULES, *OTHERS] if path != Path(__file__)}
    wrong = {name: absent(" ".join(OURS.findall(text))) for name, text in found.items()}
    assert {name: each for name, each in wrong.items() if each} == {}


def test_links_of_pages_lead_somewhere() -> None:
    wrong = {name_of(page): wrong_links(page) for page in PAGES}
    assert {name: each for name, each in wrong.items() if each} == {}


def test_sections_are_unique_within_their_page() -> None:
    for page in REFERENCE.glob("*.md"):
        found = headings(page)
        assert len(found) == len(set(found)), page.name


def test_the_reference_is_listed_and_in_use() -> None:
    pages = {page.name for page in REFERENCE.glob("*.md") if not is_generated(page)} - {"README.md"}
    listed = set(re.findall(r"\]\(([\w-]+\.md)\)", (REFERENCE / "README.md").read_text(encoding="utf-8")))
    assert listed == pages
    cited = {
        Path(page).name
        for path in MODULES
        if path.parts[len(ROOT.parts)] != "tests"
        for page, _ in is_cited(words(path))
    }
    assert cited == pages


class TestTheseRules:
    """What is wrong is found."""

    @pytest.mark.parametrize(
        "text",
        [
            "see porch.md 4.3",
            "(`reference/kpt.md` 5.3)",
            "design.md section 2",
            'docs/reference/nowhere.md, "Fields"',
        ],
    )
    def test_a_page_that_is_absent(self, text: str) -> None:
        assert absent(text)

    @pytest.mark.parametrize(
        ("text", "wrong"),
        [
            ('docs/reference/kptfile.md, "Fields"', 0),
            ('docs/reference/kptfile.md, "Fields" and "Decoding".', 0),
            ('docs/reference/kptfile.md, "Fields" and "Nothing of that name".', 1),
            ('docs/reference/kptfile.md, "Nothing of that name"', 1),
            ("docs/reference/kptfile.md has it", 1),
        ],
    )
    def test_a_section_that_is_absent(self, text: str, wrong: int) -> None:
        assert len(wrong_sections(text)) == wrong


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_ids_in_temporal_begin_with_the_installation(page: Path) -> None:
    shown = re.findall(
        r"(\S*)\b(?:packagerevision|repository)/(?:NAMESPACE|NS|<namespace>)/", page.read_text(encoding="utf-8")
    )
    assert [before for before in shown if not before.endswith("ID/")] == []
