import pytest

from porchflow.functions.builtin.search_replace import path_matches
from tests.functions.lists import config, items, results, run, said, text
from tests.functions.packages import CONFIG_MAP, DEPLOYMENT

INIT, SERVER = "spec.template.spec.initContainers[0].image", "spec.template.spec.containers[0].image"


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ({"by-value": "nginx:1.0"}, [(INIT, "nginx:1.0"), (SERVER, "nginx:1.0 # the server")]),
        ({"by-value": "nginx"}, []),
        ({"by-value-regex": "^nginx-"}, [("data.list", "nginx-1.0")]),
        (
            {"by-value-regex": "1[.]0"},
            [(INIT, "nginx:1.0"), (SERVER, "nginx:1.0 # the server"), ("data.list", "nginx-1.0")],
        ),
        ({"by-path": "**.image"}, [(INIT, "nginx:1.0"), (SERVER, "nginx:1.0 # the server")]),
        ({"by-path": "**.containers[*].image"}, [(SERVER, "nginx:1.0 # the server")]),
        ({"by-path": "spec.*"}, [("spec.replicas", "3")]),
        ({"by-path": "**.args[1]"}, [("spec.template.spec.containers[0].args[1]", "b")]),
        ({"by-path": "data.a", "by-value": "1"}, [("data.a", '"1"')]),
        ({"by-path": "data.a", "by-value": "2"}, []),
        ({"by-file-path": "d/*", "by-value-regex": "nginx"}, [("data.list", "nginx-1.0")]),
    ],
)
def test_fields_are_found(data: dict[str, str], found: list[tuple[str, str]]) -> None:
    reply = run("search-replace", DEPLOYMENT, CONFIG_MAP, function_config=config(data))
    matched = [(result["field"]["path"], result["message"]) for result in results(reply) if "field" in result]
    quoted = [(path, value.replace('"', '\\"')) for path, value in found]
    assert matched == [(path, f'Matched field value "{value}"') for path, value in quoted]
    assert items(reply) == [DEPLOYMENT, CONFIG_MAP]
    assert found or said(reply) == [": no matches"]


CASES = {
    "value": ("a: x # c", {"by-value": "x", "put-value": "y1"}, "a: y1 # c"),
    "type is read anew": ("a: x", {"by-value": "x", "put-value": "5"}, "a: 5"),
    "quotes stay": ("a: 'x'", {"by-value": "x", "put-value": "5"}, "a: '5'"),
    "groups": ("a: nginx:1.0", {"by-value-regex": "nginx:(.*)", "put-value": "r.io/nginx@${1}"}, "a: r.io/nginx@1.0"),
    "missing path is made": ("a: x", {"by-path": "b.c", "put-value": "y"}, 'a: x\nb:\n  c: "y"'),
    "pattern makes nothing": ("a: x", {"by-path": "b.*", "put-value": "y"}, "a: x"),
    "comment": ("a: x", {"by-path": "a", "put-comment": "kpt-set: ${n}"}, "a: x # kpt-set: ${n}"),
    "comment in place of another": ("a: x # old", {"by-value": "x", "put-comment": "new"}, "a: x # new"),
    "comment and value": (
        "a: x-1",
        {"by-value-regex": "x-(.)", "put-value": "${1}", "put-comment": "${1}?"},
        "a: 1 # 1?",
    ),
    "comment on a list": ("a:\n- x", {"by-path": "a", "put-comment": "l"}, "a: # l\n- x"),
    "comment inside brackets": ("a: [x, z]", {"by-path": "a[1]", "put-comment": "l"}, "a:\n- x\n- z # l"),
    "comment on a literal": ("a: |\n  x\n  z\nb: c", {"by-path": "a", "put-comment": "l"}, "a: | # l\n  x\n  z\nb: c"),
}


@pytest.mark.parametrize(("before", "data", "after"), CASES.values(), ids=CASES.keys())
def test_values_and_comments_are_put(before: str, data: dict[str, str], after: str) -> None:
    reply = run("search-replace", before, function_config=config(data))
    assert reply.exit_code == 0, reply.log
    assert items(reply) == [text(after)]


@pytest.mark.parametrize(
    ("path", "pattern", "expected"),
    [
        ("a.b.c", "a.b.c", True),
        ("a.b.c", "a.*.c", True),
        ("a.b.c", "a.**", True),
        ("a.b.c", "**.c", True),
        ("a.b.c", "**.b", False),
        ("a.b.c", "a.b.c.**", True),
        ("a[0].b", "a[*].b", True),
        ("a[0].b", "*[0].b", True),
        ("a[0].b", "a[1].b", False),
        ("a[0].b", "a.b", False),
        ("a.b", "", False),
        ("a.a.b.c.e.b", "a.*.b.**.b", True),
    ],
)
def test_paths_match(path: str, pattern: str, *, expected: bool) -> None:
    assert path_matches(path, pattern) is expected


@pytest.mark.parametrize(
    ("pattern", "found"),
    [("**/*.yaml", 2), ("*.yaml", 1), ("d/?.yaml", 1), ("{a,z}.yaml", 1), ("[a-c].yaml", 1), ("d/**", 1), ("*", 1)],
)
def test_files_are_chosen_by_pattern(pattern: str, found: int) -> None:
    data = {"by-file-path": pattern, "by-path": "kind"}
    assert len(results(run("search-replace", DEPLOYMENT, CONFIG_MAP, function_config=config(data)))) == found


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"by": "x"}, 'invalid matcher "by", must be one of ["by-value" "by-file-path"'),
        ({"by-value": "x", "by-value-regex": "x"}, 'only one of ["by-value", "by-value-regex"] can be provided'),
        ({"by-value-regex": "ngin(x)", "put-value": "${2}"}, "unable to resolve capture groups"),
        ({"by-value-regex": "("}, "error parsing regexp: missing closing ): `(`"),
        ({"by-path": "kind.x", "put-value": "y"}, "`x` cannot be set in Deployment web: it is no field of a mapping"),
        ({"by-file-path": "{a", "by-value": "x"}, "syntax error in pattern `{a` of by-file-path"),
    ],
)
def test_a_wrong_config_fails_and_changes_nothing(data: dict[str, str], message: str) -> None:
    reply = run("search-replace", DEPLOYMENT, function_config=config(data))
    assert (reply.exit_code, items(reply)) == (1, [DEPLOYMENT])
    assert reply.log.startswith(message)
    assert len(said(reply)) == 1
    assert said(reply)[0].startswith("error: failed to perform search-replace operation: ")


def test_json_gets_no_comments() -> None:
    json = '{"kind": "X",\n  "a": "nginx"\n}\n'
    reply = run("search-replace", json, "b: nginx\n", function_config=config({"by-value": "nginx", "put-comment": "c"}))
    assert items(reply) == [json, "b: nginx # c\n"]
    assert said(reply) == ["warning:  takes no comments: JSON has none"]
    assert items(run("create-setters", json, "b: nginx", function_config=config({"n": "nginx"})))[0] == json
