from datetime import UTC, datetime
from typing import Any

import pytest

from porchflow.api.names import (
    FINALIZER,
    RECONCILE_NOW_ANNOTATION,
    RENDER_REQUEST_ANNOTATION,
    SUSPEND_ANNOTATION,
    SUSPEND_UNTIL_ANNOTATION,
)
from porchflow.api.suspension import suspension_of
from porchflow.watcher.needs import needs_reconcile, target_of


def package(
    *,
    generation: int = 2,
    observed: int | None = 2,
    spec: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
    annotations: dict[str, str] | None = None,
    **metadata: Any,
) -> dict[str, Any]:
    """A PackageRevision that needs nothing, but for what a test says."""
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


def stalled(generation: int, status: str = "True") -> dict[str, Any]:
    return {"conditions": [{"type": "Stalled", "status": status, "observedGeneration": generation}]}


_RENDER = {RENDER_REQUEST_ANNOTATION: "17"}
_READY = {"conditions": [{"type": "Ready", "status": "True"}]}
_NOW_UTC = datetime(2026, 1, 1, tzinfo=UTC)
_SUSPENDED = {SUSPEND_ANNOTATION: "a freeze", SUSPEND_UNTIL_ANNOTATION: "2026-01-01T00:00:01Z"}
_OVER = {**_SUSPENDED, SUSPEND_UNTIL_ANNOTATION: "2026-01-01T00:00:00Z"}


def _told(annotations: dict[str, str]) -> dict[str, Any]:
    suspension = suspension_of(annotations)
    assert suspension is not None
    return {"conditions": [{"type": "Suspended", "status": "True", "message": suspension.message}]}


_NOW = {RECONCILE_NOW_ANNOTATION: "t2"}

CASES = [
    ("converged", package(), False),
    ("never seen", package(observed=None), True),
    ("newer generation", package(generation=3), True),
    ("suspended, which nobody told", package(annotations=_SUSPENDED), True),
    ("suspended", package(annotations=_SUSPENDED, status=_told(_SUSPENDED)), False),
    ("suspended and edited", package(annotations=_SUSPENDED, status=_told(_SUSPENDED), generation=3), False),
    ("suspended in other words", package(annotations=_SUSPENDED, status=_told({SUSPEND_ANNOTATION: "x"})), True),
    ("suspended no more", package(status=_told(_SUSPENDED)), True),
    ("a suspension that is over, and still told", package(annotations=_OVER, status=_told(_OVER)), True),
    ("a suspension that is over", package(annotations=_OVER), False),
    (
        "suspended and deleted",
        package(annotations=_SUSPENDED, status=_told(_SUSPENDED), deletionTimestamp="2026-01-01T00:00:00Z"),
        False,
    ),
    ("no status at all", {**package(), "status": None}, True),
    ("deleted, ours to finish", package(deletionTimestamp="2026-01-01T00:00:00Z"), True),
    (
        "deleted, ours to finish though everything was observed before",
        package(deletionTimestamp="2026-01-01T00:00:00Z", finalizers=["other/one", FINALIZER]),
        True,
    ),
    ("deleted, others finish", package(deletionTimestamp="x", finalizers=["other/one"], generation=3), False),
    ("deleted, nobody finishes", package(deletionTimestamp="x", finalizers=None), False),
    ("source not executed", package(status={"creationSource": ""}), True),
    ("source not executed, stalled", package(status={"creationSource": "", **stalled(2)}), False),
    ("source not executed, stalled before the edit", package(status={"creationSource": "", **stalled(1)}), True),
    ("source not executed, no longer stalled", package(status={"creationSource": "", **stalled(2, "False")}), True),
    ("discovered: no source to execute", package(spec={"source": None}, status={"creationSource": ""}), False),
    ("render requested", package(annotations=_RENDER), True),
    ("render handled", package(annotations=_RENDER, status={"observedPrrResourceVersion": "17"}), False),
    ("newer render requested", package(annotations=_RENDER, status={"observedPrrResourceVersion": "16"}), True),
    (
        "render requested of a proposal",
        package(annotations=_RENDER, spec={"lifecycle": "Proposed"}, status=_READY),
        False,
    ),
    ("content for a proposal that stalled", package(annotations=_RENDER, spec={"lifecycle": "Proposed"}), True),
    ("content for a draft that stalled", package(annotations=_RENDER, spec={"lifecycle": "Published"}), True),
    (
        "render requested of a published one",
        package(annotations=_RENDER, spec={"lifecycle": "Published"}, status={"revision": 1}),
        False,
    ),
    ("empty render request", package(annotations={RENDER_REQUEST_ANNOTATION: ""}), False),
    ("reconcile now", package(annotations=_NOW), True),
    ("reconcile now, again", package(annotations=_NOW, status={"observedReconcileNow": "t1"}), True),
    ("reconcile now, handled", package(annotations=_NOW, status={"observedReconcileNow": "t2"}), False),
    ("reconcile now, published", package(annotations=_NOW, spec={"lifecycle": "Published"}), True),
    ("other annotations", package(annotations={"a": "b"}), False),
    ("annotations: null", package() | {"metadata": {**package()["metadata"], "annotations": None}}, False),
]


@pytest.mark.parametrize(("obj", "wanted"), [row[1:] for row in CASES], ids=[row[0] for row in CASES])
def test_needs_reconcile(obj: dict[str, Any], wanted: bool) -> None:
    assert needs_reconcile(obj, _NOW_UTC) is wanted


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
