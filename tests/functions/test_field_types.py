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
