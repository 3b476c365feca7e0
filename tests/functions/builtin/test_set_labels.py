from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.functions.lists import config, items, run, said, text

L = {"l": "v"}
POD = {"metadata": {"labels": L}}
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], int]] = {
    "anything": ({"kind": "X"}, {}, 1),
    "Service": ({"apiVersion": "v1", "kind": "Service"}, {"spec": {"selector": L}}, 2),
    "a Service of another group of the same version": (
        {"apiVersion": "serving.knative.dev/v1", "kind": "Service"},
        {"spec": {"selector": L}},
        2,
    ),
    "a Service of another version": ({"apiVersion": "x/v2", "kind": "Service"}, {}, 1),
    "ReplicationController": (
        {"apiVersion": "v1", "kind": "ReplicationController", "spec": {"template": {}}},
        {"spec": {"selector": L, "template": POD}},
        3,
    ),
    "Deployment without template": (
        {"apiVersion": "apps/v1", "kind": "Deployment"},
        {"spec": {"selector": {"matchLabels": L}}},
        2,
    ),
    "Deployment": (
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "spec": {
                "template": {
                    "spec": {
                        "topologySpreadConstraints": [
                            {"labelSelector": {"matchLabels": {"l": "old", "o": "p"}}},
                            {"labelSelector": {"matchLabels": {"o": "p"}}},
                        ]
                    }
                }
            },
        },
        {
            "spec": {
                "selector": {"matchLabels": L},
                "template": {
                    "metadata": {"labels": L},
                    "spec": {
                        "topologySpreadConstraints": [
                            {"labelSelector": {"matchLabels": {"l": "v", "o": "p"}}},
                            {"labelSelector": {"matchLabels": {"o": "p"}}},
                        ]
                    },
                },
            }
        },
        5,
    ),
    "Job of another group": (
        {"apiVersion": "x/v1", "kind": "Job", "spec": {"selector": {"matchLabels": {"l": "o"}}, "template": {}}},
        {},
        1,
    ),
    "StatefulSet of another group": (
        {"apiVersion": "x/v1", "kind": "StatefulSet", "spec": {"template": {}, "volumeClaimTemplates": [{}]}},
        {},
        1,
    ),
    "ReplicationController of another version": (
        {"apiVersion": "x/v2", "kind": "ReplicationController", "spec": {"template": {}}},
        {},
        1,
    ),
    "Deployment with pod affinity": (
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "spec": {
                "template": {
                    "spec": {
                        "affinity": {
                            "podAffinity": {
                                "requiredDuringSchedulingIgnoredDuringExecution": [
                                    {"labelSelector": {"matchLabels": {"l": "o"}}}
                                ]
                            }
                        }
                    }
                }
            },
        },
        {
            "spec": {
                "selector": {"matchLabels": L},
                "template": {
                    "metadata": {"labels": L},
                    "spec": {
                        "affinity": {
                            "podAffinity": {
                                "requiredDuringSchedulingIgnoredDuringExecution": [
                                    {"labelSelector": {"matchLabels": {"l": "o"}}}
                                ]
                            }
                        }
                    },
                },
            }
        },
        3,
    ),
    "Job": (
        {"apiVersion": "batch/v1", "kind": "Job", "spec": {"selector": {"matchLabels": {"l": "o"}}, "template": {}}},
        {"spec": {"selector": {"matchLabels": L}, "template": POD}},
        3,
    ),
    "Job without selector": (
        {"apiVersion": "batch/v1", "kind": "Job", "spec": {"template": {}}},
        {"spec": {"template": POD}},
        3,
    ),
    "PodDisruptionBudget": (
        {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "spec": {"selector": {"matchLabels": {"o": "p"}}}},
        {},
        2,
    ),
    "CronJob": (
        {"apiVersion": "batch/v1", "kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": {}}}}},
        {"spec": {"jobTemplate": {"metadata": {"labels": L}, "spec": {"template": POD}}}},
        4,
    ),
    "CronJob of a job without a template": (
        {"apiVersion": "batch/v1", "kind": "CronJob", "spec": {"jobTemplate": {"metadata": {}, "spec": {}}}},
        {"spec": {"jobTemplate": {"metadata": {"labels": L}, "spec": {}}}},
        3,
    ),
    "CronJob without a job": ({"apiVersion": "batch/v1", "kind": "CronJob", "spec": {}}, {}, 1),
    "StatefulSet": (
        {"apiVersion": "apps/v1", "kind": "StatefulSet", "spec": {"volumeClaimTemplates": [{}, {"metadata": {}}]}},
        {"spec": {"selector": {"matchLabels": L}, "volumeClaimTemplates": [POD, POD]}},
        6,
    ),
    "NetworkPolicy": (
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "spec": {
                "podSelector": {"matchLabels": {"l": "o"}},
                "ingress": [{"from": [{"podSelector": {"matchLabels": {"l": "o"}}}, {"ipBlock": {}}]}],
                "egress": [{"to": [{"podSelector": {"matchLabels": {"o": "p"}}}]}],
            },
        },
        {
            "spec": {
                "podSelector": {"matchLabels": L},
                "ingress": [{"from": [{"podSelector": {"matchLabels": L}}, {"ipBlock": {}}]}],
                "egress": [{"to": [{"podSelector": {"matchLabels": {"o": "p"}}}]}],
            }
        },
        5,
    ),
}


def _item(value: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "example.com/v1", "metadata": {"name": "n"}, **value}


@pytest.mark.parametrize(("before", "change", "count"), CASES.values(), ids=CASES.keys())
def test_labels_go_where_the_kind_has_them(before: dict[str, Any], change: dict[str, Any], count: int) -> None:
    reply = run("set-labels", yaml.safe_dump(_item(before)), function_config=config(L))
    assert reply.exit_code == 0
    expected = _item({**before, **change})
    expected["metadata"] = {"name": "n", "labels": L}
    assert yaml.safe_load(items(reply)[0]) == expected
    assert said(reply) == [f"info: set {count} labels in total"]
    again = run("set-labels", items(reply)[0], function_config=config(L))
    assert items(again) == items(reply)


def test_text_around_a_label_stays() -> None:
    item = """
    apiVersion: v1

    kind: ConfigMap # kind
    metadata: {name: "x", labels: {a: 'old', c: d}} # meta
    data:
        # about
        k: |
          text
    """
    reply = run("set-labels", item, function_config=config({"a": "new", "b": "on"}))
    assert items(reply) == [text(item).replace("{a: 'old', c: d}", "{a: 'new', c: d, b: \"on\"}")]


@pytest.mark.parametrize(("local", "labelled"), [('"true"', False), ('"yes"', False), ('"false"', True), ('""', True)])
def test_local_configuration_is_skipped(local: str, labelled: bool) -> None:
    item = f"kind: X\nmetadata:\n  annotations:\n    config.kubernetes.io/local-config: {local}\n"
    reply = run("set-labels", item, function_config=config(L))
    assert ("labels" in items(reply)[0]) is labelled


CONFIGS = {
    "none": (None, 1, ["info: `FunctionConfig` is not given"]),
    "no labels": (config({}), 0, ["warning: no `labels` arguments are given in FunctionConfig"]),
    "own kind": (
        "apiVersion: fn.kpt.dev/v1alpha1\nkind: SetLabels\nlabels: {l: v}\n",
        0,
        ["info: set 1 labels in total"],
    ),
    "other kind": (
        "apiVersion: fn.kpt.dev/v1alpha1\nkind: SetImage\n",
        1,
        ["error: unknown FunctionConfig `SetImage.fn.kpt.dev`, expect `SetLabels.fn.kpt.dev` or `ConfigMap.v1`"],
    ),
}


@pytest.mark.parametrize(("given", "exit_code", "messages"), CONFIGS.values(), ids=CONFIGS.keys())
def test_configurations(given: str | None, exit_code: int, messages: list[str]) -> None:
    reply = run("set-labels", "kind: X", function_config=given)
    assert (reply.exit_code, said(reply)) == (exit_code, messages)


LOCAL = 'kind: X\nmetadata: {annotations: {config.kubernetes.io/local-config: "true"}}\n'


@pytest.mark.parametrize("given", [[], [LOCAL]], ids=["none", "local"])
@pytest.mark.parametrize("labels", [L, {}], ids=["labels", "no labels"])
def test_no_resources_is_said(given: list[str], labels: dict[str, str]) -> None:
    reply = run("set-labels", *given, function_config=config(labels))
    assert (reply.exit_code, said(reply)) == (0, ["info: no input resources"])


def test_without_resources_no_configuration_is_needed() -> None:
    reply = run("set-labels", LOCAL)
    expected = ["info: `FunctionConfig` is not given", "info: no input resources"]
    assert (reply.exit_code, said(reply)) == (0, expected)


words = st.text("abcdefghij-./0123456789", min_size=1, max_size=8)


@settings(deadline=None, max_examples=150)
@given(st.dictionaries(words, words, min_size=1, max_size=4), st.sampled_from(sorted(CASES)))
def test_setting_labels_again_changes_nothing(labels: dict[str, str], case: str) -> None:
    once = run("set-labels", yaml.safe_dump(_item(CASES[case][0])), function_config=config(labels))
    twice = run("set-labels", *items(once), function_config=config(labels))
    assert items(twice) == items(once)
    assert yaml.safe_load(items(once)[0])["metadata"]["labels"] == labels


def settings_of(kind: str, **fields: Any) -> str:
    version = "v1" if kind == "ConfigMap" else "fn.kpt.dev/v1alpha1"
    return yaml.safe_dump({"apiVersion": version, "kind": kind, "metadata": {"name": "c"}, **fields})


@pytest.mark.parametrize(
    "wrong",
    [
        settings_of("SetLabels", labels=[{"color": "orange"}]),
        settings_of("SetLabels", labels="x"),
        settings_of("SetLabels", labels=5),
        settings_of("SetLabels", labels={"b": ["x"]}),
        settings_of("SetLabels", labels={"b": {"c": "d"}}),
        settings_of("ConfigMap", data=["a"]),
        settings_of("ConfigMap", data={"a": ["b"]}),
    ],
)
def test_a_config_that_is_no_mapping_of_texts_fails(wrong: str) -> None:
    reply = run("set-labels", "kind: X\nmetadata: {name: x}\n", function_config=wrong)
    assert reply.exit_code == 1
    assert "must be a mapping of texts" in reply.log
    assert said(reply) == [f"error: {reply.log}"]


def test_labels_are_added_in_the_order_of_their_keys() -> None:
    settings = settings_of("SetLabels", labels={"z": "1", "a": "2", "m": "3"})
    [item] = items(run("set-labels", "kind: X\nmetadata: {name: x, labels: {q: r}}\n", function_config=settings))
    assert list(yaml.safe_load(item)["metadata"]["labels"]) == ["q", "a", "m", "z"]
