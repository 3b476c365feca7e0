import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from porchflow.functions.builtin.apply_setters import derive
from tests.functions.lists import config, items, results, run, said, text

CASES = {
    "one setter": ("a: x # kpt-set: ${n}", {"n": "w"}, "a: w # kpt-set: ${n}"),
    "part of a value": ("a: nginx:1.0 # kpt-set: ${i}:${t}", {"t": "2.0"}, "a: nginx:2.0 # kpt-set: ${i}:${t}"),
    "plain numbers become numbers": ("a: 4 # kpt-set: ${n}", {"n": "7"}, "a: 7 # kpt-set: ${n}"),
    "as it was given": ("a: 1.9 # kpt-set: ${n}", {"n": "1.10"}, "a: 1.10 # kpt-set: ${n}"),
    "quoted stays quoted": ("a: '4' # kpt-set: ${n}", {"n": "7"}, "a: '7' # kpt-set: ${n}"),
    "empty": ("a: x # kpt-set: ${n}", {"n": ""}, 'a: "" # kpt-set: ${n}'),
    "from nothing": ("a: # kpt-set: ${n}", {"n": "w"}, "a: w # kpt-set: ${n}"),
    "in a list": ("a:\n- x # kpt-set: ${n}", {"n": "w"}, "a:\n- w # kpt-set: ${n}"),
    "other setter": ("a: x # kpt-set: ${n}", {"m": "y"}, "a: x # kpt-set: ${n}"),
    "no space": ("a: x # kpt-set:${n}", {"n": "y"}, "a: x # kpt-set:${n}"),
    "no space before": ("a: x #kpt-set: ${n}", {"n": "y"}, "a: x #kpt-set: ${n}"),
    "not at the start": ("a: x # see kpt-set: ${n}", {"n": "y"}, "a: x # see kpt-set: ${n}"),
    "list below its key": (
        "a: # kpt-set: ${l}\n- x # one\n- z",
        {"l": "[x, y, z]"},
        'a: # kpt-set: ${l}\n- x # one\n- "y"\n- z',
    ),
    "list in brackets": ("a: [x] # kpt-set: ${l}", {"l": "- x\n- 1\n"}, "a: [x, 1] # kpt-set: ${l}"),
    "emptied list": ("a: # kpt-set: ${l}\n- x", {"l": ""}, "a: [] # kpt-set: ${l}"),
    "filled list": ("a: [] # kpt-set: ${l}", {"l": "[x]"}, "a: # kpt-set: ${l}\n- x"),
    "map": ("a: # kpt-set: ${n}\n  b: c", {"n": "y"}, "a: # kpt-set: ${n}\n  b: c"),
    "several": (
        "a: x # kpt-set: ${n}\nb:\n  c: x-z # kpt-set: ${n}-z # more\n",
        {"n": "y1"},
        'a: y1 # kpt-set: ${n}\nb:\n  c: "y1-z # more" # kpt-set: ${n}-z # more',
    ),
}


@pytest.mark.parametrize(("before", "setters", "after"), CASES.values(), ids=CASES.keys())
def test_setters_are_written_where_comments_name_them(before: str, setters: dict[str, str], after: str) -> None:
    reply = run("apply-setters", before, function_config=config(setters))
    assert reply.exit_code == 0
    assert items(reply) == [text(after)]
    again = run("apply-setters", after, function_config=config(setters))
    assert items(again) == [text(after)]


def test_results_name_file_and_field() -> None:
    item = """
    metadata:
      annotations: {internal.config.kubernetes.io/path: d/a.yaml}
    spec:
      replicas: 3 # kpt-set: ${n}
      args:
      - [x] # kpt-set: ${l}
      - a=1 # kpt-set: a=${n}
      list: [1] # kpt-set: ${l}
    """
    reply = run("apply-setters", item, function_config=config({"n": "3", "l": '["q"]'}))
    assert results(reply) == [
        {"message": 'set field value to "3"', "field": {"path": "spec.replicas"}, "file": {"path": "d/a.yaml"}},
        {"message": 'set field value to "a=3"', "field": {"path": "spec.args[1]"}, "file": {"path": "d/a.yaml"}},
        {"message": 'set field value to "[\\"q\\"]"', "field": {"path": "spec.list"}, "file": {"path": "d/a.yaml"}},
    ]


def test_no_match_is_said() -> None:
    reply = run("apply-setters", "a: 1", function_config=config({"n": "3"}))
    assert said(reply) == [": no matches for input setter(s)"]


FAILURES = {
    "missing": ("a: x # kpt-set: ${n}-${m}-${k}", {"n": "y"}, "values for setters [${m} ${k}] must be provided"),
    "array pattern": ("a: [x] # kpt-set: ${n}-${m}", {"n": "y"}, 'invalid setter pattern for array node: "${n}-${m}"'),
    "no array": (
        "a: [x] # kpt-set: ${n}",
        {"n": "y"},
        'input to array setter must be an array of values, but found "y"',
    ),
    "a later one": (
        "a: x # kpt-set: ${n}\nb: x # kpt-set: ${m}-${n}",
        {"n": "y"},
        "values for setters [${m}] must be provided",
    ),
}


@pytest.mark.parametrize(("item", "setters", "problem"), FAILURES.values(), ids=FAILURES.keys())
def test_failures_end_the_function(item: str, setters: dict[str, str], problem: str) -> None:
    reply = run("apply-setters", item, function_config=config(setters))
    assert (reply.exit_code, reply.log) == (1, f"failed to apply setters: {problem}")
    assert said(reply) == [f"error: failed to apply setters: {problem}"]
    assert items(reply) == [text(item)]


@pytest.mark.parametrize("settings", [None, config({}), "apiVersion: v1\nkind: ConfigMap\n"])
def test_without_setters_there_is_nothing_to_do(settings: str | None) -> None:
    reply = run("apply-setters", "a: x # kpt-set: ${n}", function_config=settings)
    assert (reply.exit_code, said(reply)) == (0, [": no matches for input setter(s)"])


def test_a_failure_leaves_items_before_it_as_they_were() -> None:
    before = ["a: x # kpt-set: ${n}\n", "b: x # kpt-set: ${m}-${n}\n"]
    reply = run("apply-setters", *before, function_config=config({"n": "y"}))
    assert (items(reply), len(said(reply))) == (before, 1)


def _by_regular_expression(pattern: str, current: str) -> dict[str, str]:
    names = re.findall(r"\$\{([^}]*)\}", pattern)
    found = re.search("(.*)".join(map(re.escape, re.split(r"\$\{[^}]*\}", pattern))), current)
    if not found or not all(found.groups()):
        return {}
    return dict(zip(names, found.groups(), strict=True))


@settings(deadline=None, max_examples=500)
@given(
    st.lists(st.sampled_from(["${a}", "${b}", "${c}", "-", ".", "x", "xy"]), max_size=7), st.text("-.xy\n", max_size=12)
)
def test_deriving_is_what_the_regular_expression_does(parts: list[str], current: str) -> None:
    pattern = "".join(parts)
    assert derive(pattern, current) == _by_regular_expression(pattern, current)


def test_deriving_from_a_hostile_pattern_ends() -> None:
    assert derive("${a}x" * 3000 + "y", "x" * 200_000) == {}
