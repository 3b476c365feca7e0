"""A function may change a Kptfile; one that drops or spoils it fails, is named, and the files stay."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.kpt.rendering import Functions, config_map, run, status, without_status
from tests.kptfiles import kptfile

Given = dict[str, Any]


def _drop(given: Given) -> None:
    given["items"] = [each for each in given["items"] if each["kind"] != "Kptfile"]


def _drop_all(given: Given) -> None:
    given["items"] = []


def _add_data(given: Given) -> None:
    for each in _kptfiles(given):
        each["data"] = {"port": "1"}


def _other_kind(given: Given) -> None:
    for each in _kptfiles(given):
        each["kind"] = "Kptfiles"


def _move(given: Given) -> None:
    for each in _kptfiles(given):
        for key in ("internal.config.kubernetes.io/path", "config.kubernetes.io/path"):
            each["metadata"]["annotations"][key] = "Kptfile.yaml"


def _second_document(given: Given) -> None:
    for each in _kptfiles(given):
        annotations = each["metadata"]["annotations"]
        kept = {
            key: annotations[key]
            for key in ("internal.config.kubernetes.io/path", "internal.config.kubernetes.io/package-path")
        }
        more = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "more", "annotations": kept}}
        given["items"].append(more)


def _bad_pipeline(given: Given) -> None:
    for each in _kptfiles(given):
        each["pipeline"] = {"validators": [{"image": "Not An Image"}]}


def _kptfiles(given: Given) -> list[Given]:
    return [each for each in given["items"] if each["kind"] == "Kptfile"]


SPOILING: dict[str, tuple[Callable[[Given], None], str]] = {
    "drop": (_drop, "it removed "),
    "unknown field": (_add_data, "field data not found"),
    "another kind": (_other_kind, "it spoiled the Kptfile: "),
    "another place": (_move, "it removed "),
    "a second document": (_second_document, "more than one document"),
    "a pipeline that cannot be": (_bad_pipeline, "is invalid"),
}


@pytest.mark.parametrize("bfs", [False, True])
@pytest.mark.parametrize("whose", ["own", "subpackage's"])
@pytest.mark.parametrize("how", SPOILING)
async def test_a_function_that_drops_or_spoils_a_kptfile_fails_and_the_files_stay(
    how: str, whose: str, bfs: bool
) -> None:
    spoil, problem = SPOILING[how]
    which = "p" if whose == "own" else "a"
    files = {
        "Kptfile": kptfile(
            "p",
            mutators=f"[{{image: ok}}, {{image: f, selectors: [{{name: {which}}}]}}]",
            annotations=f"{{kpt.dev/bfs-rendering: '{str(bfs).lower()}'}}",
        ),
        "c.yaml": config_map("c", x="1"),
        "a/Kptfile": kptfile("a"),
        "a/c.yaml": config_map("d", x="1"),
    }
    outcome = await run(files, Functions(ok=lambda _: None, f=spoil))
    assert not outcome.ok
    assert outcome.message.startswith("package p: mutator 'example.com/fn/f:latest' failed: it ")
    assert problem in outcome.message
    assert outcome.files.keys() == files.keys()
    for path, content in files.items():
        assert without_status(outcome.files[path]) == content if path == "Kptfile" else outcome.files[path] == content
    failed = status(outcome)["renderStatus"]["mutationSteps"][1]
    assert problem in failed["executionError"]


async def test_what_was_done_before_is_kept_where_that_is_asked_for() -> None:
    def edit(given: Given) -> None:
        for each in given["items"]:
            if each["kind"] == "ConfigMap":
                each["data"]["x"] = "2"

    files = {
        "Kptfile": kptfile(
            "p", mutators="[{image: edit}, {image: f}]", annotations="{kpt.dev/save-on-render-failure: 'true'}"
        ),
        "c.yaml": config_map("c", x="1"),
    }
    outcome = await run(files, Functions(edit=edit, f=_drop_all))
    assert not outcome.ok
    assert outcome.files.keys() == files.keys()
    assert b'"2"' in outcome.files["c.yaml"]


async def test_a_kptfile_may_change_and_a_subpackage_may_go_as_a_whole() -> None:
    def change(given: Given) -> None:
        for each in _kptfiles(given):
            each["info"] = {"description": "changed"}
        given["items"] = [
            each
            for each in given["items"]
            if each["metadata"]["annotations"]["internal.config.kubernetes.io/package-path"] != "/a"
        ]

    files = {
        "Kptfile": kptfile("p", mutators="[{image: f}]"),
        "a/Kptfile": kptfile("a"),
        "a/c.yaml": config_map("c", x="1"),
        "b/Kptfile": kptfile("b"),
    }
    outcome = await run(files, Functions(f=change))
    assert outcome.ok, outcome.message
    assert outcome.files.keys() == {"Kptfile", "b/Kptfile"}
    assert b"description: changed" in outcome.files["b/Kptfile"]


@pytest.mark.parametrize("left", ["b/README.md", "b/.krmignore"])
async def test_a_subpackage_of_which_something_stays_keeps_its_kptfile(left: str) -> None:
    files = {
        "Kptfile": kptfile("p", mutators="[{image: f, exclude: [{name: p}]}]"),
        "b/Kptfile": kptfile("b"),
        left: b"text\n",
    }
    outcome = await run(files, Functions(f=_drop))
    assert "it removed b/Kptfile" in outcome.message


async def test_a_new_subpackage_must_be_one() -> None:
    def add(given: Given) -> None:
        place = {"internal.config.kubernetes.io/path": "n/Kptfile"}
        new = {"apiVersion": "kpt.dev/v1", "kind": "Kptfile", "metadata": {"name": "n", "annotations": place}, "x": 1}
        given["items"].append(new)

    outcome = await run({"Kptfile": kptfile("p", mutators="[{image: f}]")}, Functions(f=add))
    assert "it spoiled the Kptfile: n/Kptfile" in outcome.message
