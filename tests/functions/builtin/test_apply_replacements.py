from typing import Any

import pytest
import yaml

from tests.functions.lists import items, run, said
from tests.functions.packages import CONFIG_MAP, DEPLOYMENT

SOURCE = {"kind": "ConfigMap", "name": "cfg", "fieldPath": "data.list"}
IMAGE = "spec.template.spec.containers.[name=c].image"


def function_config(*replacements: Any) -> str:
    value = {"apiVersion": "fn.kpt.dev/v1alpha1", "kind": "ApplyReplacements", "metadata": {"name": "r"}}
    return yaml.safe_dump({**value, "replacements": list(replacements)})


def replace(path: str, *, source: Any = SOURCE, **target: Any) -> str:
    [item, _] = items(
        run(
            "apply-replacements",
            DEPLOYMENT,
            CONFIG_MAP,
            function_config=function_config(
                {"source": source, "targets": [{"select": {"kind": "Deployment"}, "fieldPaths": [path], **target}]}
            ),
        )
    )
    return item


@pytest.mark.parametrize(
    ("path", "options", "after"),
    [
        (IMAGE, {}, "nginx-1.0"),
        ("spec.template.spec.containers.*.image", {}, "nginx-1.0"),
        ("spec.template.spec.containers.0.image", {}, "nginx-1.0"),
        (IMAGE, {"delimiter": ":", "index": 1}, "nginx:nginx-1.0"),
        (IMAGE, {"delimiter": ":", "index": -1}, "nginx-1.0:nginx:1.0"),
        (IMAGE, {"delimiter": ":", "index": 9}, "nginx:1.0:nginx-1.0"),
    ],
)
def test_one_value_is_copied_and_nothing_else_changes(path: str, options: dict[str, Any], after: str) -> None:
    expected = DEPLOYMENT.replace("nginx:1.0 # the server", f"{after} # the server")
    assert replace(path, options=options) == expected


@pytest.mark.parametrize(
    ("path", "place", "value"),
    [
        ("spec.new.x", ["spec", "new", "x"], "nginx-1.0"),
        ("metadata.annotations.[a.b/c]", ["metadata", "annotations", "a.b/c"], "nginx-1.0"),
        (r"metadata.annotations.a\.b/c", ["metadata", "annotations", "a.b/c"], "nginx-1.0"),
        ("spec.list.0.k", ["spec", "list"], [{"k": "nginx-1.0"}]),
        ("spec.list.[name=z].v", ["spec", "list"], [{"name": "z", "v": "nginx-1.0"}]),
    ],
)
def test_missing_fields_are_made_when_asked_for(path: str, place: list[str], value: Any) -> None:
    found = yaml.safe_load(replace(path, options={"create": True}))
    for step in place:
        found = found[step]
    assert found == value


@pytest.mark.parametrize(
    ("source", "path", "value"),
    [
        ({"kind": "Deployment", "fieldPath": "spec.replicas"}, "data.a", "3"),
        ({"kind": "Deployment"}, "data.a", "web"),
        ({"kind": "Deployment", "fieldPath": "spec.template.spec.containers.[name=c].args"}, "data.a", ["a", "b"]),
        ({"group": "apps", "version": "v1", "name": "web", "namespace": "default"}, "data.a", "web"),
    ],
)
def test_sources_are_any_field_of_one_resource(source: dict[str, str], path: str, value: Any) -> None:
    replacement = {"source": source, "targets": [{"select": {"kind": "ConfigMap"}, "fieldPaths": [path]}]}
    _, item = items(run("apply-replacements", DEPLOYMENT, CONFIG_MAP, function_config=function_config(replacement)))
    assert yaml.safe_load(item)["data"]["a"] == value


def test_part_of_a_value_is_copied_and_the_type_of_the_target_stays() -> None:
    source = {**SOURCE, "options": {"delimiter": ".", "index": 1}}
    assert "replicas: 0\n" in replace("spec.replicas", source=source)


@pytest.mark.parametrize(
    ("select", "reject", "reached"),
    [
        ({"name": "web"}, [], True),
        ({"namespace": "default"}, [{"kind": "ConfigMap"}], True),
        ({"namespace": "default"}, [{"name": "web"}], False),
        ({"kind": "Deployment", "labelSelector": "app=x"}, [], True),
        ({"kind": "Deployment", "labelSelector": "app!=x"}, [], False),
        ({"kind": "Deployment", "labelSelector": "app in (x,y),!tier"}, [], True),
        ({"kind": "Deployment", "labelSelector": "app notin (x)"}, [], False),
        ({"kind": "Deployment", "labelSelector": "tier"}, [], False),
        ({"kind": "Deployment"}, [{"labelSelector": "app=x"}], False),
        ({"kind": "Deployment", "annotationSelector": "team=a"}, [], False),
    ],
)
def test_targets_are_selected(select: dict[str, str], reject: list[Any], *, reached: bool) -> None:
    labelled = DEPLOYMENT.replace("metadata:\n  name: web", "metadata:\n  labels: {app: x}\n  name: web")
    replacement = {
        "sourceValue": "9",
        "targets": [{"select": select, "reject": reject, "fieldPaths": ["spec.replicas"]}],
    }
    [item] = items(run("apply-replacements", labelled, function_config=function_config(replacement)))
    assert item == (labelled.replace("replicas: 3", "replicas: 9") if reached else labelled)


TARGET = {"select": {"kind": "Deployment"}}


@pytest.mark.parametrize(
    ("replacement", "message"),
    [
        ({"source": {"kind": "X"}, "targets": [TARGET]}, "nothing selected by X.[noVer].[noGrp]/[noName].[noNs]"),
        ({"source": {}, "targets": [TARGET]}, "multiple matches for selector [noKind].[noVer].[noGrp]/[noName].[noNs]"),
        (
            {"source": {"kind": "ConfigMap", "fieldPath": "data.zz"}, "targets": [TARGET]},
            "fieldPath `data.zz` is missing for replacement source ConfigMap.[noVer].[noGrp]/[noName].[noNs]",
        ),
        (
            {"source": {**SOURCE, "options": {"delimiter": "-", "index": 7}}, "targets": [TARGET]},
            "options.index 7 is out of bounds for value nginx-1.0",
        ),
        ({"sourceValue": "1"}, "replacements must specify a source and at least one target"),
        ({"targets": [TARGET]}, "replacements must specify a source and at least one target"),
        ({"sourceValue": "1", "source": SOURCE, "targets": []}, "value and resource selectors are mutually exclusive"),
        ({"sourceValue": "1", "targets": [{}]}, "target must specify resources to select"),
        (
            {"sourceValue": "1", "targets": [{**TARGET, "fieldPaths": ["spec.no"]}]},
            'unable to find field "spec.no" in replacement target',
        ),
        (
            {"sourceValue": "1", "targets": [{**TARGET, "fieldPaths": ["spec.template.spec.containers.5.image"]}]},
            'unable to find field "spec.template.spec.containers.5.image" in replacement target: index 5 specified but',
        ),
        (
            {"sourceValue": "1", "targets": [{**TARGET, "fieldPaths": ["spec.replicas.*"]}]},
            'unable to find field "spec.replicas.*" in replacement target: `*` selects elements of a list',
        ),
        (
            {"sourceValue": "1", "targets": [{**TARGET, "fieldPaths": ["spec"], "options": {"delimiter": ":"}}]},
            "delimiter option can only be used with scalar nodes",
        ),
        (
            {"sourceValue": "1", "targets": [{"select": {"labelSelector": "a=(b"}}]},
            "cannot read `a=(b` in the selector `a=(b`",
        ),
        ({"sourceValue": "1", "target": []}, "unable to convert functionConfig to replacements: replacements.1.target"),
    ],
)
def test_what_cannot_be_replaced_fails_and_changes_nothing(replacement: dict[str, Any], message: str) -> None:
    first = {"sourceValue": "9", "targets": [{**TARGET, "fieldPaths": ["spec.replicas"]}]}
    config = function_config(first, replacement)
    reply = run("apply-replacements", DEPLOYMENT, CONFIG_MAP, function_config=config)
    assert reply.exit_code == 1
    assert said(reply)[0].startswith(f"error: {message}")
    assert items(reply) == [DEPLOYMENT, CONFIG_MAP]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "FunctionConfig is missing. Expect `ApplyReplacements`"),
        ("apiVersion: v1\nkind: ConfigMap\n", "received functionConfig of kind ConfigMap and apiVersion v1, only"),
    ],
)
def test_a_wrong_config_fails(config: str | None, message: str) -> None:
    reply = run("apply-replacements", DEPLOYMENT, function_config=config)
    assert (reply.exit_code, said(reply)[0].startswith(f"error: {message}")) == (1, True)
