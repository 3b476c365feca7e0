from collections.abc import Callable
from textwrap import dedent
from typing import Any

import pytest
import yaml

from porchflow.api.limits import YAML_DEPTH
from porchflow.yamltext.document import Document, apply, dump, load, same
from porchflow.yamltext.split import join, split
from porchflow.yamltext.yaml_error import YamlError


def _set(*path: str | int, to: Any) -> Callable[[Any], Any]:
    def change(value: Any) -> Any:
        if not path:
            return to
        step, rest = path[0], path[1:]
        copy = dict(value) if isinstance(value, dict) else list(value)
        inner = copy.get(step) if isinstance(copy, dict) else copy[step]
        copy[step] = _set(*rest, to=to)(inner)
        return copy

    return change


def _without(*path: str | int) -> Callable[[Any], Any]:
    def change(value: Any) -> Any:
        copy = dict(value) if isinstance(value, dict) else list(value)
        if len(path) == 1:
            del copy[path[0]]
        else:
            copy[path[0]] = _without(*path[1:])(copy[path[0]])
        return copy

    return change


EDITS = {
    "scalar keeps comment": ("a: 1  # why\nb: 2\n", _set("a", to=3), "a: 3  # why\nb: 2\n"),
    "scalar keeps double quotes": ('a: "x"\n', _set("a", to="y"), 'a: "y"\n'),
    "scalar keeps single quotes": ("a: 'x'\n", _set("a", to="it's"), "a: 'it''s'\n"),
    "plain stays plain": ("a: x\n", _set("a", to="y z"), "a: y z\n"),
    "a word that is a boolean elsewhere is quoted": ("a: x\n", _set("a", to="on"), 'a: "on"\n'),
    "a number as text is quoted": ("a: x\n", _set("a", to="012"), 'a: "012"\n'),
    "a quoted number becomes a number": ('a: "1"\n', _set("a", to=1), "a: 1\n"),
    "a date as text is quoted": ("a: x\n", _set("a", to="2024-01-02"), 'a: "2024-01-02"\n'),
    "text becomes a literal block": ("a: x # c\nb: 1\n", _set("a", to="l1\nl2\n"), "a: | # c\n  l1\n  l2\nb: 1\n"),
    "a literal keeps its place": ("a: |\n  l1\nb: 1\n", _set("a", to="l1\nl2"), "a: |-\n  l1\n  l2\nb: 1\n"),
    "a literal becomes plain": ("a: |\n  l1\n\nb: 1\n", _set("a", to="x"), "a: x\n\nb: 1\n"),
    "empty value": ("a:   # c\nb: 1\n", _set("a", to="x"), "a: x   # c\nb: 1\n"),
    "new key comes last": (
        "a:\n  b: 1 # c\n\n  # end\nc: 2\n",
        _set("a", "z", to=1),
        "a:\n  b: 1 # c\n  z: 1\n\n  # end\nc: 2\n",
    ),
    "new key without line end": ("a: 1", _set("b", to=2), "a: 1\nb: 2"),
    "new key behind a literal": (
        "a:\n  b: |\n    x\nc: 1\n",
        _set("a", "z", to=1),
        "a:\n  b: |\n    x\n  z: 1\nc: 1\n",
    ),
    "new map": ("a: 1\n", _set("b", to={"c": [1, {"d": 2}]}), "a: 1\nb:\n  c:\n  - 1\n  - d: 2\n"),
    "wide lists stay wide": ("a:\n  - 1\n", _set("b", to=[2]), "a:\n  - 1\nb:\n  - 2\n"),
    "new key in braces": ("a: {b: 1}\n", _set("a", "c", to="x"), "a: {b: 1, c: x}\n"),
    "empty braces": ("a: {} # c\nb: 1\n", _set("a", "c", to="x"), "a: # c\n  c: x\nb: 1\n"),
    "json": ('{"a": 1}\n', _set("b", to="x"), '{"a": 1, "b": "x"}\n'),
    "json over lines": ('{\n  "a": 1\n}\n', _set("b", to="x"), '{\n  "a": 1,\n  "b": "x"\n}\n'),
    "remove key with its comment": ("a: 1\n# of b\nb: 2\nc: 3\n", _without("b"), "a: 1\nc: 3\n"),
    "remove keeps the head of the file": ("# licence\na: 1\nb: 2\n", _without("a"), "# licence\nb: 2\n"),
    "remove a subtree": ("a:\n  b:\n    c: |\n      x\n  d: 1\n", _without("a", "b"), "a:\n  d: 1\n"),
    "remove first key of an item": ("- a: 1\n  # of b\n  b: 2\n", _without(0, "a"), "- # of b\n  b: 2\n"),
    "remove in braces": ("a: {b: 1, c: 2, d: 3}\n", _without("a", "c"), "a: {b: 1, d: 3}\n"),
    "remove last in braces": ("a: {b: 1, c: 2}\n", _without("a", "c"), "a: {b: 1}\n"),
    "remove the only key": ("a:\n  b: 1\nc: 2\n", _without("a", "b"), "a: {}\nc: 2\n"),
    "list append": ("a:\n- 1 # one\nb: 2\n", _set("a", to=[1, 2]), "a:\n- 1 # one\n- 2\nb: 2\n"),
    "list insert": ("a:\n- x\n- z\n", _set("a", to=["x", "m", "z"]), "a:\n- x\n- m\n- z\n"),
    "list insert first": ("a:\n# of x\n- x\n", _set("a", to=["w", "x"]), "a:\n# of x\n- w\n- x\n"),
    "list remove": ("a:\n- x\n# of y\n- y # c\n- z\n", _without("a", 1), "a:\n- x\n- z\n"),
    "list in brackets": ("a: [x, 'y']\n", _set("a", to=["x", "y", "z"]), "a: [x, 'y', z]\n"),
    "named elements are matched by name": (
        "a:\n- name: x\n  v: 1 # c\n- name: y\n  v: 2\n",
        _set("a", to=[{"name": "w"}, {"name": "x", "v": 1}, {"name": "y", "v": 3}]),
        "a:\n- name: w\n- name: x\n  v: 1 # c\n- name: y\n  v: 3\n",
    ),
    "scalar to map": ("a: 1 # c\nb: 2\n", _set("a", to={"x": 1}), "a: # c\n  x: 1\nb: 2\n"),
    "map to scalar": ("a: # c\n  x: 1\n  y: 2\nb: 2\n", _set("a", to=1), "a: 1 # c\nb: 2\n"),
    "item to map": ("- 1\n- 2\n", _set(0, to={"x": 1, "z": 2}), "- x: 1\n  z: 2\n- 2\n"),
    "windows line ends": ("a: 1\r\nb: 2\r\n", _set("c", to={"d": 1}), "a: 1\r\nb: 2\r\nc:\r\n  d: 1\r\n"),
    "how a number was written stays": ("a: 1.10\nb: 0x1F\n", _set("c", to=1), "a: 1.10\nb: 0x1F\nc: 1\n"),
    "an alias is replaced where it stands": (
        "a: &x\n  b: 1\nc: *x\n",
        _set("c", to={"b": 2}),
        "a: &x\n  b: 1\nc:\n  b: 2\n",
    ),
    "an anchor that changes leaves its aliases": (
        "a: &x\n  b: 1\nc: *x\n",
        _set("a", to={"b": 2}),
        "a: &x\n  b: 2\nc:\n  b: 1\n",
    ),
    "a value beside a merge key overrides it": (
        "a: &x\n  b: 1\nc:\n  <<: *x\n  d: 2\ne: 3 # c\n",
        _set("c", "b", to=5),
        "a: &x\n  b: 1\nc:\n  <<: *x\n  d: 2\n  b: 5\ne: 3 # c\n",
    ),
    "a merged map is written out where it loses a key": (
        "a: &x\n  b: 1\nc:\n  <<: *x\n  d: 2\ne: 3 # c\n",
        _without("c", "b"),
        "a: &x\n  b: 1\nc:\n  d: 2\ne: 3 # c\n",
    ),
    "an explicit key": ("? a\n: 1\n", _set("b", to=2), "a: 1\nb: 2\n"),
}


@pytest.mark.parametrize(("before", "change", "after"), EDITS.values(), ids=EDITS.keys())
def test_an_edit_changes_only_what_must_change(before: str, change: Callable[[Any], Any], after: str) -> None:
    new = change(load(before))
    assert apply(before, new) == after
    assert same(load(after), new)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("True", True),
        ("on", "on"),
        ("yes", "yes"),
        ("~", None),
        ("012", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("0b11", 3),
        ("1_000", 1000),
        ("1e3", 1000.0),
        ("1.10", 1.1),
        ("08", 8.0),
        ("2024-01-02", "2024-01-02"),
        ("12:30:45", "12:30:45"),
        ("1e999", "1e999"),
        ("!!str 1", "1"),
        ("!!float 1", 1.0),
        ("'1'", "1"),
        ("123456789012345678901234567890", 123456789012345678901234567890),
    ],
)
def test_scalars_mean_what_go_yaml_says(text: str, value: Any) -> None:
    loaded = load(f"a: {text}\n")["a"]
    assert loaded == value
    assert isinstance(loaded, type(value))


@pytest.mark.parametrize(
    "word",
    [
        "on",
        "y",
        "N",
        "off",
        "012",
        "0o7",
        "1e3",
        "1_0",
        "null",
        "~",
        "2024-01-02",
        "1:30",
        ".5",
        "0x1",
        "=",
        "<<",
        "",
        "-",
    ],
)
def test_a_string_is_a_string_to_every_reader(word: str) -> None:
    text = dump({"a": word})
    assert yaml.safe_load(text) == {"a": word}
    assert load(text) == {"a": word}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\na: 2\n", 'line 2: key "a" appears twice'),
        ("a: [\n", "line 2: did not find expected node content"),
        ("a: \x01\n", "line 1: character"),
        ("[" * 5000, f"nested deeper than {YAML_DEPTH}"),
        ("- " * 5000 + "x", f"nested deeper than {YAML_DEPTH}"),
        ("a: &a [*a]\n", "stands inside its own anchor"),
        ("a: *b\n", "has no anchor"),
        ("? [a]\n: b\n", "a mapping key must be a scalar"),
        ("a: 1\n---\nb: 2\n", "a second document"),
        ("a:\n\t- b\n", "line 2: a tab cannot indent in YAML: use spaces"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(text: str, problem: str) -> None:
    with pytest.raises(YamlError) as raised:
        load(text)
    assert problem in str(raised.value)


def test_an_alias_bomb_is_refused_before_it_expands() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 30)]
    with pytest.raises(YamlError, match="aliases expand"):
        load("\n".join(lines))


@pytest.mark.parametrize("value", [{"a": object()}, {1: "a"}, {"a": b"x"}, {"k" * 2000: 1}])
def test_what_yaml_cannot_hold_is_refused(value: Any) -> None:
    with pytest.raises(YamlError):
        apply("a: 1\n", value)


def test_a_value_deeper_than_the_limit_is_refused() -> None:
    value: Any = 1
    for _ in range(YAML_DEPTH + 2):
        value = [value]
    with pytest.raises(YamlError, match="nested deeper"):
        apply("a: 1\n", {"a": value})


def test_documents_are_cut_at_separators_with_their_comments() -> None:
    text = dedent("""\
        # licence
        ---
        a: 1
        --- # second
        # only a comment
        ---
        text: |
          ---
          in the text
    """)
    parts = split(text)
    assert [part.has_content for part in parts] == [False, True, False, True]
    assert [part.line for part in parts] == [0, 2, 4, 6]
    assert join(parts) == text


def test_text_behind_a_separator_is_refused() -> None:
    with pytest.raises(YamlError, match="line 2: invalid document separator: --- a: 1"):
        split("x: 1\n--- a: 1\n")


def test_lines_are_found_by_path() -> None:
    document = Document("a:\n  b:\n  - c\n  - d: 1\n")
    assert document.line_of("a", "b", 1, "d") == 4
    assert document.line_of("a", "nothing") == 0


@pytest.mark.parametrize(
    "text",
    [
        '"b": |2+\n\u2028"a": []\n# note\n',
        "b: |+\n\n\u2029a: 1 # n\n",
        "b: x # n\x85a: 1 # m\n",
    ],
)
def test_lines_may_end_as_yaml_has_it(text: str) -> None:
    added = "z: 1\n"
    expected = text.replace("# note\n", "") + added + "# note\n" if "# note" in text else text + added
    assert apply(text, {**load(text), "z": 1}) == expected
