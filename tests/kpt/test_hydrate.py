import asyncio
from typing import Any

import pytest
import yaml

from kpt.evaluation import Evaluation
from kpt.hydrate import RenderOutcome
from tests.kpt.rendering import (
    INDEX,
    LEGACY_PATH,
    PACKAGE_PATH,
    PATH,
    Functions,
    config_map,
    fail,
    kptfile,
    run,
)


def status(outcome: RenderOutcome, path: str = "Kptfile") -> dict[str, Any]:
    value: dict[str, Any] = yaml.safe_load(outcome.files[path])["status"]
    return value


def without_status(content: bytes) -> bytes:
    return content.partition(b"status:\n")[0]


def item(given: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in given["items"] if each["metadata"]["name"] == name)
    return found


async def test_without_a_kptfile_nothing_happens() -> None:
    files = {"a.yaml": b"a: [", "b": b"\xff"}
    outcome = await run(files, Functions())
    assert (outcome.ok, outcome.files, outcome.steps) == (True, files, [])


async def test_one_changed_value_changes_one_line() -> None:
    files = {"Kptfile": kptfile("p", mutators="[{image: change}] # keep"), "c.yaml": config_map("c", x="1", y="2")}

    def change(given: dict[str, Any]) -> None:
        item(given, "c")["data"]["y"] = "3"

    outcome = await run(files, Functions(change=change))
    assert outcome.ok
    assert outcome.files["c.yaml"] == files["c.yaml"].replace(b'y: "2" # about y', b'y: "3" # about y')
    assert without_status(outcome.files["Kptfile"]) == files["Kptfile"]


async def test_a_function_that_reformats_everything_changes_no_file() -> None:
    files = {
        "Kptfile": kptfile("p", mutators="[{image: nothing}]"),
        "c.yaml": config_map("c", x="1") + b"---\n# only a comment\n---\n" + config_map("d").replace(b"\n", b"\r\n"),
        "j.json": b'{"kind": "K",   "apiVersion": "v1", "metadata": {"name": "j"}}',
        "bom.yaml": b"\xef\xbb\xbf" + config_map("bom"),
        "anchors.yaml": b"apiVersion: v1\nkind: K\nmetadata: {name: x}\na: &a {b: 1}\nc: *a\n",
        "README.md": b"\xff\x00",
        "empty.yaml": b"# nothing\n",
    }
    functions = Functions()
    outcome = await run(files, functions)
    assert outcome.ok, outcome.message
    assert functions.items(0) == [
        "/Kptfile:p",
        "/anchors.yaml:x",
        "/bom.yaml:bom",
        "/c.yaml:c",
        "/c.yaml:d",
        "/j.json:j",
    ]
    for path, content in files.items():
        if path != "Kptfile":
            assert outcome.files[path] == content, path


async def test_rendering_again_gives_the_same_bytes() -> None:
    files = {"Kptfile": kptfile("p", mutators="[{image: nothing}]"), "c.yaml": config_map("c")}
    first = await run(files, Functions())
    second = await run(first.files, Functions())
    assert second.files == first.files


async def test_the_wire_format() -> None:
    files = {
        "top/Kptfile": kptfile("p", mutators="[{image: a, configMap: {n: 1, b: 'on'}}]"),
        "top/c.yaml": config_map("c") + b"---\napiVersion: v1\nkind: K\nmetadata: {name: d}\nl:\n  - 1\n",
        "top/sub/Kptfile": kptfile("s"),
        "other.yaml": b"not: [a resource",
    }
    functions = Functions()
    outcome = await run(files, functions)
    assert outcome.ok, outcome.message
    image, sent = functions.calls[0]
    assert image == "example.com/fn/a:latest"
    assert sent["functionConfig"] == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "function-input"},
        "data": {"n": "1", "b": "on"},
    }
    assert item(sent, "d")["metadata"]["annotations"] == {
        "config.kubernetes.io/index": "1",
        "config.kubernetes.io/path": "c.yaml",
        "internal.config.kubernetes.io/index": "1",
        "internal.config.kubernetes.io/package-path": "/",
        "internal.config.kubernetes.io/path": "c.yaml",
        "internal.config.kubernetes.io/seqindent": "wide",
        "internal.config.kubernetes.io/annotations-migration-resource-id": "2",
        "internal.config.kubernetes.io/id": "3",
        "config.k8s.io/id": "3",
    }
    assert item(sent, "s")["metadata"]["annotations"][PACKAGE_PATH] == "/sub"
    assert outcome.files["other.yaml"] == files["other.yaml"]


def _tree(root_annotations: str = "") -> dict[str, bytes]:
    """root{a{x}, b{y}, dir/c}, each with one function named as the package."""
    names = {"": "root", "a": "a", "a/x": "x", "b": "b", "b/y": "y", "dir/c": "c"}
    return {
        f"{path}/Kptfile".lstrip("/"): kptfile(
            name, mutators=f"[{{image: {name}}}]", annotations=root_annotations if not path else ""
        )
        for path, name in names.items()
    }


@pytest.mark.parametrize(
    ("annotations", "order"),
    [("", ["x", "a", "y", "b", "c", "root"]), ("{kpt.dev/bfs-rendering: 'True'}", ["root", "a", "b", "c", "x", "y"])],
)
async def test_packages_render_in_kpts_order(annotations: str, order: list[str]) -> None:
    functions = Functions()
    outcome = await run(_tree(annotations), functions)
    assert outcome.ok
    names = [image.removeprefix("example.com/fn/").partition(":")[0] for image, _ in functions.calls]
    assert names == order
    root_call = order.index("root")
    assert functions.items(root_call) == [
        "/Kptfile:root",
        "/a/Kptfile:a",
        "/a/x/Kptfile:x",
        "/b/Kptfile:b",
        "/b/y/Kptfile:y",
        "/dir/c/Kptfile:c",
    ]
    assert functions.items(order.index("a")) == ["/a/Kptfile:a", "/a/x/Kptfile:x"]


@pytest.mark.parametrize("annotations", ["", "{kpt.dev/bfs-rendering: 'true'}"])
async def test_a_parent_sees_and_may_delete_what_its_subpackages_became(annotations: str) -> None:
    files = {**_tree(annotations), "a/c.yaml": config_map("cm"), "b/only.yaml": config_map("only")}

    def drop(given: dict[str, Any]) -> None:
        given["items"] = [each for each in given["items"] if each["metadata"]["name"] not in ("cm", "y", "only")]

    outcome = await run(files, Functions(root=drop))
    assert outcome.ok, outcome.message
    assert set(files) - set(outcome.files) == {"a/c.yaml", "b/y/Kptfile", "b/only.yaml"}


async def test_mutators_run_in_order_and_validators_cannot_mutate() -> None:
    files = {
        "Kptfile": kptfile("p", mutators="[{image: one}, {image: two}]", validators="[{image: look}]"),
        "c.yaml": config_map("c", x="0"),
    }

    def append(letter: str) -> Any:
        def behave(given: dict[str, Any]) -> None:
            item(given, "c")["data"]["x"] += letter

        return behave

    outcome = await run(files, Functions(one=append("1"), two=append("2"), look=append("v")))
    assert b'x: "012" # about x' in outcome.files["c.yaml"]
    assert [(step.kind, step.image) for step in outcome.steps] == [
        ("mutator", "example.com/fn/one:latest"),
        ("mutator", "example.com/fn/two:latest"),
        ("validator", "example.com/fn/look:latest"),
    ]


async def test_a_config_file_is_read_after_earlier_functions_changed_it() -> None:
    pipeline = "[{image: change}, {image: use, configPath: ./c.yaml}]"
    files = {
        "Kptfile": kptfile("p", mutators=pipeline, validators="[{image: check, configPath: c.yaml}]"),
        "c.yaml": config_map("c", x="1"),
    }

    def change(given: dict[str, Any]) -> None:
        item(given, "c")["data"]["x"] = "2"

    functions = Functions(change=change)
    await run(files, functions)
    assert [sent.get("functionConfig", {}).get("data") for _, sent in functions.calls] == [None, {"x": "2"}, {"x": "2"}]


SELECTIONS = {
    "kind": ("selectors: [{kind: ConfigMap}]", {"c", "d"}),
    "name": ("selectors: [{name: c}]", {"c"}),
    "all fields must match": ("selectors: [{kind: ConfigMap, name: p}]", set()),
    "any selector may match, once": ("selectors: [{name: c}, {kind: ConfigMap}, {name: p}]", {"c", "d", "p"}),
    "empty selector": ("selectors: [{}]", {"p", "c", "d", "l"}),
    "labels": ("selectors: [{labels: {app: x}}]", {"l"}),
    "namespace": ("selectors: [{namespace: n}]", {"l"}),
    "annotations": ("selectors: [{annotations: {a: b}}]", {"l"}),
    "apiVersion": ("selectors: [{apiVersion: v1}]", {"c", "d", "l"}),
    "exclude": ("exclude: [{kind: Kptfile}]", {"c", "d", "l"}),
    "empty exclusion": ("exclude: [{}]", {"p", "c", "d", "l"}),
    "both": ("selectors: [{kind: ConfigMap}], exclude: [{name: d}]", {"c"}),
}


@pytest.mark.parametrize(("choice", "names"), SELECTIONS.values(), ids=SELECTIONS.keys())
async def test_selectors_choose_and_the_rest_stays(choice: str, names: set[str]) -> None:
    files = {
        "Kptfile": kptfile("p", mutators=f"[{{image: drop, {choice}}}]"),
        "c.yaml": config_map("c"),
        "d.yaml": config_map("d"),
        "l.yaml": (
            b"apiVersion: v1\nkind: L\nmetadata: {name: l, namespace: n, labels: {app: x, b: c}, annotations: {a: b}}\n"
        ),
    }

    def drop(given: dict[str, Any]) -> None:
        assert all(
            "internal.config.k8s.io/kpt-resource-id" in each["metadata"]["annotations"] for each in given["items"]
        )
        given["items"] = [{"apiVersion": "v1", "kind": "New", "metadata": {"name": "made"}}]

    functions = Functions(drop=drop)
    outcome = await run(files, functions)
    assert outcome.ok, outcome.message
    assert {sent["metadata"]["name"] for sent in functions.calls[0][1]["items"]} == names
    left = {"p": "Kptfile", "c": "c.yaml", "d": "d.yaml", "l": "l.yaml"}
    assert set(outcome.files) == {path for name, path in left.items() if name not in names} | {"new_made.yaml"}


async def test_resources_are_made_moved_and_deleted() -> None:
    files = {
        "Kptfile": kptfile("p", mutators="[{image: f}]"),
        "two.yaml": config_map("one") + b"---\n" + config_map("two"),
        "gone.yaml": config_map("gone"),
        "moves.yaml": config_map("moves"),
    }

    def behave(given: dict[str, Any]) -> None:
        given["items"] = [each for each in given["items"] if each["metadata"]["name"] not in ("gone", "two")]
        item(given, "moves")["metadata"]["annotations"][LEGACY_PATH] = "there/moved.yaml"
        made = {"apiVersion": "v1", "kind": "Made", "metadata": {"name": "m", "namespace": "ns"}, "b": 1, "a": [1]}
        placed = {"apiVersion": "v1", "kind": "Made", "metadata": {"name": "j", "annotations": {PATH: "/abs/j.json"}}}
        given["items"] += [made, placed]

    outcome = await run(files, Functions(f=behave))
    assert outcome.ok, outcome.message
    assert set(outcome.files) == {"Kptfile", "two.yaml", "there/moved.yaml", "ns/made_m.yaml", "abs/j.json"}
    assert outcome.files["two.yaml"] == config_map("one")
    assert outcome.files["there/moved.yaml"] == files["moves.yaml"]
    assert yaml.safe_load(outcome.files["ns/made_m.yaml"])["metadata"] == {"name": "m", "namespace": "ns"}
    assert outcome.files["abs/j.json"] == (
        b'{\n  "apiVersion": "v1",\n  "kind": "Made",\n  "metadata": {\n    "name": "j"\n  }\n}\n'
    )


async def test_an_explicitly_empty_answer_deletes_everything() -> None:
    files = {"Kptfile": kptfile("p", mutators="[{image: f}]"), "c.yaml": config_map("c"), "README.md": b"x"}
    outcome = await run(files, Functions(f=lambda given: {**given, "items": []}))
    assert (outcome.ok, set(outcome.files)) == (True, {"README.md"})


def _path(path: str) -> Any:
    def behave(given: dict[str, Any]) -> None:
        annotations = item(given, "c")["metadata"]["annotations"]
        annotations[PATH] = annotations[LEGACY_PATH] = path

    return behave


def _annotate(**values: str) -> Any:
    names = {"path": PATH, "legacy": LEGACY_PATH, "index": INDEX, "package": PACKAGE_PATH}

    def behave(given: dict[str, Any]) -> None:
        item(given, "c")["metadata"]["annotations"].update({names[key]: value for key, value in values.items()})

    return behave


def _no_name(given: dict[str, Any]) -> None:
    del item(given, "c")["metadata"]["name"]


def _twice(given: dict[str, Any]) -> None:
    given["items"].append(dict(item(given, "c")))


BAD_OUTPUT = {
    "outside": (
        _path("../x.yaml"),
        "function must not modify resources outside of package: resource has path ../x.yaml",
    ),
    "outside after cleaning": (_path("a/../../x.yaml"), "function must not modify resources outside of package"),
    "into .git": (_path(".git/hooks/x.yaml"), "must not lead into a .git directory"),
    "no file": (_path("."), "must not have empty or `.` segments"),
    "nul": (_path("a\0b"), "NUL character"),
    "other package": (_annotate(package="/../x"), "function must not modify resources outside of package"),
    "mismatch": (_annotate(path="x.yaml", legacy="y.yaml"), "mismatched legacy and internal path annotations"),
    "index": (_annotate(index="-1"), "has index '-1', expected a number"),
    "no name": (
        _no_name,
        "output resource list must contain only KRM resources: c.yaml: resource must have `metadata.name`",
    ),
    "same place": (_twice, 'resource at path "c.yaml" and index "0" already exists'),
    "no output": (lambda _: b"", "the function gave no output"),
    "garbage": (lambda _: b"items: [", "MalformedYAMLError"),
    "binary": (lambda _: b"\xff\xfe", "MalformedYAMLError"),
    "no list": (lambda _: b"just text", "MalformedYAMLError"),
    "other kind": (lambda _: b"kind: Pod\nitems: []\n", "MalformedYAMLError: expected a ResourceList"),
    "items no list": (lambda _: b"kind: ResourceList\nitems: {a: b}\n", "`items` of the ResourceList must be a list"),
    "item no map": (lambda _: b"kind: ResourceList\nitems: [1]\n", "an item is not a mapping"),
}


@pytest.mark.parametrize(("behave", "problem"), BAD_OUTPUT.values(), ids=BAD_OUTPUT.keys())
async def test_output_that_cannot_be_used_fails_the_rendering(behave: Any, problem: str) -> None:
    files = {"Kptfile": kptfile("p", mutators="[{image: ok}, {image: f}]"), "c.yaml": config_map("c", x="1")}

    def ok(given: dict[str, Any]) -> None:
        item(given, "c")["data"]["x"] = "2"

    outcome = await run(files, Functions(f=behave, ok=ok))
    assert not outcome.ok
    assert problem in outcome.message
    assert outcome.files["c.yaml"] == files["c.yaml"]
    assert without_status(outcome.files["Kptfile"]) == files["Kptfile"]
    step = status(outcome)["renderStatus"]["mutationSteps"][1]
    assert problem in step["executionError"]
    assert step["exitCode"] == 1


RESULTS = [
    {"message": "bad", "severity": "error", "resourceRef": {"kind": "K", "metadata": {"name": "n", "namespace": "ns"}}},
    {"message": "odd", "field": {"path": "a.b", "currentValue": {"b": [1, True], "a": None}, "suggestedValue": 2}},
    {"message": "where", "severity": "info", "file": {"path": "c.yaml", "index": 0}, "tags": {"a": "b"}},
]


@pytest.mark.parametrize("results", [RESULTS, {"items": RESULTS}], ids=["list", "legacy"])
async def test_error_results_do_not_fail_a_function(results: Any) -> None:
    files = {"Kptfile": kptfile("p", validators="[{image: f, name: check}]")}
    outcome = await run(files, Functions(f=lambda given: {**given, "results": results}))
    assert outcome.ok
    bad = {"message": "bad", "severity": "error", "resourceRef": {"kind": "K", "name": "n", "namespace": "ns"}}
    assert status(outcome) == {
        "conditions": [{"type": "Rendered", "status": "True", "reason": "RenderSuccess"}],
        "renderStatus": {
            "validationSteps": [
                {
                    "name": "check",
                    "image": "example.com/fn/f:latest",
                    "exitCode": 0,
                    "results": [
                        bad,
                        {
                            "message": "odd",
                            "field": {
                                "path": "a.b",
                                "currentValue": "map[a:<nil> b:[1 true]]",
                                "proposedValue": "2",
                            },
                        },
                        {"message": "where", "severity": "info", "file": {"path": "c.yaml"}},
                    ],
                    "errorResults": [bad],
                }
            ]
        },
    }
    assert outcome.steps[0].results[2].tags == {"a": "b"}


async def test_a_failed_function_leaves_only_its_account() -> None:
    answer = b"kind: ResourceList\nitems: []\nresults:\n- message: nope\n  severity: error\n"
    files = {
        "Kptfile": kptfile("p", mutators="[{image: ok}, {image: f}, {image: never}]") + b"status:\n  conditions:\n"
        b"  # mine\n  - type: Mine\n    status: 'True'\n"
        b"  - type: Rendered\n    status: 'True'\n    reason: RenderSuccess\n",
        "c.yaml": config_map("c", x="1"),
    }
    failing = fail("broke", stderr="x" * 5000, exit_code=3, resource_list=answer)

    def ok(given: dict[str, Any]) -> None:
        item(given, "c")["data"]["x"] = "2"

    functions = Functions(ok=ok, f=failing)
    outcome = await run(files, functions)
    assert not outcome.ok
    assert outcome.message == "package p: mutator 'example.com/fn/f:latest' failed: broke; [error] nope"
    assert len(functions.calls) == 2
    assert outcome.files["c.yaml"] == files["c.yaml"]
    assert b"# mine\n  - type: Mine\n    status: 'True'\n" in outcome.files["Kptfile"]
    said = status(outcome)
    assert said["conditions"] == [
        {"type": "Mine", "status": "True"},
        {"type": "Rendered", "status": "False", "reason": "RenderFailed", "message": outcome.message},
    ]
    step = said["renderStatus"]["mutationSteps"][1]
    assert step["exitCode"] == 3
    assert step["results"] == step["errorResults"] == [{"message": "nope", "severity": "error"}]
    assert len(step["stderr"]) < 4200
    assert "904 more characters" in step["stderr"]
    assert said["renderStatus"]["errorSummary"] == "example.com/fn/f:latest: exit code 3"


async def test_save_on_render_failure_keeps_what_was_done_before() -> None:
    files = {
        "Kptfile": kptfile("p", mutators="[{image: f}]", annotations="{kpt.dev/save-on-render-failure: 'true'}"),
        "a/Kptfile": kptfile("a", mutators="[{image: change}, {image: drop}]"),
        "a/c.yaml": config_map("c", x="1"),
        "a/gone.yaml": config_map("gone"),
    }

    def change(given: dict[str, Any]) -> None:
        item(given, "c")["data"]["x"] = "2"

    def drop(given: dict[str, Any]) -> None:
        given["items"] = [each for each in given["items"] if each["metadata"]["name"] != "gone"]

    outcome = await run(files, Functions(change=change, drop=drop, f=fail()))
    assert not outcome.ok
    assert b'x: "2" # about x' in outcome.files["a/c.yaml"]
    assert outcome.files["a/gone.yaml"] == files["a/gone.yaml"]
    assert status(outcome)["conditions"][0]["reason"] == "RenderFailed"


async def test_an_error_that_is_not_the_functions_is_the_callers() -> None:
    def unreachable(given: dict[str, Any]) -> None:
        raise ConnectionError("no runner")

    with pytest.raises(ConnectionError, match="no runner"):
        await run({"Kptfile": kptfile("p", mutators="[{image: f}]")}, Functions(f=unreachable))


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        ("{exec: ./x}", "must run with `--allow-exec` option to allow running function binaries"),
        ("{image: a, tag: ~1.0}", 'no tag could be found matching the version constraint "~1.0"'),
    ],
)
async def test_all_images_are_resolved_before_the_first_runs(function: str, problem: str) -> None:
    functions = Functions()
    outcome = await run({"Kptfile": kptfile("p", mutators=f"[{{image: ok}}, {function}]")}, functions)
    assert not outcome.ok
    assert problem in outcome.message
    assert functions.calls == []
    assert problem in status(outcome)["renderStatus"]["mutationSteps"][0]["executionError"]


BAD_INPUT = {
    "yaml": ({"a/b.yaml": b"apiVersion: v1\n---\nx: [\n"}, "a/b.yaml: resource must have", "a/b.yaml"),
    "syntax": ({"b.yaml": config_map("c") + b"---\nx: [\n"}, "did not find expected node content", "b.yaml"),
    "separator": ({"b.yaml": b"a: 1\n--- x\n"}, "invalid document separator", "b.yaml"),
    "list": ({"b.yaml": b"- a\n"}, "input resource list must contain only KRM resources", "b.yaml"),
    "kind List": (
        {"b.yaml": b"apiVersion: v1\nkind: List\nitems: []\n"},
        "resource must have `metadata.name`",
        "b.yaml",
    ),
    "encoding": ({"b.yaml": b"\xff"}, "not UTF-8", "b.yaml"),
    "config": (
        {"b/Kptfile": kptfile("b", mutators="[{image: a, configPath: x.yaml}]")},
        "Kptfile is invalid:",
        "b/Kptfile",
    ),
    "subpackage": ({"b/Kptfile": b"a: b\n"}, "unknown resource type", "b/Kptfile"),
    "path": ({"../x": b""}, "lead out of the package", "../x"),
}


@pytest.mark.parametrize(("more", "problem", "path"), BAD_INPUT.values(), ids=BAD_INPUT.keys())
async def test_a_package_that_cannot_be_read_says_which_file(more: dict[str, bytes], problem: str, path: str) -> None:
    functions = Functions()
    outcome = await run({"Kptfile": kptfile("p", mutators="[{image: a}]"), **more}, functions)
    assert not outcome.ok
    assert outcome.message.startswith(path + ": ")
    assert problem.removeprefix(path + ": ") in outcome.message
    assert functions.calls == []
    assert status(outcome)["conditions"][0]["message"] == outcome.message


async def test_an_unreadable_top_kptfile_is_left_alone() -> None:
    files = {"Kptfile": b"apiVersion: kpt.dev/v1\nkind: Kptfile\nmetadata: {name: p}\nfoo: 1\n"}
    outcome = await run(files, Functions())
    assert not outcome.ok
    assert outcome.files == files


async def test_krmignore_hides_files_from_its_package_only() -> None:
    files = {
        "Kptfile": kptfile("p", mutators="[{image: f}]"),
        ".krmignore": b"ignored.yaml\nd/\n",
        "ignored.yaml": b"not: [yaml",
        "d/x.yaml": b"- not a resource\n",
        "s/Kptfile": kptfile("s"),
        "s/ignored.yaml": config_map("seen"),
    }
    functions = Functions(f=lambda given: {**given, "items": []})
    outcome = await run(files, functions)
    assert outcome.ok, outcome.message
    assert functions.items(0) == ["/Kptfile:p", "/s/Kptfile:s", "/s/ignored.yaml:seen"]
    assert set(outcome.files) == {".krmignore", "ignored.yaml", "d/x.yaml"}


async def test_a_kustomization_needs_no_name() -> None:
    files = {"Kptfile": kptfile("p", mutators="[{image: f}]"), "kustomization.yaml": b"resources:\n- a.yaml\n"}
    outcome = await run(files, Functions())
    assert outcome.ok, outcome.message
    assert outcome.files["kustomization.yaml"] == files["kustomization.yaml"]


async def test_annotations_of_the_wire_in_a_file_stay_as_they_are() -> None:
    text = b"apiVersion: v1\nkind: K\nmetadata:\n  name: k\n  annotations:\n    config.kubernetes.io/path: mine\na: 1\n"

    def change(given: dict[str, Any]) -> None:
        item(given, "k")["a"] = 2

    outcome = await run({"Kptfile": kptfile("p", mutators="[{image: f}]"), "k.yaml": text}, Functions(f=change))
    assert outcome.files["k.yaml"] == text.replace(b"a: 1", b"a: 2")


async def test_a_comment_behind_the_document_stays_out_of_its_last_value() -> None:
    text = b"apiVersion: v1\nkind: K\nmetadata: {name: k}\na: |-\n  text\nb: 1\n  # behind\n"
    files = {"Kptfile": kptfile("p", mutators="[{image: f}]"), "k.yaml": text.replace(b"{name: k}", b"\n  name: k")}

    class DropsLastLine(Functions):
        async def __call__(self, image: str, resource_list: bytes) -> Evaluation:
            return Evaluation(resource_list.replace(b"  b: 1\n", b""))

    outcome = await run(files, DropsLastLine())
    assert outcome.ok, outcome.message
    value = yaml.safe_load(outcome.files["k.yaml"])
    assert (value["a"], "b" in value) == ("text", False)


async def test_comments_that_a_function_writes_are_taken_over() -> None:
    files = {"Kptfile": kptfile("p", mutators="[{image: f}]"), "c.yaml": config_map("c", x="1", y="2")}
    answer = b"""\
kind: ResourceList
items:
- apiVersion: v1
  kind: ConfigMap
  metadata: # of metadata
    name: c # kpt-set: ${name}
    annotations: {config.k8s.io/id: '2', config.kubernetes.io/path: c.yaml, config.kubernetes.io/index: '0'}
  data:
    x: "1" # new about x
    y: "3"
"""
    outcome = await run(files, Functions(f=lambda _: answer))
    assert outcome.ok, outcome.message
    expected = files["c.yaml"].replace(b"metadata:\n", b"metadata: # of metadata\n")
    expected = expected.replace(b"name: c\n", b"name: c # kpt-set: ${name}\n")
    expected = expected.replace(b"# about x", b"# new about x").replace(b'"2" #', b'"3" #')
    assert outcome.files["c.yaml"] == expected


async def test_a_function_that_edits_text_is_taken_at_its_word() -> None:
    files = {"Kptfile": kptfile("p", mutators="[{image: f}]"), "c.yaml": config_map("c", x="1", y="2")}

    class EditsText(Functions):
        async def __call__(self, image: str, resource_list: bytes) -> Evaluation:
            text = resource_list.replace(b'x: "1"', b'x: "2"').replace(b"# about y", b"# about why")
            return Evaluation(text.replace(b"      name: c\n", b"      name: c\n      labels: {a: b}\n"))

    outcome = await run(files, EditsText())
    assert outcome.ok, outcome.message
    assert outcome.files["c.yaml"] == (
        files["c.yaml"]
        .replace(b'x: "1"', b'x: "2"')
        .replace(b"# about y", b"# about why")
        .replace(b"    name: c\n", b"    name: c\n    labels:\n      a: b\n")
    )


async def test_an_annotation_behind_those_of_the_wire_stays_an_annotation() -> None:
    text = b"apiVersion: v1\nkind: K\nmetadata:\n  name: k\n  labels:\n    a: b\n"

    class Annotates(Functions):
        async def __call__(self, image: str, resource_list: bytes) -> Evaluation:
            last = b"    config.k8s.io/id: '2'\n"
            return Evaluation(resource_list.replace(last, last + b"      mine: yes it is\n"))

    outcome = await run({"Kptfile": kptfile("p", mutators="[{image: f}]"), "k.yaml": text}, Annotates())
    assert outcome.ok, outcome.message
    assert outcome.files["k.yaml"] == text + b"  annotations:\n    mine: yes it is\n"


async def test_a_large_package_leaves_the_event_loop_free() -> None:
    files = {"Kptfile": kptfile("p", mutators="[{image: f}]")}
    files |= {f"c{i}.yaml": config_map(f"c{i}", x="1" * 1000) for i in range(300)}

    def change(given: dict[str, Any]) -> None:
        for each in given["items"][1:]:
            each["data"]["x"] = "2"

    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    counting = asyncio.create_task(count())
    outcome = await run(files, Functions(f=change))
    counting.cancel()
    assert outcome.ok, outcome.message
    assert all(b'x: "2" # about x' in content for path, content in outcome.files.items() if path != "Kptfile")
    assert turns > 100


async def test_no_pipeline_still_records_the_rendering() -> None:
    outcome = await run({"Kptfile": kptfile("p")}, Functions())
    assert status(outcome) == {"conditions": [{"type": "Rendered", "status": "True", "reason": "RenderSuccess"}]}
