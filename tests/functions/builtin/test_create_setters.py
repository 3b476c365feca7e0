import pytest

from tests.functions.lists import config, items, results, run, said, text

CASES = {
    "whole value": ("a: nginx", {"n": "nginx"}, "a: nginx # kpt-set: ${n}"),
    "parts": ("a: nginx:1.7", {"n": "nginx", "t": "1.7"}, "a: nginx:1.7 # kpt-set: ${n}:${t}"),
    "longest first": ("a: nginx-abc-x", {"n": "nginx", "l": "nginx-abc"}, "a: nginx-abc-x # kpt-set: ${l}-x"),
    "number": ("a: 3", {"r": "3"}, "a: 3 # kpt-set: ${r}"),
    "quoted": ('a: "true"', {"b": "true"}, 'a: "true" # kpt-set: ${b}'),
    "over another comment": ("a: x # was here", {"n": "x"}, "a: x # kpt-set: ${n}"),
    "list in lines": ("a:\n- y\n- x", {"l": "[x, y]"}, "a: # kpt-set: ${l}\n- y\n- x"),
    "list in brackets": ("a: [x, z]", {"l": "[z, x]"}, "a: [x, z] # kpt-set: ${l}"),
    "empty list": ("a: []", {"l": "[]"}, "a: [] # kpt-set: ${l}"),
    "scalar in brackets": (
        "a: [x, z] # why",
        {"s": "z"},
        "a: # why\n- x\n- z # kpt-set: ${s}",
    ),
    "scalar in braces below a dash": (
        "a:\n- {b: x, c: d}\n- e",
        {"s": "x"},
        "a:\n- b: x # kpt-set: ${s}\n  c: d\n- e",
    ),
}


@pytest.mark.parametrize(("before", "setters", "after"), CASES.values(), ids=CASES.keys())
def test_fields_are_marked(before: str, setters: dict[str, str], after: str) -> None:
    reply = run("create-setters", before, function_config=config(setters))
    assert reply.exit_code == 0, reply.log
    assert items(reply) == [text(after)]
    assert items(run("create-setters", after, function_config=config(setters))) == [text(after)]


@pytest.mark.parametrize(("before", "setters", "after"), CASES.values(), ids=CASES.keys())
def test_what_is_marked_can_be_set(before: str, setters: dict[str, str], after: str) -> None:
    """create-setters and apply-setters agree about where a comment stands."""
    reply = run("apply-setters", after, function_config=config(setters))
    assert all(result["message"].startswith("set field value") for result in results(reply))


def test_results_name_file_and_field() -> None:
    item = "metadata:\n  annotations: {internal.config.kubernetes.io/path: d/a.yaml}\nspec:\n  list:\n  - b: nginx\n"
    [result] = results(run("create-setters", item, function_config=config({"n": "nginx"})))
    assert result == {
        "message": 'Added line comment "kpt-set: ${n}" for field with value "nginx"',
        "field": {"path": "spec.list[0].b"},
        "file": {"path": "d/a.yaml"},
    }


def test_text_of_several_lines_is_left_alone() -> None:
    before = text("a: |\n  nginx\n  x\nb: nginx")
    [item] = items(run("create-setters", before, function_config=config({"n": "nginx"})))
    assert item == before.replace("b: nginx", "b: nginx # kpt-set: ${n}")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "config map cannot be empty"),
        ({"n": "zzz"}, "no matches for the input list of setters"),
        ({"n": "[a"}, "the value of setter n is not YAML: write a scalar or a list"),
    ],
)
def test_what_cannot_be_marked_fails(data: dict[str, str], message: str) -> None:
    reply = run("create-setters", "a: nginx", function_config=config(data))
    assert reply.exit_code == 1
    assert said(reply) == [f"error: failed to create setters: {message}"]
    assert items(reply) == ["a: nginx\n"]
