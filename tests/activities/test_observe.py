from datetime import UTC, datetime
from typing import Any

import pytest

from porchflow.api.models.packagerevision import Lifecycle
from porchflow.api.work.needs import facts_of


def obj(
    *,
    spec: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
    annotations: dict[str, str] | None = None,
    generation: int = 3,
    **metadata: Any,
) -> dict[str, Any]:
    """A rendered draft that needs nothing, but for what a test says."""
    return {
        "metadata": {
            "namespace": "ns",
            "name": "repo.app.v1",
            "uid": "u1",
            "generation": generation,
            "annotations": annotations or {},
            **metadata,
        },
        "spec": {
            "repository": "repo",
            "packageName": "app",
            "workspaceName": "v1",
            "lifecycle": "Draft",
            "source": {"init": {}},
            **(spec or {}),
        },
        "status": {
            "creationSource": "init",
            "observedGeneration": 3,
            "selfLock": {"type": "git", "git": {"ref": "drafts/app/v1"}},
            "conditions": conditions(Ready="True", Rendered="True"),
            **(status or {}),
        },
    }


def conditions(**statuses: str) -> list[dict[str, str]]:
    return [{"type": kind, "status": status, "reason": "R", "message": ""} for kind, status in statuses.items()]


def lock(ref: str) -> dict[str, Any]:
    return {"type": "git", "git": {"ref": ref}}


REQUEST = {"porch.kpt.dev/render-request": "r2"}
NOW = {"porchflow.dev/reconcile-now": "t2"}
RENDERED_FALSE = {"conditions": conditions(Ready="False", Stalled="True", Rendered="False")}
_NOW = datetime(2026, 1, 1, tzinfo=UTC)
RETRYING = {"conditions": conditions(Ready="False", Reconciling="True", Rendered="True")}

CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("converged", obj(), {"render_pending": False, "report_pending": False, "source_pending": False}),
    ("deleted", obj(deletionTimestamp="x", finalizers=["porch.kpt.dev/packagerevisions"]), {"deleting": True}),
    ("a deleted object of others", obj(deletionTimestamp="x", finalizers=["other/one"]), {"finalizer": False}),
    ("ready and observed: Git is what the spec says", obj(), {"current": Lifecycle.DRAFT}),
    (
        "a newer generation: Git is what was reported",
        obj(spec={"lifecycle": "Proposed"}, generation=4),
        {"current": Lifecycle.DRAFT, "desired": Lifecycle.PROPOSED, "report_pending": True, "render_pending": False},
    ),
    ("proposed", obj(status={**RETRYING, "selfLock": lock("proposed/app/v1")}), {"current": Lifecycle.PROPOSED}),
    (
        "published",
        obj(status={**RETRYING, "selfLock": lock("app/v1"), "revision": 1}),
        {"current": Lifecycle.PUBLISHED},
    ),
    (
        "published, in a directory that is called drafts",
        obj(status={**RETRYING, "selfLock": lock("drafts/app/v1"), "revision": 1}),
        {"current": Lifecycle.PUBLISHED},
    ),
    (
        "the package on the main branch",
        obj(status={**RETRYING, "selfLock": lock("main"), "revision": -1}),
        {"current": Lifecycle.PUBLISHED},
    ),
    ("nothing reported yet", obj(status={"selfLock": None, "conditions": []}), {"current": None}),
    ("a source to execute", obj(status={"creationSource": ""}), {"source_pending": True}),
    ("discovered", obj(spec={"source": None}, status={"creationSource": ""}), {"source_pending": False}),
    ("a render request", obj(annotations=REQUEST), {"render_pending": True}),
    (
        "a render request that was handled",
        obj(annotations=REQUEST, status={"observedPrrResourceVersion": "r2"}),
        {"render_pending": False},
    ),
    ("reconcile now", obj(annotations=NOW), {"render_pending": True, "report_pending": True}),
    (
        "reconcile now, handled",
        obj(annotations=NOW, status={"observedReconcileNow": "t2"}),
        {"render_pending": False, "report_pending": False},
    ),
    (
        "reconcile now, taken back",
        obj(status={"observedReconcileNow": "t2"}),
        {"render_pending": False, "report_pending": False, "current": Lifecycle.DRAFT},
    ),
    ("a render that is awaited", obj(status={"conditions": conditions(Ready="False")}), {"render_pending": True}),
    ("a render that failed is not tried again by itself", obj(status=RENDERED_FALSE), {"render_pending": False}),
    (
        "a render that failed is tried with a new spec",
        obj(status=RENDERED_FALSE, generation=4),
        {"render_pending": True},
    ),
    (
        "discovered content is rendered on request only",
        obj(spec={"source": None}, status={"creationSource": "", **RENDERED_FALSE}, generation=4),
        {"render_pending": False},
    ),
    ("stalled and said so", obj(status=RENDERED_FALSE), {"report_pending": False, "stalled": True}),
    ("stalled, and edited since", obj(status=RENDERED_FALSE, generation=4), {"report_pending": True, "stalled": False}),
    ("stalled, and asked since", obj(status=RENDERED_FALSE, annotations=NOW), {"stalled": False}),
    (
        "neither well nor stalled: whoever wrote that was not done",
        obj(status={"conditions": conditions(Ready="False", Rendered="True")}),
        {"report_pending": True},
    ),
    ("a pass that could not end left it reconciling", obj(status=RETRYING), {"report_pending": True}),
]


@pytest.mark.parametrize(("raw", "expected"), [row[1:] for row in CASES], ids=[row[0] for row in CASES])
def test_facts(raw: dict[str, Any], expected: dict[str, Any]) -> None:
    facts = facts_of(raw, _NOW).model_dump()
    assert {name: facts[name] for name in expected} == expected


def test_facts_name_the_package() -> None:
    facts = facts_of(obj(), _NOW)
    assert (facts.exists, facts.repository, facts.package, facts.workspace) == (True, "repo", "app", "v1")
