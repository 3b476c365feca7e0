"""A tag is a version: what each older tag does otherwise than the newest one, as the catalog's own programs do it."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from porchflow.functions.builtin.catalog import BUILTINS, CATALOGS, absence, find
from tests.functions.lists import config, items, run, said

ROOT = Path(__file__).parents[3]

BINDING = """
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: rb, namespace: old}
subjects:
- {kind: ServiceAccount, name: sa, namespace: old}
- {kind: ServiceAccount, name: default}
- {kind: ServiceAccount, name: other, namespace: z}
"""
ACCOUNT = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: sa, namespace: old}\n"
KPTFILE = "apiVersion: kpt.dev/v1\nkind: Kptfile\nmetadata: {name: p}\n"
CUSTOM = "apiVersion: x.io/v1\nkind: Custom\nmetadata: {name: c}\n"
LOCAL = "apiVersion: v1\nkind: Pod\nmetadata: {name: l, annotations: {config.kubernetes.io/local-config: 'true'}}\n"
SETTER = "kind: X\nmetadata: {name: x}\na: b # kpt-set: ${a}\n"


def custom(kind: str, **fields: Any) -> str:
    return yaml.safe_dump({"apiVersion": "fn.kpt.dev/v1alpha1", "kind": kind, "metadata": {"name": "c"}, **fields})


def values(function: str, *package: str, settings: str) -> list[Any]:
    reply = run(function, *package, function_config=settings)
    assert reply.exit_code == 0, reply.log
    return [yaml.safe_load(item) for item in items(reply)]


@pytest.mark.parametrize(
    ("tag", "key"),
    [
        ("apply-replacements:v0.1", "apply-replacements"),
        ("apply-replacements:v0.1.1", "apply-replacements:v0.1.1"),
        ("apply-setters:v0.1", "apply-setters:v0.1"),
        ("apply-setters:v0.1.1", "apply-setters:v0.1"),
        ("apply-setters:v0.1.0", None),
        ("set-labels:v0.1.5", "set-labels:v0.1"),
        ("set-namespace:v0.1.4", "set-namespace:v0.1"),
        ("set-namespace:v0.2.0", "set-namespace:v0.2"),
        ("set-namespace:v0.3.4", None),
        ("set-namespace:v0.4.1", "set-namespace:v0.4.1"),
        ("set-namespace:v0.4", "set-namespace"),
        ("set-image:v0.1.1", None),
        ("starlark:v0.4.3", "starlark:v0.4"),
        ("starlark:latest", "starlark"),
        ("search-replace:v0.1", None),
    ],
)
@pytest.mark.parametrize("catalog", CATALOGS)
def test_each_tag_has_its_own_rules_or_none(catalog: str, tag: str, key: str | None) -> None:
    found = find(f"{catalog}/{tag}")
    assert (found.key if found else None) == key


def documented() -> set[tuple[str, tuple[str, ...]]]:
    """Functions and tags of the table in docs/guides/functions.md, a set of tags for each rules."""
    section = (
        (ROOT / "docs/guides/functions.md").read_text().partition("### A tag is a version")[2].partition("\n## ")[0]
    )
    rows = [line.split("|")[1:4] for line in section.splitlines() if line.startswith("| `")]
    cells = [(name.strip(" `"), tuple(cell.strip().split(", "))) for name, *both in rows for cell in both]
    return {(name, tags) for name, tags in cells if tags != ("",)}


def test_the_page_lists_the_tags_that_are_built_in() -> None:
    built_in = {(each.name, tuple(tag for tag in each.tags if tag != "latest")) for each in BUILTINS.values()}
    assert documented() == built_in


def test_no_tag_has_two_rules() -> None:
    tags = [(builtin.name, tag) for builtin in BUILTINS.values() for tag in builtin.tags]
    assert len(tags) == len(set(tags))


def test_an_image_of_another_tag_names_the_tags_that_are_built_in() -> None:
    said = absence(f"{CATALOGS[0]}/set-namespace:v0.3.4")
    assert said.startswith("set-namespace with the tag v0.3.4 is not built in: its built-in tags are v0.4, v0.4.5")
    assert "v0.1.4" in said
    assert absence("example.com/other:v1") == ""


@pytest.mark.parametrize(
    ("version", "moved"),
    [
        ("set-namespace", ["old", None, "z"]),
        ("set-namespace:v0.4.1", ["prod", None, "prod"]),
        ("set-namespace:v0.2", ["prod", "prod", "z"]),
        ("set-namespace:v0.1", ["old", "prod", "z"]),
    ],
)
def test_subjects_of_role_bindings_move_by_the_tags_rules(version: str, moved: list[str | None]) -> None:
    binding, account = values(version, BINDING, ACCOUNT, settings=config({"namespace": "prod"}))
    assert [subject.get("namespace") for subject in binding["subjects"]] == moved
    assert account["metadata"]["namespace"] == binding["metadata"]["namespace"] == "prod"


@pytest.mark.parametrize(
    ("version", "moved"),
    [("set-namespace", 0), ("set-namespace:v0.4.1", 0), ("set-namespace:v0.2", 3), ("set-namespace:v0.1", 3)],
)
def test_the_kustomize_versions_move_whatever_is_not_cluster_scoped(version: str, moved: int) -> None:
    found = values(version, KPTFILE, CUSTOM, LOCAL, settings=config({"namespace": "prod"}))
    assert sum("namespace" in item["metadata"] for item in found) == moved


@pytest.mark.parametrize("version", ["set-namespace:v0.4.1", "set-namespace:v0.2", "set-namespace:v0.1"])
@pytest.mark.parametrize("settings", [None, config({}), custom("Other")])
def test_older_set_namespace_fails_on_a_wrong_config(version: str, settings: str | None) -> None:
    assert run(version, ACCOUNT, function_config=settings).exit_code == 1
    assert run("set-namespace", ACCOUNT, function_config=settings).exit_code == 0


def test_v0_4_1_reports_duplicates_and_follows_dependencies() -> None:
    depends = (
        "apiVersion: apps/v1\nkind: Deployment\n"
        "metadata: {name: d, namespace: old, annotations: "
        "{config.kubernetes.io/depends-on: apps/namespaces/old/Deployment/d}}\n"
    )
    [item] = values("set-namespace:v0.4.1", depends, settings=config({"namespace": "prod"}))
    assert item["metadata"]["annotations"]["config.kubernetes.io/depends-on"] == "apps/namespaces/prod/Deployment/d"
    reply = run("set-namespace:v0.4.1", ACCOUNT, ACCOUNT, function_config=config({"namespace": "prod"}))
    assert said(reply) == ["error: duplicate Resource(apiVersion=v1, kind=ServiceAccount, Namespace=prod, Name=sa)"]


def test_set_labels_v0_1_labels_local_config_and_templates_that_are_missing() -> None:
    stateful = "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: s}\n"
    found = values("set-labels:v0.1", KPTFILE, LOCAL, stateful, settings=config({"b": "x", "a": "5"}))
    assert all(list(item["metadata"]["labels"].items()) == [("a", "5"), ("b", "x")] for item in found)
    # A list of volume claims that is not there is not made.
    labels = {"a": "5", "b": "x"}
    assert found[2]["spec"] == {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}}}


def test_set_labels_v0_1_takes_more_fields_and_refuses_an_empty_list() -> None:
    extra = custom("SetLabels", labels={"q": "n"}, additionalLabelFields=[{"path": "spec/x", "create": True}])
    assert values("set-labels:v0.1", CUSTOM, settings=extra)[0]["spec"] == {"x": {"q": "n"}}
    reply = run("set-labels:v0.1", CUSTOM, function_config=config({}))
    assert (reply.exit_code, reply.log) == (1, "failed to configure function: input label list cannot be empty")


@pytest.mark.parametrize(
    ("data", "problem"),
    [({}, "input setters list cannot be empty"), ({"z": "1"}, "no matches for the input list of setters")],
)
def test_apply_setters_v0_1_fails_where_nothing_is_set(data: dict[str, str], problem: str) -> None:
    reply = run("apply-setters:v0.1", SETTER, function_config=config(data))
    assert (reply.exit_code, reply.log) == (1, f"failed to apply setters: {problem}")
    assert run("apply-setters", SETTER, function_config=config(data)).exit_code == 0


def test_apply_setters_v0_1_sets_as_later_ones_do() -> None:
    both = [
        items(run(name, SETTER, function_config=config({"a": "c"}))) for name in ("apply-setters:v0.1", "apply-setters")
    ]
    assert both[0] == both[1] != [SETTER]


def replaced(path: str, source: str, **options: Any) -> str:
    target = {"select": {"kind": "Custom"}, "fieldPaths": [path], "options": options}
    return custom(
        "ApplyReplacements", replacements=[{"source": {"kind": "ConfigMap", "fieldPath": source}, "targets": [target]}]
    )


SOURCE = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: s}\ndata: {t: '18'}\nspec: {n: 5}\n"
TARGET = "apiVersion: x.io/v1\nkind: Custom\nmetadata: {name: c}\nl: [{name: a, v: 1}, {name: ab, v: 1}]\nn: 1\nt: x\n"


def test_apply_replacements_v0_1_1_leaves_a_field_that_is_missing() -> None:
    settings = replaced("spec.missing.[name=x].y", "data.t")
    assert run("apply-replacements", SOURCE, TARGET, function_config=settings).exit_code == 1
    assert values("apply-replacements:v0.1.1", SOURCE, TARGET, settings=settings)[1] == yaml.safe_load(TARGET)


@pytest.mark.parametrize(
    ("path", "source", "options", "change"),
    [
        ("n", "data.t", {}, {"n": "18"}),
        ("t", "spec.n", {}, {"t": 5}),
        ("new", "data.t", {"create": True}, {"new": "18"}),
        ("l.[name=a].v", "data.t", {}, {"l": [{"name": "a", "v": "18"}, {"name": "ab", "v": 1}]}),
        ("t", "data.t", {"delimiter": "-", "index": 5}, {"t": "x-18"}),
    ],
)
def test_apply_replacements_v0_1_1_gives_a_field_the_sources_type(
    path: str, source: str, options: dict[str, Any], change: dict[str, Any]
) -> None:
    found = values("apply-replacements:v0.1.1", SOURCE, TARGET, settings=replaced(path, source, **options))
    assert found[1] == {**yaml.safe_load(TARGET), **change}


def test_apply_replacements_v0_1_1_has_no_wildcard() -> None:
    reply = run("apply-replacements:v0.1.1", SOURCE, TARGET, function_config=replaced("l.*.v", "data.t"))
    assert reply.exit_code == 1
    assert "wildcard is not supported" in reply.log


def test_ensure_name_substring_v0_1_renames_the_kptfile_and_no_dependencies() -> None:
    pod = CUSTOM.replace("name: c", "name: c, annotations: {config.kubernetes.io/depends-on: x.io/Custom/c}")
    older = values("ensure-name-substring:v0.1", KPTFILE, pod, settings=config({"prepend": "q-"}))
    newer = values("ensure-name-substring", KPTFILE, pod, settings=config({"prepend": "q-"}))
    assert [item["metadata"]["name"] for item in older + newer] == ["q-p", "q-c", "p", "q-c"]
    depends = [item["metadata"]["annotations"]["config.kubernetes.io/depends-on"] for item in (older[1], newer[1])]
    assert depends == ["x.io/Custom/c", "x.io/Custom/q-c"]


def test_list_setters_v0_1_0_fails_without_setters_and_set_annotations_v0_1_4_says_nothing() -> None:
    assert run("list-setters:v0.1.0", CUSTOM).exit_code == 1
    assert run("list-setters", CUSTOM).exit_code == 0
    reply = run("set-annotations:v0.1.4", CUSTOM, function_config=config({"a": "b"}))
    assert (said(reply), yaml.safe_load(items(reply)[0])["metadata"]["annotations"]) == ([], {"a": "b"})


def test_starlark_v0_4_names_a_program_without_a_name_as_it_did() -> None:
    program = custom("StarlarkRun", source="x = 1 +").replace("name: c", "labels: {}")
    assert run("starlark:v0.4", CUSTOM, function_config=program).log.startswith("stalark-function-run:")
