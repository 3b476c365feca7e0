"""JSON Patch and JSON Merge Patch, with the examples of RFC 6902 (appendix A) and RFC 7386 (appendix A)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from porchflow.content.serving.patches import BadPatch, json_patch, merge_patch

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("before", "patch", "after"),
    [
        ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "qux"}], {"baz": "qux", "foo": "bar"}),
        ({"foo": ["a", "b"]}, [{"op": "add", "path": "/foo/1", "value": "x"}], {"foo": ["a", "x", "b"]}),
        ({"baz": "qux", "foo": "bar"}, [{"op": "remove", "path": "/baz"}], {"foo": "bar"}),
        ({"foo": ["a", "b", "c"]}, [{"op": "remove", "path": "/foo/1"}], {"foo": ["a", "c"]}),
        ({"baz": "qux"}, [{"op": "replace", "path": "/baz", "value": "boo"}], {"baz": "boo"}),
        (
            {"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}},
            [{"op": "move", "from": "/foo/waldo", "path": "/qux/thud"}],
            {"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}},
        ),
        ({"foo": ["a", "b", "c"]}, [{"op": "move", "from": "/foo/1", "path": "/foo/2"}], {"foo": ["a", "c", "b"]}),
        ({"baz": "qux"}, [{"op": "test", "path": "/baz", "value": "qux"}], {"baz": "qux"}),
        ({"foo": "bar"}, [{"op": "add", "path": "/child", "value": {"a": {}}}], {"foo": "bar", "child": {"a": {}}}),
        ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": 1, "xyz": 2}], {"foo": "bar", "baz": 1}),
        ({"/": 9, "~1": 10}, [{"op": "test", "path": "/~01", "value": 10}], {"/": 9, "~1": 10}),
        ({"foo": ["bar"]}, [{"op": "add", "path": "/foo/-", "value": ["a"]}], {"foo": ["bar", ["a"]]}),
        ({"a": 1}, [{"op": "copy", "from": "/a", "path": "/b/c"}], None),
        ({"a": 1}, [{"op": "copy", "from": "/a", "path": "/b"}], {"a": 1, "b": 1}),
        ({"a": 1}, [{"op": "replace", "path": "", "value": 2}], 2),
        ({"a~b/c": 1}, [{"op": "remove", "path": "/a~0b~1c"}], {}),
        ({"a": 1}, [{"op": "test", "path": "/a", "value": True}], None),
        ({"baz": "qux"}, [{"op": "test", "path": "/baz", "value": "bar"}], None),
        ({"foo": "bar"}, [{"op": "add", "path": "/baz/bat", "value": "qux"}], None),
        ({"foo": [1]}, [{"op": "add", "path": "/foo/2", "value": 2}], None),
        ({"foo": [1]}, [{"op": "remove", "path": "/foo/01"}], None),
        ({"foo": [1]}, [{"op": "remove", "path": "/foo/-"}], None),
        ({"a": {"b": 1}}, [{"op": "move", "from": "/a", "path": "/a/b"}], None),
        ({}, [{"op": "remove", "path": "/a"}], None),
        ({}, [{"op": "replace", "path": "/a", "value": 1}], None),
        ({}, [{"op": "add", "path": "a", "value": 1}], None),
        ({}, [{"op": "add", "path": "/a"}], None),
        ({}, [{"op": "grow", "path": "/a"}], None),
        ({}, [{"path": "/a"}], None),
        ({}, {"op": "add", "path": "/a", "value": 1}, None),
        ({}, "nothing", None),
        ({}, [{"op": "test", "path": "", "value": {}}] * 10_001, None),
    ],
)
def test_json_patch(before: Any, patch: Any, after: Any) -> None:
    if after is None:
        with pytest.raises(BadPatch):
            json_patch(before, patch)
    else:
        assert json_patch(before, patch) == after


def test_copies_that_double_a_value_each_time_end_soon() -> None:
    patch = [{"op": "copy", "from": "/a", "path": f"/a/{number}"} for number in range(60)]
    with pytest.raises(BadPatch, match=r"operation \d+: the patch copies more than \d+ bytes"):
        json_patch({"a": {"text": "x"}}, patch)


@given(JSON, JSON)
def test_a_json_patch_changes_nothing_that_is_shared(before: Any, value: Any) -> None:
    wrapped = {"a": before, "list": [1]}
    patch = [{"op": "add", "path": "/b", "value": value}, {"op": "copy", "from": "/a", "path": "/c"}]
    patch += [{"op": "add", "path": "/list/-", "value": 2}]
    assert json_patch(wrapped, patch) == {"a": before, "b": value, "c": before, "list": [1, 2]}
    assert wrapped == {"a": before, "list": [1]}


@pytest.mark.parametrize(
    ("before", "patch", "after"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch(before: Any, patch: Any, after: Any) -> None:
    assert merge_patch(before, patch) == after
