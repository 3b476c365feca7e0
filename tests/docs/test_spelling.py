"""One spelling for each thing in pages, and abbreviations spelt out at first use: docs/contributing/words.md."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    # Shows what is wrong beside what is right.
    if page.name != "words.md"
)
NOT_PROSE = re.compile(
    r"^ *```.*?^ *```$|^    .*$|`[^`\n]*`|\]\([^)]*\)|<!--.*?-->|https?://\S+", re.MULTILINE | re.DOTALL
)

SPELLINGS = {
    r"\u2014": "a comma, a colon or a full stop",
    r"\be\.g\.|\bi\.e\.|\betc\.": "for example, that is, and so on",
    r"\bbuiltins?\b": "built-in function",
    r"Temporal(?:'s)? Web UI": "Temporal UI",
    r"\bArgoCD\b|\bArgo-CD\b": "Argo CD",
    r"\bFluxCD\b": "Flux",
    r"\bgithub\b|\bGithub\b": "GitHub",
    r"\bgitlab\b|\bGitlab\b": "GitLab",
    r"(?<![\w-])kubernetes(?![\w-])|\b[Kk]8s\b": "Kubernetes",
    r"\bConfigmaps?\b|\bconfig ?maps?\b": "ConfigMap",
    r"\bServiceaccounts?\b|\bservice accounts?\b": "ServiceAccount",
    r"\b[Pp]ackage-?revisions?\b(?<!PackageRevision)(?<!PackageRevisions)": "PackageRevision, or package revision",
    r"\b[Ss]ub-packages?\b": "subpackage",
    r"\b[Uu]p-stream\b|\b[Dd]own-stream\b": "upstream, downstream",
    r"\b[Ww]eb hooks?\b|\b[Ww]eb-hooks?\b": "webhook",
    r"\b[Kk]pt ?[Ff]iles?\b(?<!Kptfile)(?<!Kptfiles)": "Kptfile",
    r"\b[Nn]ame space\b": "namespace",
    r"\b[Hh]ydrat\w+\b": "render",
    r"\b(?:an?|the|this|that|each|every|your) repo\b|\b[Rr]epos\b": "repository",
}
"""What to write, by the expression for what not to."""

EXPANSIONS = {
    "CA": "certificate authorit",
    "CEL": "Common Expression Language",
    "CI": "continuous integration",
    "CNI": "Container Network Interface",
    "KRM": "Kubernetes Resource Model",
    "OCI": "Open Container Initiative",
    "OTLP": "OpenTelemetry Protocol",
    "SBOM": "software bill of materials",
    "SDK": "software development kit",
    "SSA": "server-side apply",
}
"""Words that come before the first use of an abbreviation, or right behind it."""
ROOM = 40


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def prose(text: str) -> str:
    """A page without code, links and comments; every line is where it was."""
    return NOT_PROSE.sub(lambda match: "\n" * match[0].count("\n"), text)


def misspelt(text: str) -> list[str]:
    return [f"{match[0]!r}: write {right}" for wrong, right in SPELLINGS.items() for match in re.finditer(wrong, text)]


def unexplained(text: str) -> list[str]:
    """Abbreviations whose first use on a page has no expansion."""
    wrong = []
    for short, long in EXPANSIONS.items():
        first = re.search(rf"\b{short}s?\b", text)
        if first and long.lower() not in " ".join(text[: first.end() + ROOM].lower().split()):
            wrong.append(short)
    return wrong


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_each_thing_has_one_spelling(page: Path) -> None:
    assert misspelt(prose(page.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_abbreviations_are_spelt_out_at_first_use(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    if "<!-- Made from" in text:
        pytest.skip("rows of a generated table have no first one; the glossary spells them out")
    assert unexplained(prose(text)) == []


class TestTheseRules:
    @pytest.mark.parametrize(
        "text",
        [
            "a \u2014 b",
            "the builtin",
            "ArgoCD",
            "on Github",
            "a sub-package",
            "a repo",
            "the packagerevision",
            "e.g. this",
        ],
    )
    def test_what_is_misspelt_is_found(self, text: str) -> None:
        assert misspelt(prose(text))

    @pytest.mark.parametrize(
        "text",
        [
            "a PackageRevision, or a package revision",
            "the field `builtin` and the built-in function",
            "[GitHub](https://github.com/a/repo)",
            "a Kptfile\n\n    repo: x\n",
            "```yaml\nrepo: a\n```",
        ],
    )
    def test_what_is_right_is_not(self, text: str) -> None:
        assert misspelt(prose(text)) == []

    @pytest.mark.parametrize(
        ("text", "wrong"),
        [
            ("the CA of the server", ["CA"]),
            ("a certificate authority (CA), and other CAs", []),
            ("an SBOM (software bill of\nmaterials)", []),
            ("CALL", []),
        ],
    )
    def test_abbreviations(self, text: str, wrong: list[str]) -> None:
        assert unexplained(text) == wrong
