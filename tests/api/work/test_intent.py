"""What counts as somebody asking for something."""

import json
from typing import Any

import pytest

from porchflow.api.work.intent import intent_key


def asked(**metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "blueprints.web.v1", "uid": "0a1b", "generation": 1, **metadata},
        "spec": {"packageName": "web", "lifecycle": "Draft", "source": {"init": {"description": "a web shop"}}},
    }


def with_spec(**spec: Any) -> dict[str, Any]:
    obj = asked()
    return obj | {"spec": obj["spec"] | spec}


@pytest.mark.parametrize(
    "other",
    [
        with_spec(lifecycle="Proposed"),
        with_spec(source={"init": {"description": "another"}}),
        asked(uid="2c3d"),
        asked(deletionTimestamp="2026-01-02T03:04:05Z"),
        asked(annotations={"porch.kpt.dev/render-request": "1"}),
        asked(annotations={"porchflow.dev/reconcile-now": "1"}),
    ],
    ids=["lifecycle", "source", "another object", "deletion", "render request", "reconcile now"],
)
def test_asking_for_something_else_changes_it(other: dict[str, Any]) -> None:
    assert intent_key(other) != intent_key(asked())


@pytest.mark.parametrize(
    "other",
    [
        asked(generation=2),
        asked(resourceVersion="77", managedFields=[{"manager": "someone"}]),
        asked(labels={"porch.kpt.dev/latest-revision": "true"}, finalizers=["porch.kpt.dev/packagerevisions"]),
        asked(annotations={"example.com/note": "mine"}),
        with_spec(readinessGates=[{"conditionType": "Tested"}]),
        with_spec(packageMetadata={"labels": {"team": "shop"}}),
        asked() | {"status": {"observedGeneration": 1}},
    ],
    ids=["generation", "bookkeeping", "labels", "other annotations", "mirrored gates", "mirrored metadata", "status"],
)
def test_everything_else_does_not(other: dict[str, Any]) -> None:
    assert intent_key(other) == intent_key(asked())


def test_the_order_of_fields_means_nothing() -> None:
    turned = json.loads(json.dumps(asked()), object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    assert list(turned) != list(asked())
    assert intent_key(turned) == intent_key(asked())


def test_the_two_annotations_are_not_taken_for_each_other() -> None:
    render, reconcile = ({f"{name}": "1"} for name in ("porch.kpt.dev/render-request", "porchflow.dev/reconcile-now"))
    assert intent_key(asked(annotations=render)) != intent_key(asked(annotations=reconcile))


@pytest.mark.parametrize("bare", [{}, {"metadata": {"annotations": None}, "spec": None}])
def test_an_object_without_anything_has_one_too(bare: dict[str, Any]) -> None:
    assert intent_key(bare) == intent_key({"metadata": {}, "spec": {}})
