"""What a rendering leaves as it was: text, comments, bytes."""

from typing import Any

import yaml

from porchflow.kpt.render.evaluation import Evaluation
from porchflow.kpt.render.hydrate import render
from porchflow.kpt.render.image_names import ImageResolver
from tests.kpt.rendering import (
    Functions,
    config_map,
    item,
    run,
    without_status,
)
from tests.kptfiles import kptfile


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
    kptfile_of_f = kptfile("p", mutators="[{image: f, exclude: [{kind: Kptfile}]}]")
    files = {"Kptfile": kptfile_of_f, "c.yaml": config_map("c", x="1", y="2")}
    answer = b"""\
kind: ResourceList
items:
- apiVersion: v1
  kind: ConfigMap
  metadata: # of metadata
    name: c # kpt-set: ${name}
    annotations: {config.k8s.io/id: '1', config.kubernetes.io/path: c.yaml, config.kubernetes.io/index: '0'}
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


HEAD = "apiVersion: v1\nkind: K\nmetadata:\n  name: x\nnames:\n"
NAMES = HEAD + "# one\n- name: {} # its one\n# two\n- name: '{}' # its two\n"


async def test_the_text_of_the_answer_tells_whether_elements_were_moved_or_renamed() -> None:
    """An exchange of two names and an exchange of two items give the same value, and texts of their own."""
    renamed = NAMES.format("b", "a")
    moved = HEAD + "# two\n- name: 'b' # its two\n# one\n- name: a # its one\n"
    for wanted in (renamed, moved):
        files = {"Kptfile": kptfile("p", mutators="[{image: change}]"), "a.yaml": NAMES.format("a", "b").encode()}

        async def answer(_: str, request: bytes, wanted: str = wanted) -> Evaluation:
            given = request.decode().replace(_indented(NAMES.format("a", "b")), _indented(wanted))
            return Evaluation(given.replace("  kind: K", "  kind:   K").encode())

        outcome = await render(files, answer, images=ImageResolver("x/"))
        assert outcome.ok, outcome.message
        assert outcome.files["a.yaml"].decode() == wanted


def _indented(text: str) -> str:
    return text.partition("names:")[2].replace("\n", "\n  ").rstrip()
