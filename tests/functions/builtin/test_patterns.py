import re

import pytest

from porchflow.functions.builtin.toolkit.patterns import Pattern, PatternError, compiled
from tests.functions.builtin.test_starlark import program
from tests.functions.lists import config, items, run, said
from tests.functions.packages import DEPLOYMENT

CATASTROPHES = ["(a+)+$", "(a|aa)+$", "(a*)*b", "(.*)(.*)(.*)(.*)(.*)[^a-z]$", "^(([a-z])+.)+[A-Z]([a-z])+$"]
"""Patterns that a backtracking engine tries on `aaaa…` in more ways than the universe has time for."""
LONG = "a" * 20_000


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("n(g)?(x)?", "ng", ("ng", ("g", ""))),
        (r"\pL+", "é-è", ("é", ())),
        (r"(?i)ABC", "xabc", ("abc", ())),
        (r"\bx\z", "a x", ("x", ())),
        (r"a$", "a\n", None),
        (r"(?s).+", "a\nb", ("a\nb", ())),
        (r"\d", "٣", None),
        ("(?P<n>x)", "yx", ("x", ("x",))),
        (r"\Qa.b\E", "a-b a.b", ("a.b", ())),
    ],
)
def test_the_syntax_is_that_of_re2(pattern: str, text: str, found: tuple[str, tuple[str, ...]] | None) -> None:
    match = Pattern(pattern).search(text)
    assert (match and (match.text, tuple(match.groups))) == found


def test_places_are_counted_in_characters() -> None:
    assert [match.span for match in Pattern("n|").matches("é€n𝄞n")] == [(0, 0), (1, 1), (2, 3), (4, 5)]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(a", "missing closing ): `(a`"),
        ("[a", "missing closing ]: `[a`"),
        ("a)", "unexpected ): `a)`"),
        ("*a", "missing argument to repetition operator: `*`"),
        ("a**", "invalid nested repetition operator: `**`"),
        ("(?=a)", "invalid or unsupported Perl syntax: `(?=`"),
        (r"(a)\1", r"invalid escape sequence: `\1`"),
        ("a{1001}", "invalid repeat count: `{1001}`"),
        ("((((a{100}){100}){100}){100})", "invalid repeat count: `{100}`"),
        ("[z-a]", "invalid character class range: `z-a`"),
        ("(?P<1-)", "invalid named capture: `(?P<1-)`"),
        ("a\\", "trailing backslash at end of expression: ``"),
        ("x" * 1_000_000, "pattern too large: more than 16,384 characters (the limit)"),
    ],
)
def test_what_is_wrong_is_said_as_in_go(pattern: str, message: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(PatternError, match=rf"^{re.escape(f'error parsing regexp: {message}')}$"):
        compiled(pattern)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("template", "expanded"),
    [
        ("$1-$2", "a-b"),
        ("${1}x$0", "axab"),
        ("$1x", ""),
        ("$n$m", "a"),
        ("$$1", "$1"),
        ("$", "$"),
        ("${", "${"),
        ("${1", "${1"),
        ("$9${99999}", ""),
        ("\\1\\g<1>", "\\1\\g<1>"),
    ],
)
def test_replacements_are_written_as_in_go(template: str, expanded: str) -> None:
    assert Pattern("(?P<n>a)(b)").replaced("-ab-", template) == f"-{expanded}-"


@pytest.mark.parametrize("pattern", CATASTROPHES)
def test_a_catastrophic_pattern_ends_at_once(pattern: str) -> None:
    resource = f"kind: X\nmetadata: {{name: x}}\nspec: {{a: {LONG}-}}\n"
    reply = run("search-replace", resource, function_config=config({"by-value-regex": pattern, "by-path": "spec.a"}))
    assert reply.exit_code == 0
    source = f"load('re.star', 're')\nre.findall('{pattern}', '{LONG}-')"
    assert run("starlark", resource, function_config=program(source)).exit_code == 0
    replacement = f"""
    apiVersion: fn.kpt.dev/v1alpha1
    kind: ApplyReplacements
    metadata: {{name: r}}
    replacements:
    - sourceValue: x
      targets:
      - select: {{kind: X}}
        fieldPaths: ["spec.l.[a={pattern}].b"]
    """
    listed = f"kind: X\nmetadata: {{name: x}}\nspec: {{l: [{{a: {LONG}-, b: y}}, {{a: b, b: y}}]}}\n"
    assert run("apply-replacements", listed, function_config=replacement).exit_code in (0, 1)


def test_what_only_backtracking_engines_know_is_refused() -> None:
    reply = run("search-replace", DEPLOYMENT, function_config=config({"by-value-regex": "nginx(?!:)"}))
    assert (reply.exit_code, items(reply)) == (1, [DEPLOYMENT])
    assert said(reply)[0].endswith('operation: "error parsing regexp: invalid or unsupported Perl syntax: `(?!`"')
    reply = run("starlark", DEPLOYMENT, function_config=program("load('re.star', 're')\nre.sub('(', '', 'x')"))
    assert "error parsing regexp: missing closing ): `(`" in reply.log


@pytest.mark.parametrize("path", ["a b-c&d~#.yaml", "x(1)+.yaml", "é.yaml", "d/a\nb.yaml"])
def test_every_file_name_can_be_searched_for(path: str) -> None:
    item = f"kind: X\nmetadata: {{name: x, annotations: {{internal.config.kubernetes.io/path: {path!r}}}}}\n"
    for pattern in (path, f"**/{path[0]}*.yaml", "**"):
        reply = run("search-replace", item, function_config=config({"by-file-path": pattern, "by-path": "kind"}))
        assert (reply.exit_code, len(said(reply))) == (0, 1), reply.log
