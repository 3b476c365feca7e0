from typing import Any

import pytest

from porchflow.api.names import FINALIZER, RECONCILE_NOW_ANNOTATION, RENDER_REQUEST_ANNOTATION
from porchflow.watcher.needs import target_of


def package(
    *,
    generation: int = 2,
    observed: int | None = 2,
    spec: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
    annotations: dict[str, str] | None = None,
    **metadata: Any,
) -> dict[str, Any]:
    """A PackageRevision as a test says."""
    obj: dict[str, Any] = {
        "metadata": {
            "namespace": "ns",
            "name": "repo.pkg.v1",
            "uid": "u1",
            "generation": generation,
            "finalizers": [FINALIZER],
            "annotations": annotations or {},
            **metadata,
        },
        "spec": {
            "repository": "repo",
            "packageName": "pkg",
            "workspaceName": "v1",
            "lifecycle": "Draft",
            "source": {"init": {}},
            **(spec or {}),
        },
        "status": {"creationSource": "init", **(status or {})},
    }
    if observed is not None:
        obj["status"]["observedGeneration"] = observed
    return obj


_RENDER = {RENDER_REQUEST_ANNOTATION: "17"}
_NOW = {RECONCILE_NOW_ANNOTATION: "t2"}


def test_target_says_what_the_workflow_is_searched_by() -> None:
    target = target_of(package(spec={"lifecycle": "Proposed"}))
    assert (target.namespace, target.name, target.key) == ("ns", "repo.pkg.v1", ("ns", "repo.pkg.v1"))
    assert (target.repository, target.package, target.workspace, target.lifecycle) == ("repo", "pkg", "v1", "Proposed")


def test_target_of_an_object_without_spec() -> None:
    target = target_of({"metadata": {"namespace": "ns", "name": "x"}})
    assert (target.repository, target.lifecycle) == ("", "")


SAME = target_of(package(generation=3)).signature


@pytest.mark.parametrize(
    ("obj", "same"),
    [
        (package(generation=3, resourceVersion="99"), True),
        (package(generation=3, status={"conditions": [{"type": "Ready", "status": "False"}]}), True),
        (package(generation=3, status={"renderingPrrResourceVersion": "4"}), True),
        (package(generation=4, spec={"lifecycle": "Proposed"}), False),
        (package(generation=3, annotations=_RENDER), False),
        (package(generation=3, annotations=_NOW), False),
        (package(generation=3, deletionTimestamp="x"), False),
        (package(generation=3, uid="u2"), False),
        (package(generation=4, observed=3), False),
    ],
    ids=[
        "a write of something else",
        "a status that reports",
        "a render that started",
        "another lifecycle",
        "a render request",
        "reconcile now",
        "deletion",
        "another object of that name",
        "handled, and in need again",
    ],
)
def test_the_signature_changes_when_a_workflow_should_look_again(obj: dict[str, Any], same: bool) -> None:
    assert (target_of(obj).signature == SAME) is same
