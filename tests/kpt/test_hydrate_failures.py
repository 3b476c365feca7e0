"""Renderings that fail, and what is left of them."""

from typing import Any

import pytest

from tests.kpt.rendering import (
    INDEX,
    LEGACY_PATH,
    PACKAGE_PATH,
    PATH,
    Functions,
    config_map,
    fail,
    item,
    run,
    status,
    without_status,
)
from tests.kptfiles import kptfile


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
    "nul": (_path("a\0b"), "control characters"),
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
@pytest.mark.parametrize(("kind", "steps"), [("mutators", "mutationSteps"), ("validators", "validationSteps")])
async def test_error_results_fail_a_function_whatever_its_exit_code(results: Any, kind: str, steps: str) -> None:
    files = {"Kptfile": kptfile("p", **{kind: "[{image: f, name: check}]"}), "c.yaml": config_map("c", x="1")}

    def report(given: dict[str, Any]) -> dict[str, Any]:
        item(given, "c")["data"]["x"] = "2"
        return {**given, "results": results}

    outcome = await run(files, Functions(f=report))
    assert not outcome.ok
    assert outcome.files["c.yaml"] == files["c.yaml"]
    why = "it reported 1 error, though with exit code 0"
    assert outcome.message.startswith(f"package p: {kind[:-1]} 'check' failed: {why}; [error] ")
    assert "bad" in outcome.message
    bad = {"message": "bad", "severity": "error", "resourceRef": {"kind": "K", "name": "n", "namespace": "ns"}}
    assert status(outcome) == {
        "conditions": [{"type": "Rendered", "status": "False", "reason": "RenderFailed", "message": outcome.message}],
        "renderStatus": {
            steps: [
                {
                    "name": "check",
                    "image": "example.com/fn/f:latest",
                    "executionError": why,
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
            ],
            "errorSummary": f"check: {why}",
        },
    }
    assert outcome.steps[0].results[2].tags == {"a": "b"}


async def test_warnings_do_not_fail_a_function() -> None:
    files = {"Kptfile": kptfile("p", validators="[{image: f}]")}
    outcome = await run(files, Functions(f=lambda given: {**given, "results": RESULTS[1:]}))
    assert outcome.ok


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
        ("{exec: ./x}", "it is a program of one machine (exec: ./x), and such programs are never run here"),
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


async def test_breadth_first_keeps_what_packages_after_the_root_did_before_one_failed() -> None:
    bfs = "{kpt.dev/bfs-rendering: 'true', kpt.dev/save-on-render-failure: 'true'}"
    files = {
        "Kptfile": kptfile("p", annotations=bfs),
        "a/Kptfile": kptfile("a", mutators="[{image: add}, {image: edit}]"),
        "a/c.yaml": config_map("of-a", x="0"),
        "b/Kptfile": kptfile("b", mutators="[{image: edit}, {image: f}]"),
        "b/c.yaml": config_map("of-b", x="0"),
        "c/Kptfile": kptfile("c", mutators="[{image: edit}]"),
        "c/c.yaml": config_map("of-c", x="0"),
    }

    def add(given: dict[str, Any]) -> None:
        given["items"].append(
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "new"}, "data": {"x": "0"}}
        )

    def edit(given: dict[str, Any]) -> None:
        for each in given["items"]:
            each.get("data", {})["x"] = "1"

    outcome = await run(files, Functions(add=add, edit=edit, f=fail()))
    assert not outcome.ok
    assert b'x: "1" # about x' in outcome.files["a/c.yaml"]
    assert b"x: '1'" in outcome.files["a/configmap_new.yaml"]
    assert b'x: "1" # about x' in outcome.files["b/c.yaml"], "what came before the function that failed"
    assert outcome.files["c/c.yaml"] == files["c/c.yaml"], "it was not reached"
