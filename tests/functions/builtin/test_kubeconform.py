from typing import Any

import pytest
import yaml

from tests.functions.lists import config, items, results, run, said

GOOD = """
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
  annotations: {internal.config.kubernetes.io/path: d/a.yaml, internal.config.kubernetes.io/index: '1'}
spec:
  replicas: 3
  selector: {matchLabels: {a: b}}
  template:
    metadata: {labels: {a: b}}
    spec: {containers: [{name: c, image: i}]}
"""
CUSTOM = "apiVersion: x.y/v1\nkind: Thing\nmetadata: {name: t}\n"


def changed(**spec: Any) -> str:
    value = yaml.safe_load(GOOD)
    value["spec"] = {key: item for key, item in {**value["spec"], **spec}.items() if item is not ...}
    return yaml.safe_dump(value)


def test_resources_that_match_their_schemas_pass() -> None:
    reply = run(
        "kubeconform", GOOD, "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 80}]}\n"
    )
    assert (reply.exit_code, results(reply)) == (0, [])


@pytest.mark.parametrize(
    ("item", "message", "field"),
    [
        (changed(replicas="three"), "got string, want null or integer", "spec.replicas"),
        (changed(selector=..., template=...), "missing properties 'selector', 'template'", "spec"),
        (changed(selector=["x"]), "got array, want null or object", "spec.selector"),
        (GOOD.replace("name: c,", "name: 7,"), "got integer, want string", "spec.template.spec.containers.0.name"),
    ],
)
def test_findings_name_resource_field_and_file(item: str, message: str, field: str) -> None:
    reply = run("kubeconform", item)
    assert (reply.exit_code, reply.log) == (1, "1 of 1 resource(s) do not match their schemas")
    assert results(reply) == [
        {
            "message": message,
            "severity": "error",
            "resourceRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "field": {"path": field},
            "file": {"path": "d/a.yaml", "index": 1},
        }
    ]
    assert len(items(reply)) == 1


def test_unknown_fields_are_found_only_when_strict() -> None:
    extra = changed(replica=1)
    assert run("kubeconform", extra).exit_code == 0
    reply = run("kubeconform", extra, function_config=config({"strict": "true"}))
    assert said(reply) == ["error: additional properties 'replica' not allowed"]


def test_a_kind_without_schema_is_an_error_unless_ignored() -> None:
    assert said(run("kubeconform", CUSTOM)) == ["error: could not find schema for Thing (x.y/v1)"]
    for data in ({"ignore_missing_schemas": "true"}, {"skip_kinds": "Other, Thing"}):
        assert run("kubeconform", CUSTOM, function_config=config(data)).exit_code == 0


def test_local_configuration_and_kptfiles_are_not_checked() -> None:
    local = CUSTOM.replace("{name: t}", '{name: t, annotations: {config.kubernetes.io/local-config: "true"}}')
    assert run("kubeconform", local, "apiVersion: kpt.dev/v1\nkind: Kptfile\nmetadata: {name: k}\n").exit_code == 0


def test_kinds_are_those_of_the_version_asked_for() -> None:
    beta = "apiVersion: flowcontrol.apiserver.k8s.io/v1beta2\nkind: FlowSchema\nmetadata: {name: f}\n"
    assert run("kubeconform", beta, function_config=config({"kubernetes_version": "1.25.3"})).exit_code == 0
    assert run("kubeconform", beta, function_config=config({"kubernetes_version": "1.36"})).exit_code == 1


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"strict": "yes"}, "`strict` must be true or false, not 'yes'"),
        ({"schema_location": "https://x"}, "`schema_location` is not supported: schemas come with the function"),
        ({"foo": "x"}, "unknown setting `foo`; those that are known: ignore_missing_schemas,"),
        ({"kubernetes_version": "1.2"}, "there are no schemas of Kubernetes 1.2; there are: 1.25,"),
    ],
)
def test_a_wrong_config_fails(data: dict[str, str], message: str) -> None:
    reply = run("kubeconform", GOOD, function_config=config(data))
    assert reply.exit_code == 1
    assert said(reply)[0].startswith(f"error: {message}")


def test_a_kind_cannot_name_a_file() -> None:
    reply = run("kubeconform", CUSTOM.replace("Thing", "../../x"))
    assert said(reply) == ["error: could not find schema for ../../x (x.y/v1)"]
