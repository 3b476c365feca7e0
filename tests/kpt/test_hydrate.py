import asyncio
from typing import Any

import pytest
import yaml

from porchflow.kpt.render.hydrate import render
from porchflow.kpt.render.image_names import ImageResolver
from tests.kpt.rendering import (
    INDEX,
    LEGACY_PATH,
    PACKAGE_PATH,
    PATH,
    RESOURCE_ID,
    Functions,
    config_map,
    item,
    run,
    status,
)
from tests.kptfiles import kptfile


async def test_without_a_kptfile_nothing_happens() -> None:
    files = {"a.yaml": b"a: [", "b": b"\xff"}
    outcome = await run(files, Functions())
    assert (outcome.ok, outcome.files, outcome.steps) == (True, files, [])


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


@pytest.mark.parametrize(
    ("choice", "order"), [("", "dcp"), (", selectors: [{}]", "pcd"), (", exclude: [{kind: X}]", "pcd")]
)
async def test_selection_keeps_the_order_even_where_it_chooses_all(choice: str, order: str) -> None:
    """As `kpt fn render`: only the answer of a function without selection sets the order that the next one sees."""
    files = {"Kptfile": kptfile("p", mutators=f"[{{image: reverse{choice}}}, {{image: f}}]")}
    files |= {"c.yaml": config_map("c"), "d.yaml": config_map("d")}
    functions = Functions(reverse=lambda given: {**given, "items": given["items"][::-1]})
    outcome = await run(files, functions)
    assert outcome.ok, outcome.message
    assert "".join(each["metadata"]["name"] for each in functions.calls[1][1]["items"]) == order


async def test_marks_for_putting_items_back_are_given_to_mutators_only() -> None:
    """`kpt fn render` numbers the chosen ones by their place among all, and validators get no marks."""
    chosen = "{image: f, selectors: [{name: d}]}"
    files = {"Kptfile": kptfile("p", mutators=f"[{chosen}]", validators=f"[{chosen}, {{image: f}}]")}
    files |= {"c.yaml": config_map("c"), "d.yaml": config_map("d")}
    functions = Functions()
    outcome = await run(files, functions)
    assert outcome.ok, outcome.message
    mutator, *validators = [item(sent, "d")["metadata"]["annotations"] for _, sent in functions.calls]
    place, chosen_id = "internal.config.kubernetes.io/annotations-migration-resource-id", RESOURCE_ID
    assert (mutator[place], mutator[chosen_id]) == ("0", "2")
    assert len(validators) == 2
    for annotations in validators:
        assert not {place, chosen_id} & annotations.keys()
        assert annotations[PATH] == "d.yaml"


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


OWN_CONFIG = {
    "Kptfile": kptfile(
        "p",
        mutators="[{image: a, configPath: ./c.yaml}, {image: b, configPath: d.yaml, selectors: [{kind: ConfigMap}]}]",
        validators="[{image: v, configPath: c.yaml}]",
    ),
    "c.yaml": config_map("c", x="1"),
    "d.yaml": config_map("d", x="1"),
    "e.yaml": config_map("e", x="1"),
    "sub/Kptfile": kptfile("s"),
    "sub/c.yaml": config_map("below"),
}


@pytest.mark.parametrize(
    ("shown", "own"), [(False, [set("c"), set("d"), set("c")]), (True, [set(), set(), set()])], ids=["hidden", "shown"]
)
async def test_a_function_does_not_get_its_own_configuration_unless_asked(shown: bool, own: list[set[str]]) -> None:
    def change(given: dict[str, Any]) -> None:
        for each in given["items"]:
            if each["kind"] == "ConfigMap":
                each.setdefault("data", {})["new"] = "2"

    functions = Functions(a=change, b=change)
    outcome = await render(OWN_CONFIG, functions, images=ImageResolver("example.com/fn/"), shows_own_config=shown)
    assert outcome.ok, outcome.message
    for call, hidden in enumerate(own):
        names = {where.partition(":")[2] for where in functions.items(call)}
        # The subpackage's file of the same path is another resource.
        assert names & {"c", "d", "e", "below"} == {"c", "d", "e", "below"} - hidden
    # Each is changed by the function whose configuration it is not.
    assert all(b"new:" in outcome.files[path] for path in ("c.yaml", "d.yaml", "e.yaml", "sub/c.yaml"))


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
        kept = [each for each in given["items"] if each["kind"] == "Kptfile"]
        given["items"] = [*kept, {"apiVersion": "v1", "kind": "New", "metadata": {"name": "made"}}]

    functions = Functions(drop=drop)
    outcome = await run(files, functions)
    assert outcome.ok, outcome.message
    assert {sent["metadata"]["name"] for sent in functions.calls[0][1]["items"]} == names
    left = {"c": "c.yaml", "d": "d.yaml", "l": "l.yaml"}
    assert set(outcome.files) == {path for name, path in left.items() if name not in names} | {
        *("Kptfile", "new_made.yaml")
    }


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
    files = {
        "Kptfile": kptfile("p", mutators="[{image: f, exclude: [{kind: Kptfile}]}]"),
        "c.yaml": config_map("c"),
        "README.md": b"x",
    }
    outcome = await run(files, Functions(f=lambda given: {**given, "items": []}))
    assert (outcome.ok, set(outcome.files)) == (True, {"Kptfile", "README.md"})


async def test_krmignore_hides_files_from_its_package_only() -> None:
    files = {
        "Kptfile": kptfile("p", mutators="[{image: f}]"),
        ".krmignore": b"ignored.yaml\nd/\n",
        "ignored.yaml": b"not: [yaml",
        "d/x.yaml": b"- not a resource\n",
        "s/Kptfile": kptfile("s"),
        "s/ignored.yaml": config_map("seen"),
    }
    functions = Functions(f=lambda given: {**given, "items": given["items"][:2]})
    outcome = await run(files, functions)
    assert outcome.ok, outcome.message
    assert functions.items(0) == ["/Kptfile:p", "/s/Kptfile:s", "/s/ignored.yaml:seen"]
    assert set(outcome.files) == {"Kptfile", ".krmignore", "ignored.yaml", "d/x.yaml", "s/Kptfile"}


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


async def test_a_resource_without_an_index_goes_behind_the_others_of_its_file() -> None:
    """As kpt has it; its functions see no index either."""
    files = {"Kptfile": kptfile("p", mutators="[{image: add}, {image: look}]"), "c.yaml": config_map("old", x="0")}

    def add(given: dict[str, Any]) -> None:
        new = {"name": "new", "annotations": {PATH: "c.yaml"}}
        given["items"].append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": new})

    functions = Functions(add=add)
    outcome = await run(files, functions)
    assert outcome.ok, outcome.message
    first, _, rest = outcome.files["c.yaml"].partition(b"---\n")
    assert first == files["c.yaml"]
    assert b"name: new" in rest
    seen = {each["metadata"]["name"]: each["metadata"]["annotations"] for each in functions.calls[1][1]["items"]}
    assert INDEX not in seen["new"]
    assert seen["old"][INDEX] == "0"


async def test_two_resources_without_an_index_do_not_fit_into_one_file() -> None:
    files = {"Kptfile": kptfile("p", mutators="[{image: add}]")}

    def add(given: dict[str, Any]) -> None:
        for name in ("one", "two"):
            new = {"name": name, "annotations": {PATH: "c.yaml"}}
            given["items"].append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": new})

    outcome = await run(files, Functions(add=add))
    assert 'resource at path "c.yaml" and index "" already exists' in outcome.message


async def test_a_new_resource_stands_at_the_margin_however_the_function_indents() -> None:
    files = {"Kptfile": kptfile("p", mutators="[{image: add, exclude: [{kind: Kptfile}]}]")}
    new = b"apiVersion: v1\n    kind: ConfigMap\n    metadata:\n        name: new\n"
    answer = b"apiVersion: config.kubernetes.io/v1\nkind: ResourceList\nitems:\n-   " + new
    outcome = await run(files, Functions(add=lambda _: answer))
    assert outcome.ok, outcome.message
    written = outcome.files["configmap_new.yaml"]
    assert written == b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n    name: new\n"
