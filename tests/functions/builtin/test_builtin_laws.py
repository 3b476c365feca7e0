"""Laws that hold for every function that changes resources, on any package."""

import textwrap

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from porchflow.functions.builtin import BUILTINS
from porchflow.functions.builtin.toolkit.sdk import execute
from porchflow.kpt.format.resource_list import split_list
from tests.functions.lists import config, items, run
from tests.functions.packages import resources
from tests.yamltext.yaml_documents import contents


def custom(kind: str, **fields: object) -> str:
    value = {"apiVersion": "fn.kpt.dev/v1alpha1", "kind": kind, "metadata": {"name": "x"}}
    return yaml.safe_dump({**value, **fields})


CONFIGS = {
    "apply-replacements": custom(
        "ApplyReplacements",
        replacements=[
            {
                "sourceValue": "v",
                "targets": [
                    {"select": {"kind": "Pod"}, "fieldPaths": ["metadata.labels.x"], "options": {"create": True}}
                ],
            }
        ],
    ),
    "apply-setters": config({"a": "b"}),
    "create-setters": config({"n": "nginx", "l": "[a, b-1]"}),
    "ensure-name-substring": config({"prepend": "p-"}),
    "kubeconform": config({"ignore_missing_schemas": "true"}),
    "list-setters": config({}),
    "remove-local-config-resources": config({}),
    "search-replace": config({"by-value-regex": "^nginx:(.*)$", "put-value": "apache:${1}", "put-comment": "was ${1}"}),
    "set-annotations": config({"k": "v", "on": "true"}),
    "set-image": config({"name": "nginx", "newTag": "2"}),
    "set-labels": config({"k": "v"}),
    "set-namespace": config({"namespace": "x"}),
    "starlark": custom(
        "StarlarkRun", source="for r in ctx.resource_list['items']:\n  r['metadata']['labels'] = {'a': 'b'}\n"
    ),
    "upsert-resource": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\ndata: {a: b}\n",
}


CONFIGS |= {key: CONFIGS[builtin.name] for key, builtin in BUILTINS.items() if builtin.name in CONFIGS}
CONFIGS["apply-replacements:v0.1.1"] = custom(
    "ApplyReplacements",
    replacements=[
        {
            "source": {"kind": "Pod", "fieldPath": "spec.nodeName"},
            "targets": [{"select": {"kind": "Service"}, "fieldPaths": ["spec.node"], "options": {"create": True}}],
        }
    ],
)


def test_every_function_is_here() -> None:
    assert set(CONFIGS) == set(BUILTINS)


@pytest.mark.parametrize("name", sorted(CONFIGS))
@settings(max_examples=40, deadline=None)
@given(package=st.lists(resources(), max_size=4))
def test_a_second_run_changes_nothing(name: str, package: list[str]) -> None:
    once = run(name, *package, function_config=CONFIGS[name])
    twice = run(name, *items(once), function_config=CONFIGS[name])
    assert items(twice) == items(once)


@pytest.mark.parametrize("name", sorted(CONFIGS))
@settings(max_examples=40, deadline=None)
@given(package=st.lists(resources(), max_size=4))
def test_lines_that_mean_the_same_stay(name: str, package: list[str]) -> None:
    """A resource whose value a function did not change keeps every byte, unless comments are its business."""
    reply = run(name, *package, function_config=CONFIGS[name])
    before = {text: yaml.safe_load(text) for text in package}
    if name in ("create-setters", "search-replace"):
        return
    for item in items(reply):
        value = yaml.safe_load(item)
        assert value not in before.values() or item in before


@pytest.mark.parametrize("name", sorted(CONFIGS))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(content=contents, good=resources())
def test_whatever_an_item_is_there_is_an_answer(name: str, content: bytes, good: str) -> None:
    config = b"functionConfig:\n" + textwrap.indent(CONFIGS[name], "  ").encode()
    listed = textwrap.indent(good, "  ").encode()[2:]
    request = b"kind: ResourceList\nitems:\n- " + listed + b"- " + content.replace(b"\n", b"\n  ") + b"\n" + config
    reply = execute(BUILTINS[name].run, request)
    assert reply.exit_code in (0, 1)
    assert reply.exit_code == 0 or reply.log
    if reply.exit_code == 0:
        assert split_list(reply.resource_list).items
