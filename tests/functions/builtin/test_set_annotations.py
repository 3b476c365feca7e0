import pytest
import yaml

from tests.functions.lists import config, items, results, run, said
from tests.functions.packages import CONFIG_MAP, CRON_JOB, DEPLOYMENT

ADDITIONAL = """\
apiVersion: fn.kpt.dev/v1alpha1
kind: SetAnnotations
metadata: {name: x}
annotations: {k: "1"}
additionalAnnotationFields:
- {path: spec/extra/annotations, kind: Deployment, create: true}
- {path: spec/absent/annotations}
"""


def test_annotations_go_to_metadata_and_templates() -> None:
    reply = run("set-annotations", DEPLOYMENT, CRON_JOB, function_config=config({"b": "2", "a": 'x"y'}))
    wanted = {"a": 'x"y', "b": "2"}
    deployment, cron_job = (yaml.safe_load(item) for item in items(reply))
    assert deployment["metadata"]["annotations"].items() >= wanted.items()
    assert deployment["spec"]["template"]["metadata"] == {"annotations": wanted}
    assert cron_job["metadata"]["annotations"] == wanted
    assert cron_job["spec"]["jobTemplate"]["metadata"] == {"annotations": wanted}
    assert cron_job["spec"]["jobTemplate"]["spec"]["template"]["metadata"] == {"annotations": wanted}
    assert results(reply)[-1] == {
        "message": 'set annotations: {"a":"x\\"y","b":"2"}',
        "field": {"path": "spec.template.metadata.annotations"},
        "file": {"path": "a.yaml", "index": 0},
    }
    assert len(results(reply)) == 5


def test_only_lines_of_annotations_change() -> None:
    [item] = items(run("set-annotations", CONFIG_MAP, function_config=config({"k": "true"})))
    added = set(item.splitlines()) - set(CONFIG_MAP.splitlines())
    assert added == {'    k: "true"'}
    assert [line for line in item.splitlines() if line not in added] == CONFIG_MAP.splitlines()


def test_additional_fields_are_annotated_too() -> None:
    [item] = items(run("set-annotations", DEPLOYMENT, function_config=ADDITIONAL))
    spec = yaml.safe_load(item)["spec"]
    assert spec["extra"] == {"annotations": {"k": "1"}}
    assert "absent" not in spec
    [old_name] = items(
        run(
            "set-annotations",
            DEPLOYMENT,
            function_config=ADDITIONAL.replace("additionalAnnotationFields", "fieldSpecs"),
        )
    )
    assert old_name == item


def test_a_place_that_is_named_twice_is_reported_once() -> None:
    twice = ADDITIONAL.replace("spec/extra/annotations", "spec/template/metadata/annotations")
    said_of = [result["field"]["path"] for result in results(run("set-annotations", DEPLOYMENT, function_config=twice))]
    assert said_of == ["metadata.annotations", "spec.template.metadata.annotations"]


@pytest.mark.parametrize(
    ("function_config", "message"),
    [
        (config({}), "input annotation list cannot be empty"),
        ("kind: Other\n", "`functionConfig` must be a `ConfigMap` or `SetAnnotations`"),
        (None, "`functionConfig` must be a `ConfigMap` or `SetAnnotations`"),
        (ADDITIONAL + "fieldSpecs: []\n", "`fieldSpecs` has been deprecated, please rename it"),
        (
            ADDITIONAL.replace("path: spec", "pth: spec"),
            "`additionalAnnotationFields[0]` must be a mapping with a `path`",
        ),
    ],
)
def test_a_wrong_config_fails(function_config: str | None, message: str) -> None:
    reply = run("set-annotations", CONFIG_MAP, function_config=function_config)
    assert reply.exit_code == 1
    assert said(reply)[0].startswith(f"error: failed to configure function: {message}")
    assert items(reply) == [CONFIG_MAP]


def test_nothing_to_annotate_is_said() -> None:
    assert said(run("set-annotations", function_config=config({"a": "b"}))) == [": no annotations applied"]
