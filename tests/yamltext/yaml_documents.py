"""Random YAML documents and random changes of their values, as hypothesis strategies."""

import copy
import json
import random
from typing import Any

import yaml
from hypothesis import assume
from hypothesis import strategies as st

from porchflow.yamltext.document import dump, load
from porchflow.yamltext.yaml_error import YamlError

NASTY = [
    "", "on", "y", "No", "012", "1e3", "0x1F", "null", "~", "true", "2024-01-02", "12:30:45", "1_000", ".5", "=",
    "<<", "a: b", "a #b", "# c", "- x", "-", "?", "x:", ":x", " lead", "trail ", "tab\t", "line\nbreak",
    "two\n\nlines\n", "keep\n\n", "\n", "\nx", " a\nb", "a\n b\n", "{}", "[x]", "a, b", "'q'", '"d"', "\\", "%x",
    "@x", "`x", "!t", "&a", "*a", "|", ">", "---", "...", "é", "😀", "\u2028", "\x85", "\ufeff", "\x07", "a\r\nb",
    "1.2.3", "v1", "http://x/y?z=1#f", "${x}", "a\tb", "x\n  \ny", "\tx\ny", "# x\ny\n",
]  # fmt: skip

texts = st.one_of(
    st.sampled_from(NASTY),
    st.text(st.characters(codec="utf-8", max_codepoint=0x2FFF), max_size=8),
    st.text("ab:- #\n'\"{}[],&*!|>%@?x1.~", max_size=10),
)
keys = st.one_of(st.sampled_from(["a", "b", "name", "spec", "x-y", "on", "1", "a b", "null"]), texts)
scalars = st.one_of(
    texts,
    texts,
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=True, allow_infinity=True),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=4)),
    max_leaves=12,
)
mappings = st.dictionaries(keys, values, min_size=1, max_size=5)


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Text of a mapping in one of many layouts, with comments and blank lines strewn in where they change nothing."""
    value = draw(mappings)
    text = draw(st.sampled_from(_LAYOUTS))(value)
    text = _strewn(text, random.Random(draw(st.integers(0, 2**16))))
    try:
        assume(isinstance(load(text), dict))
    except YamlError:
        assume(False)
    return text


def _pyyaml(**options: Any) -> Any:
    return lambda value: yaml.dump(value, Dumper=yaml.SafeDumper, sort_keys=False, allow_unicode=True, **options)


def _aliased(value: Any) -> str:
    twice = {"one": value, "two": value, "three": [value, value]}
    return str(yaml.dump(twice, Dumper=yaml.SafeDumper, sort_keys=False))


class _Wide(yaml.SafeDumper):
    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, indentless=False)


_LAYOUTS = [
    dump,
    _pyyaml(),
    _pyyaml(default_style="'"),
    _pyyaml(default_style='"'),
    _pyyaml(default_style="|"),
    _pyyaml(default_style=">"),
    _pyyaml(default_flow_style=True),
    _pyyaml(default_flow_style=True, width=20),
    _pyyaml(indent=4, width=30),
    _pyyaml(explicit_start=False, line_break="\r\n"),
    lambda value: yaml.dump(value, Dumper=_Wide, sort_keys=False),
    lambda value: json.dumps(value, indent=2) + "\n",
    lambda value: json.dumps(value, indent="\t", ensure_ascii=False),
    _aliased,
]


def _strewn(text: str, chance: random.Random) -> str:
    lines = text.splitlines(keepends=True)
    for _ in range(chance.randrange(4)):
        at = chance.randrange(len(lines) + 1)
        filler = " " * chance.randrange(5) + "# note\n" if chance.random() < 0.7 else "\n"
        candidate = "".join([*lines[:at], filler, *lines[at:]])
        if _means_the_same(text, candidate):
            lines = candidate.splitlines(keepends=True)
    for index, line in enumerate(list(lines)):
        if chance.random() < 0.2:
            candidate = "".join([*lines[:index], line.rstrip("\n") + "  # tail\n", *lines[index + 1 :]])
            if _means_the_same(text, candidate):
                lines[index] = line.rstrip("\n") + "  # tail\n"
    return "".join(lines)


def _means_the_same(text: str, candidate: str) -> bool:
    try:
        return bool(load(text) == load(candidate))
    except YamlError:
        return False


@st.composite
def changes(draw: st.DrawFn, value: Any) -> Any:
    """A copy of the value with a few random changes anywhere in it."""
    value = copy.deepcopy(value)
    for _ in range(draw(st.integers(1, 4))):
        _change(draw, value)
    return value


def _change(draw: st.DrawFn, value: Any) -> None:
    places = list(_collections(value))
    place = places[draw(st.integers(0, len(places) - 1))]
    if isinstance(place, dict):
        key = draw(st.one_of(st.sampled_from(sorted(place)), keys)) if place else draw(keys)
        if key in place and draw(st.booleans()):
            del place[key]
        else:
            place[key] = draw(values)
    else:
        at = draw(st.integers(0, len(place)))
        action = draw(st.sampled_from(["insert", "remove", "set"]))
        if action == "insert" or at == len(place):
            place.insert(at, draw(values))
        elif action == "remove":
            del place[at]
        else:
            place[at] = draw(values)


def _collections(value: Any) -> Any:
    if isinstance(value, dict | list):
        yield value
        for item in value.values() if isinstance(value, dict) else value:
            yield from _collections(item)


fragments = st.lists(
    st.sampled_from(
        [
            "apiVersion: v1", "kind: K", "metadata:", "  name: n", "items:", "- ", "---", "...", "a: &a", "*a",
            "<<: *a", "|", ">+", "{", "}", "[", "]", ",", "? ", ": ", "\t", "\r\n", "\n", "  ", "# c", "'", '"',
            "!!str ", "!x", "%YAML 1.2", "\ufeff", "\u2028", "\x85", "results:", "functionConfig:",
            "    annotations:", "config.kubernetes.io/path: ../x", "      internal.config.kubernetes.io/id: '1'",
            "\x00", "é",
        ]
    ),
    max_size=25,
).map("".join)  # fmt: skip
contents: st.SearchStrategy[bytes] = st.one_of(
    fragments.map(str.encode), st.binary(max_size=60), documents().map(str.encode)
)
"""Anything that may be in a file: pieces of YAML in any order, any bytes, and documents."""
