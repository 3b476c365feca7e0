import pytest
import yaml

from tests.functions.lists import items, run, said, text
from tests.functions.packages import CONFIG_MAP, DEPLOYMENT


def program(source: str, **params: object) -> str:
    value = {"apiVersion": "fn.kpt.dev/v1alpha1", "kind": "StarlarkRun", "metadata": {"name": "fix"}}
    return yaml.safe_dump({**value, "params": params, "source": text(source) if source else ""})


def test_a_program_changes_resources_in_place_and_comments_stay() -> None:
    source = """
    def scale(resources, replicas):
        for resource in resources:
            if resource["kind"] == "Deployment":
                resource["spec"]["replicas"] = replicas
    scale(ctx.resource_list["items"], ctx.resource_list["functionConfig"]["params"]["replicas"])
    """
    reply = run("starlark", DEPLOYMENT, CONFIG_MAP, function_config=program(source, replicas=5))
    assert reply.exit_code == 0, reply.log
    assert items(reply) == [DEPLOYMENT.replace("replicas: 3", "replicas: 5"), CONFIG_MAP]


def test_statements_at_the_top_recursion_and_reassignment_work() -> None:
    source = """
    def depth(n):
        return 0 if n == 0 else 1 + depth(n - 1)
    x = 1
    x = depth(5)
    for resource in ctx.resource_list["items"]:
        if True:
            resource["x"] = x
    """
    [item] = items(run("starlark", "kind: X\nmetadata: {name: x}", function_config=program(source)))
    assert yaml.safe_load(item)["x"] == 5


def test_resources_come_go_and_are_renamed() -> None:
    source = """
    load("encoding/json.star", "json")
    first = ctx.resource_list["items"][0]
    copy = json.decode(json.encode(first))
    copy["metadata"]["name"] = "copy"
    first["metadata"]["name"] = "renamed"
    new = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}
    ctx.resource_list["items"] = [first, copy, new]
    """
    first, copy, new = items(run("starlark", DEPLOYMENT, CONFIG_MAP, function_config=program(source)))
    assert first == DEPLOYMENT.replace("name: web", "name: renamed")
    assert yaml.safe_load(copy) == yaml.safe_load(DEPLOYMENT.replace("name: web", "name: copy"))
    assert yaml.safe_load(new)["kind"] == "Secret"


def test_a_config_map_is_a_program_too() -> None:
    function_config = yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "c"},
            "data": {
                "n": "7",
                "source": 'ctx.resource_list["items"][0]["n"] = ctx.resource_list["functionConfig"]["data"]["n"]',
            },
        }
    )
    [item] = items(run("starlark", "kind: X\nmetadata: {name: x}", function_config=function_config))
    assert yaml.safe_load(item)["n"] == "7"


@pytest.mark.parametrize(
    ("load", "expression", "expected"),
    [
        ("'krmfn.star', 'krmfn'", "krmfn.match_gvk(r, 'apps/v1', 'Deployment')", True),
        ("'krmfn.star', 'krmfn'", "krmfn.match_gvk(r, 'v1', 'Deployment')", False),
        ("'krmfn.star', 'krmfn'", "krmfn.match_name(r, 'web')", True),
        ("'krmfn.star', 'krmfn'", "krmfn.match_namespace(r, 'x')", False),
        ("'encoding/base64.star', 'base64'", "base64.decode(base64.encode('a?b', 'url'), 'url')", "a?b"),
        ("'encoding/base64.star', 'base64'", "base64.encode('a', encoding='standard_raw')", "YQ"),
        ("'encoding/csv.star', 'csv'", "csv.read_all('a,b\\n1,2\\n', skip=1)", [["1", "2"]]),
        ("'encoding/csv.star', 'csv'", "csv.write_all([['a', 'b,c']])", 'a,"b,c"\n'),
        ("'encoding/json.star', 'json'", "json.decode('[1, null]')", [1, None]),
        ("'encoding/yaml.star', 'yaml'", "yaml.loads('a: [1, x]')", {"a": [1, "x"]}),
        ("'encoding/yaml.star', 'yaml'", "yaml.dumps({'a': ['1']})", 'a:\n- "1"\n'),
        ("'encoding/json.star', 'json'", "json.encode({'b': 1, 'a': 'é<'})", '{"a":"é\\u003c","b":1}'),
        ("'encoding/yaml.star', 'yaml'", "yaml.dumps({'b': 1, 'a': [{'d': 1, 'c': 2}]})", "a:\n- c: 2\n  d: 1\nb: 1\n"),
        ("'math.star', 'math'", "[math.round(1.5), math.round(-2.5), math.round(0.4), math.mod(7, 3)]", [2, -3, 0, 1]),
        ("'re.star', 're'", "re.split('x*', 'axb')", ["a", "b"]),
        (
            "'re.star', 're'",
            "[re.split(',', ',a,'), re.split(',', ''), re.split('', 'ab')]",
            [["", "a", ""], [""], ["a", "b"]],
        ),
        ("'hash.star', 'hash'", "hash.md5('a')", "0cc175b9c0f1b6a831c399e269772661"),
        ("'math.star', 'math'", "[math.ceil(1.2), math.floor(math.pi)]", [2, 3]),
        ("'re.star', 're'", "re.findall('n.', 'nginx')", ["ng", "nx"]),
        ("'re.star', 're'", "re.match('(n)(.)', 'nginx')", [["ng", "n", "g"], ["nx", "n", "x"]]),
        ("'re.star', 're'", "re.search('i', 'nginx')", [2, 3]),
        ("'re.star', 're'", "re.search('z', 'nginx')", None),
        ("'re.star', 're'", "re.split('-', 'a-b-c', 2)", ["a", "b-c"]),
        ("'re.star', 're'", "re.sub('(.)-', '${1}_', 'a-b-')", "a_b_"),
    ],
)
def test_modules_can_be_loaded(load: str, expression: str, expected: object) -> None:
    source = f"load({load})\nr = ctx.resource_list['items'][0]\nr['result'] = {expression}\n"
    reply = run("starlark", DEPLOYMENT, function_config=program(source))
    assert reply.exit_code == 0, reply.log
    [item] = items(reply)
    assert yaml.safe_load(item)["result"] == expected


def test_a_set_is_looked_into_joined_and_listed() -> None:
    source = """
    names = set(["b", "a", "b"]) | set(["c"])
    print(len(names), "a" in names, "z" in names, sorted(names), list(set()), [n for n in set(["x"])])
    """
    reply = run("starlark", DEPLOYMENT, function_config=program(source))
    assert reply.log == '3 True False ["a", "b", "c"] [] ["x"]'


def test_the_schemas_of_kubernetes_are_there_and_the_environment_is_not() -> None:
    source = """
    deployment = ctx.open_api["definitions"]["io.k8s.api.apps.v1.Deployment"]
    spec = deployment["properties"]["spec"]["$ref"].split("/")
    print(spec[:2], spec[2] in ctx.open_api["definitions"], ctx.environment)
    """
    assert run("starlark", DEPLOYMENT, function_config=program(source)).log == '["#", "definitions"] True {}'


def test_whole_numbers_are_written_as_such_and_those_that_stay_keep_their_digits() -> None:
    before = "kind: X\nmetadata: {name: x}\na: 1.0\nb: [1e3, 2.50]\nc: 3\n"
    reply = run(
        "starlark", before, function_config=program("r = ctx.resource_list['items'][0]\nr['d'] = [4 / 2, 5 / 2]")
    )
    assert items(reply) == [before + "d:\n- 2\n- 2.5\n"]


def test_the_list_says_what_it_is() -> None:
    source = "print(ctx.resource_list['apiVersion'], ctx.resource_list['kind'])"
    assert run("starlark", DEPLOYMENT, function_config=program(source)).log == "config.kubernetes.io/v1 ResourceList"


def test_what_a_program_prints_is_its_log() -> None:
    reply = run("starlark", DEPLOYMENT, function_config=program("print('a', 1)\nprint('b')\n"))
    assert (reply.exit_code, reply.log) == (0, "a 1\nb")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("print('seen')\nfail('msg')", "fix:2:1: fail: msg"),
        ("x = [\n", "fix:1:1: Parse error"),
        ("x = {}['k']", 'fix:1:5: Key `"k"` was not found'),
        (
            "if True:\n  while True:\n    pass",
            "fix:2:3: `while` is not supported: write `for … in range(n)` and `break`",
        ),
        ("set([1]).add(2)", "a dict has no attribute `add`, nor has what `set(…)` makes"),
        (
            "ctx.resource_list['items'][0]['x'] = set([1])",
            "resources cannot hold functions or sets: write `list(…)` around a set",
        ),
        ("y = nope", "fix:1:5: Variable `nope` not found"),
        ("def g(n):\n  return g(n)\ng(0)", "fix:2:10: Starlark call stack overflow"),
        ("load('http.star', 'http')", "module http.star is not available; those that are: encoding/base64.star,"),
        ("load('/etc/passwd', 'x')", "module /etc/passwd is not available"),
        ("load('encoding/base64.star', 'base64')\nbase64.decode('*')", "cannot decode as base64 text"),
        ("ctx.resource_list['items'] = 3", 'fix: ctx.resource_list["items"] must stay a list'),
        (
            "ctx.resource_list['items'].append({'kind': 'X'})",
            "the program made something that is no resource: resource",
        ),
        ("ctx.resource_list['items'].append(3)", "the program made something that is no resource"),
        ("", "`source` must not be empty"),
    ],
)
def test_a_wrong_program_fails_and_changes_nothing(source: str, message: str) -> None:
    function_config = program(source)
    reply = run("starlark", DEPLOYMENT, function_config=function_config)
    assert reply.exit_code == 1
    assert message in said(reply)[-1], said(reply)
    assert items(reply) == [DEPLOYMENT]


@pytest.mark.parametrize(
    ("function_config", "message"),
    [
        (None, "FunctionConfig is missing. Expect `ConfigMap` or `StarlarkRun`"),
        (
            "apiVersion: a/v1\nkind: B\n",
            "`functionConfig` must be either v1, Kind=ConfigMap or fn.kpt.dev/v1alpha1",
        ),
    ],
)
def test_a_wrong_config_fails(function_config: str | None, message: str) -> None:
    reply = run("starlark", DEPLOYMENT, function_config=function_config)
    assert (reply.exit_code, said(reply)[0].startswith(f"error: {message}")) == (1, True)


@pytest.mark.parametrize(
    ("printed", "line"),
    [
        ("set([1, 2])", "set([1, 2])"),
        ("run", "<function run>"),
        ("lambda x: x", "<function lambda>"),
        ('[run], {"a": set(["b"])}', '[<function run>] {"a": set(["b"])}'),
        ('{"a": run}', '{"a": <function run>}'),
        ("(run,), (1, 2), ()", "(<function run>,) (1, 2) ()"),
        ('True, None, 1.5, "a", ["a"]', 'True None 1.5 a ["a"]'),
        ('"a", "b", sep = "-"', "a-b"),
        ("", ""),
    ],
)
def test_anything_can_be_printed(printed: str, line: str) -> None:
    reply = run("starlark", DEPLOYMENT, function_config=program(f"def run(): pass\nprint({printed})"))
    assert (reply.exit_code, reply.log) == (0, line)


def test_a_list_that_holds_itself_is_printed_and_refused_in_a_resource() -> None:
    source = "l = [None]\nl.append(l)\nprint(l)\n"
    assert run("starlark", DEPLOYMENT, function_config=program(source)).exit_code == 0
    kept = run("starlark", DEPLOYMENT, function_config=program(f"{source}ctx.resource_list['items'][0]['l'] = l"))
    assert kept.exit_code == 1


NOT_FINITE = 'kind: X\nmetadata: {name: x}\nspec: {a: .inf, b: .NaN, c: -.Inf, d: ".inf", e: null}\n'


def test_numbers_that_are_not_finite_keep_their_text() -> None:
    source = "print(ctx.resource_list['items'][0]['spec'])"
    reply = run("starlark", NOT_FINITE, function_config=program(source))
    assert items(reply) == [NOT_FINITE]
    assert reply.log == '{"a": +inf, "b": nan, "c": -inf, "d": ".inf", "e": None}'


@pytest.mark.parametrize("text", ["inf", "-inf", "nan"])
@pytest.mark.parametrize("place", ["{}", "[{}]", "(1, {})", "{{'k': [{}]}}"])
def test_a_program_may_write_numbers_that_are_not_finite(text: str, place: str) -> None:
    value = place.format(f"float('{text}')")
    reply = run("starlark", NOT_FINITE, function_config=program(f"ctx.resource_list['items'][0]['new'] = {value}"))
    assert reply.exit_code == 0, reply.log
    assert (
        f"{'' if text == 'nan' else text.removesuffix('inf')}.{text.removeprefix('-')}"
        in items(reply)[0].partition("new:")[2]
    )
