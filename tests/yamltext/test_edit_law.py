"""The law of edits: n changed scalars change their own texts and nothing else, wherever their items stand."""

import copy
import itertools
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from porchflow.yamltext.align import align
from porchflow.yamltext.document import Document, apply, load
from tests.yamltext.kubernetes_lists import edits, text_of, value_of


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(edits())
def test_changed_scalars_change_their_texts_and_nothing_else(edit: tuple[dict[str, Any], dict[str, Any]]) -> None:
    old, new = edit
    text = text_of(old)
    assert load(text) == value_of(old)
    assert apply(text, value_of(new)) == text_of(new)
    assert Document(text).edit_text(value_of(new)) == text_of(new)


ANCHORS = """\
shared: &shared # one for all
  a: 1 # kpt-set: ${a}
  b: [x, 'y'] # both
anchored: &name web # kpt-set: ${name}
"""
USES = """\
uses:
# the first
- *shared
- <<: *shared # as above
  c: "2"
other: *name # the same
"""


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(edits())
def test_anchors_aliases_and_merge_keys_beside_an_edit_stay(edit: tuple[dict[str, Any], dict[str, Any]]) -> None:
    beside = load(ANCHORS + USES)
    text, expected = (ANCHORS + text_of(each) + USES for each in edit)
    wanted = {**beside, **value_of(edit[1])}
    assert apply(text, wanted) == expected
    assert Document(text).edit_text(wanted) == expected


@pytest.mark.parametrize(
    ("path", "value", "kept"),
    [
        pytest.param(
            ("other",), "db", ["- *shared", "anchored: &name web # kpt-set: ${name}", "# the same"], id="alias"
        ),
        pytest.param(
            ("anchored",),
            "db",
            ["anchored: &name db # kpt-set: ${name}", "other: web # the same", "# the first"],
            id="anchor",
        ),
        pytest.param(("shared", "a"), 5, ["  a: 5 # kpt-set: ${a}", "# both", "# the first"], id="inside an anchor"),
        pytest.param(("uses", 1, "c"), "3", ["- *shared", "- <<: *shared # as above", '  c: "3"'], id="merge key"),
    ],
)
def test_an_edit_of_what_is_shared_changes_that_one_value(path: tuple[Any, ...], value: Any, kept: list[str]) -> None:
    wanted = copy.deepcopy(load(ANCHORS + USES))
    place = wanted
    for step in path[:-1]:
        place[step] = copy.deepcopy(place[step])
        place = place[step]
    place[path[-1]] = value
    text = apply(ANCHORS + USES, wanted)
    assert load(text) == wanted
    assert [line for line in kept if line not in text] == []


NAMED = """\
items:
# the first
- name: {0} # kpt-set: ${{one}}
  image: "x:1" # pinned
- name: '{1}' # kpt-set: ${{two}}
  # its image
  image: y:2
- name: "{2}"
  image: z:3 # the last
"""


@pytest.mark.parametrize("names", list(itertools.product("abcd", repeat=3)))
def test_names_that_are_exchanged_or_shifted_move_nothing(names: tuple[str, str, str]) -> None:
    text, expected = NAMED.format(*"abc"), NAMED.format(*names)
    assert apply(text, load(expected)) == expected
    assert Document(text).edit_text(load(expected)) == expected


def test_elements_that_moved_take_their_texts_along() -> None:
    text = "items:\n# one\n- name: a # its a\n  v: 1\n# two\n- name: b # its b\n  v: 2\n"
    moved = "items:\n# two\n- name: b # its b\n  v: 2\n# one\n- name: a # its a\n  v: 3\n"
    assert apply(text, load(moved)) == moved


@pytest.mark.parametrize(
    ("text", "path", "value", "expected"),
    [
        ("a: &n web # c\nb: 1\n", ("a",), "db", "a: &n db # c\nb: 1\n"),
        ("a: &n !!str web # c\nb: 1\n", ("a",), "db", "a: &n !!str db # c\nb: 1\n"),
        ("- name: !!int &n 5 # c\n", (0, "name"), "db", "- name: &n db # c\n"),
        ("- &n 'web' # c\n- x\n", (0,), "db", "- &n 'db' # c\n- x\n"),
        ("a:\n  ? k # key\n  : x # c\n  b: y # d\n", ("a", "k"), "z", "a:\n  ? k # key\n  : z # c\n  b: y # d\n"),
        (
            "a: &a\n  k: 1\nb:\n  <<: *a # m\n  c: x # d\n",
            ("b", "c"),
            "z",
            "a: &a\n  k: 1\nb:\n  <<: *a # m\n  c: z # d\n",
        ),
        (
            "a: &a\n  k: 1\nb:\n  <<: *a # m\n  c: x # d\n",
            ("b", "k"),
            2,
            "a: &a\n  k: 1\nb:\n  <<: *a # m\n  c: x # d\n  k: 2\n",
        ),
    ],
)
def test_anchors_tags_explicit_keys_and_merge_keys_stay(
    text: str, path: tuple[Any, ...], value: Any, expected: str
) -> None:
    wanted = copy.deepcopy(load(text))
    place = wanted
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert apply(text, wanted) == expected
    assert Document(text).edit_text(wanted) == expected


@pytest.mark.parametrize("count", [10, 40, 90])
def test_names_of_long_lists_that_are_shifted_or_exchanged_move_nothing(count: int) -> None:
    def text(names: list[str]) -> str:
        items = (f"- name: {name} # the {n}.\n  v: {n}\n  w: {n}\n" for n, name in enumerate(names))
        return "items:\n" + "".join(items)

    names = [f"n{n}" for n in range(count)]
    for new in ([*names[1:], "last"], ["first", *names[:-1]], names[::-1]):
        assert apply(text(names), load(text(new))) == text(new)


def test_a_long_list_whose_named_elements_were_shuffled_is_paired_soon() -> None:
    """Comparing each with each would take half a minute."""
    old = [{"name": f"n{n}", **{f"k{key}": n for key in range(60)}} for n in range(400)]
    new = [{**element, "name": f"n{n}", "k0": -1} for n, element in enumerate(old)][::-1]
    pairs = align(old, new)
    assert [pair for pair in pairs if pair[0] != 399 - (pair[1] or 0)] == []
