"""Types of what functions write: source type, target and key, for every function that writes scalars."""

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.functions.lists import config, items, run

Writer = Callable[[str, str, str], Any]
"""Writes a text at a path of a document, and returns the document's new value."""

HEADS = {
    "ConfigMap": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: t}\n",
    "Deployment": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: t}\n",
    "Service": "apiVersion: v1\nkind: Service\nmetadata: {name: t}\n",
    "Custom": "apiVersion: x.io/v1\nkind: Custom\nmetadata: {name: t}\n",
}
TEXTS = ["8080", "true", "1.10", "0071335", "null", "1e3", "plain"]


def by_path(document: str, path: str, text: str) -> Any:
    settings = config({"by-path": path, "put-value": text})
    return yaml.safe_load(items(run("search-replace", document, function_config=settings))[0])


def replacement(document: str, path: str, text: str) -> Any:
    source = yaml.safe_dump({"kind": "Source", "metadata": {"name": "s"}, "v": text})
    target = {"select": {"name": "t"}, "fieldPaths": [path], "options": {"create": True}}
    replacements = [{"source": {"kind": "Source", "fieldPath": "v"}, "targets": [target]}]
    settings = yaml.safe_dump(
        {"apiVersion": "fn.kpt.dev/v1alpha1", "kind": "ApplyReplacements", "replacements": replacements}
    )
    return yaml.safe_load(items(run("apply-replacements", source, document, function_config=settings))[1])


def at(value: Any, path: str) -> Any:
    for step in path.split("."):
        value = value[step]
    return value


@pytest.mark.parametrize("write", [by_path, replacement])
@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize(
    ("kind", "path", "body"),
    [
        ("ConfigMap", "data.a", ""),
        ("ConfigMap", "data.a", "data: {a: 'x'}\n"),
        ("ConfigMap", "data.a", "data:\n  a: x\n"),
        ("ConfigMap", "data.a", "data:\n  a: 5\n"),
        ("ConfigMap", "data.a", "data:\n  a: |\n    x\n"),
        ("ConfigMap", "data.a", "data:\n  a: >-\n    x\n"),
        ("Deployment", "spec.template.metadata.labels.a", ""),
        ("Deployment", "spec.template.spec.nodeName", ""),
        ("Custom", "metadata.annotations.a", ""),
        ("Custom", "metadata.labels.a", ""),
        ("Custom", "spec.template.metadata.labels.a", ""),
        ("Custom", "spec.a", "spec: {a: '80'}\n"),
        ("Custom", "spec.a", "spec:\n  a: |\n    80\n"),
    ],
)
def test_a_text_stays_text_where_the_field_holds_text(
    write: Writer, text: str, kind: str, path: str, body: str
) -> None:
    assert at(write(HEADS[kind] + body, path, text), path) == text


@pytest.mark.parametrize("write", [by_path, replacement])
@pytest.mark.parametrize(
    "body", ["", "spec: {replicas: 3, paused: false}\n", "spec:\n  replicas: 3\n  paused: false\n"]
)
def test_a_field_that_holds_a_number_or_a_truth_value_gets_one(write: Writer, body: str) -> None:
    assert write(HEADS["Deployment"] + body, "spec.replicas", "5")["spec"]["replicas"] == 5
    assert write(HEADS["Deployment"] + body, "spec.paused", "true")["spec"]["paused"] is True


@pytest.mark.parametrize("text", ["8080", "true", "1.10"])
def test_a_new_field_of_a_custom_resource_takes_the_type_of_a_replacements_source(text: str) -> None:
    assert replacement(HEADS["Custom"], "spec.new", text)["spec"]["new"] == text


def test_a_field_of_a_custom_resource_that_is_a_number_stays_one() -> None:
    assert replacement(HEADS["Custom"] + "spec: {n: 1}\n", "spec.n", "18")["spec"]["n"] == 18
    assert by_path(HEADS["Custom"] + "spec: {n: 1}\n", "spec.n", "18")["spec"]["n"] == 18


@pytest.mark.parametrize(("text", "value"), [("80", 80), ("http", "http"), ("true", "true")])
def test_a_field_for_a_number_or_a_name_gets_the_number(text: str, value: Any) -> None:
    document = HEADS["Service"] + "spec:\n  ports:\n  - {port: 1, targetPort: a} \n"
    settings = config({"by-path": "spec.ports[0].targetPort", "put-value": text})
    [item] = items(run("search-replace", document, function_config=settings))
    assert yaml.safe_load(item)["spec"]["ports"][0]["targetPort"] == value


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("old", ["x", "'x'", "5"])
@pytest.mark.parametrize("function", ["apply-setters", "apply-setters:v0.1"])
def test_setters_write_text_into_data_and_labels(function: str, old: str, text: str) -> None:
    document = (
        f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: t\n  labels:\n    a: {old} # kpt-set: ${{s}}\n"
        f"data:\n  a: {old} # kpt-set: ${{s}}\n"
    )
    [item] = items(run(function, document, function_config=config({"s": text})))
    value = yaml.safe_load(item)
    assert (value["data"]["a"], value["metadata"]["labels"]["a"]) == (text, text)
    assert item.count("# kpt-set: ${s}") == 2


def test_setters_write_numbers_where_numbers_are_read_or_the_type_is_unknown() -> None:
    number = "  replicas: placeholder # kpt-set: ${n}\n"
    for kind in ("Deployment", "Custom"):
        [item] = items(run("apply-setters", f"{HEADS[kind]}spec:\n{number}", function_config=config({"n": "5"})))
        assert yaml.safe_load(item)["spec"]["replicas"] == 5


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize(
    ("function", "path"),
    [
        ("set-labels", "metadata.labels.k"),
        ("set-labels:v0.1", "metadata.labels.k"),
        ("set-annotations", "metadata.annotations.k"),
        ("set-annotations:v0.1.4", "metadata.annotations.k"),
    ],
)
def test_labels_and_annotations_are_texts(function: str, path: str, text: str) -> None:
    [item] = items(run(function, HEADS["Custom"], function_config=config({"k": text})))
    assert at(yaml.safe_load(item), path) == text


@pytest.mark.parametrize(
    "function", ["set-namespace", "set-namespace:v0.4.1", "set-namespace:v0.2", "set-namespace:v0.1"]
)
def test_a_namespace_of_digits_is_text(function: str) -> None:
    [item] = items(run(function, HEADS["ConfigMap"], function_config=config({"namespace": "5"})))
    assert yaml.safe_load(item)["metadata"]["namespace"] == "5"


def by_value(document: str, path: str, text: str) -> Any:
    return yaml.safe_load(
        items(run("search-replace", document, function_config=config({"by-value": "old", "put-value": text})))[0]
    )


def by_regex(document: str, path: str, text: str) -> Any:
    settings = config({"by-value-regex": "^o(l)d$", "put-value": text})
    return yaml.safe_load(items(run("search-replace", document, function_config=settings))[0])


def program(document: str, path: str, text: str) -> Any:
    *above, last = path.split(".")
    place = "r" + "".join(f"[{step!r}]" for step in above)
    source = f"for r in ctx.resource_list['items']:\n  {place}[{last!r}] = {text!r}\n"
    settings = yaml.safe_dump(
        {"apiVersion": "fn.kpt.dev/v1alpha1", "kind": "StarlarkRun", "metadata": {"name": "x"}, "source": source}
    )
    return yaml.safe_load(items(run("starlark", document, function_config=settings))[0])


def setter(document: str, path: str, text: str) -> Any:
    return yaml.safe_load(items(run("apply-setters", document, function_config=config({"s": text})))[0])


def upserted(document: str, path: str, text: str) -> Any:
    value = yaml.safe_load(document)
    place = value
    *above, last = path.split(".")
    for step in above:
        place = place[step]
    place[last] = text
    return yaml.safe_load(items(run("upsert-resource", document, function_config=yaml.safe_dump(value)))[0])


@pytest.mark.parametrize("write", [by_value, by_regex, program, setter, upserted])
@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize(
    ("kind", "path", "body"),
    [
        ("ConfigMap", "data.a", "data:\n  a: old # kpt-set: ${s}\n"),
        ("ConfigMap", "data.a", "data:\n  a: 'old' # kpt-set: ${s}\n"),
        ("ConfigMap", "metadata.annotations.a", "  annotations:\n    a: old # kpt-set: ${s}\n"),
        (
            "Deployment",
            "spec.template.metadata.labels.a",
            "spec:\n  template:\n    metadata:\n      labels:\n        a: old # kpt-set: ${s}\n",
        ),
        (
            "Deployment",
            "spec.template.spec.nodeName",
            "spec:\n  template:\n    spec:\n      nodeName: old # kpt-set: ${s}\n",
        ),
        ("Custom", "spec.a", "spec:\n  a: 'old' # kpt-set: ${s}\n"),
    ],
)
def test_every_writer_keeps_text_where_the_field_holds_text(
    write: Writer, text: str, kind: str, path: str, body: str
) -> None:
    head = HEADS[kind].replace("metadata: {name: t}\n", "metadata:\n  name: t\n")
    assert at(write(head + body, path, text), path) == text


@pytest.mark.parametrize("write", [by_value, by_regex, program, upserted])
@pytest.mark.parametrize("text", TEXTS)
def test_in_brackets_too(write: Writer, text: str) -> None:
    head = HEADS["ConfigMap"].replace("metadata: {name: t}\n", "metadata:\n  name: t\n")
    assert at(write(head + "data: {a: old, b: c}\n", "data.a", text), "data.a") == text


@pytest.mark.parametrize("source", [8080, True, 1.5, "8080", "true"])
@pytest.mark.parametrize(
    ("kind", "path", "body"),
    [
        ("ConfigMap", "data.a", ""),
        ("ConfigMap", "data.a", "data: {a: x}\n"),
        ("ConfigMap", "data.a", "data:\n  a: 5\n"),
        ("Custom", "metadata.labels.a", ""),
        ("Custom", "spec.a", "spec:\n  a: 'x'\n"),
        ("Deployment", "spec.template.spec.nodeName", "spec:\n  template:\n    spec:\n      nodeName: x\n"),
    ],
)
def test_a_number_copied_to_a_text_becomes_its_text(source: Any, kind: str, path: str, body: str) -> None:
    settings = yaml.safe_dump(
        {
            "apiVersion": "fn.kpt.dev/v1alpha1",
            "kind": "ApplyReplacements",
            "replacements": [
                {
                    "source": {"kind": "Source", "fieldPath": "v"},
                    "targets": [{"select": {"name": "t"}, "fieldPaths": [path], "options": {"create": True}}],
                }
            ],
        }
    )
    origin = yaml.safe_dump({"kind": "Source", "metadata": {"name": "s"}, "v": source})
    value = at(
        yaml.safe_load(items(run("apply-replacements", origin, HEADS[kind] + body, function_config=settings))[1]), path
    )
    expected = {8080: "8080", True: "true", 1.5: "1.5"}.get(source, source)
    assert value == expected


@pytest.mark.parametrize("name", ["123", "1e3", "0x1", "true"])
def test_an_image_that_looks_like_a_number_is_text(name: str) -> None:
    pod = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: t\nspec:\n  containers:\n  - name: c\n    image: nginx\n"
    [item] = items(run("set-image", pod, function_config=config({"name": "nginx", "newName": name})))
    assert yaml.safe_load(item)["spec"]["containers"][0]["image"] == name


@pytest.mark.parametrize(("old", "prefix"), [("8", "0"), ("8", "1"), ("e3", "1"), ("rue", "t")])
@pytest.mark.parametrize("function", ["ensure-name-substring", "ensure-name-substring:v0.1"])
def test_a_name_that_looks_like_a_number_is_text(function: str, old: str, prefix: str) -> None:
    document = f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: '{old}'\n"
    for quote in ("'", '"'):
        item = document.replace("'", quote)
        [answer] = items(run(function, item, function_config=config({"prepend": prefix})))
        assert yaml.safe_load(answer)["metadata"]["name"] == prefix + old
    [answer] = items(
        run(function, HEADS["ConfigMap"].replace("name: t", "name: rue"), function_config=config({"prepend": "t"}))
    )
    assert yaml.safe_load(answer)["metadata"]["name"] == "true"
