"""The rules themselves: a rule that nothing breaks holds nothing."""

from typing import Any

import pytest

from porchflow.kube.client import KubeClient
from porchflow.kube.kinds import PACKAGEREVISIONS
from tests.e2e.rules import Recorder, check_echo, check_kstatus, check_ready_is_of_now, check_rules, check_step, kstatus

T1, T2 = "2026-01-01T00:00:01Z", "2026-01-01T00:00:02Z"


def said(kind: str, status: str = "True", reason: str = "R", message: str = "m", **more: Any) -> dict[str, Any]:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": T1,
        "observedGeneration": 2,
        **more,
    }


def obj(*conditions: dict[str, Any], observed: int | None = 2, token: str = "", echo: str = "") -> dict[str, Any]:
    status: dict[str, Any] = {"conditions": list(conditions), "observedReconcileNow": echo}
    if observed is not None:
        status["observedGeneration"] = observed
    metadata = {"name": "x", "generation": 2, "annotations": {"porchflow.dev/reconcile-now": token}}
    return {"metadata": metadata, "status": status}


READY, NOT_READY = said("Ready"), said("Ready", "False")


@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        (obj(), "Ready is missing"),
        (obj(READY, READY), "stands twice"),
        (obj(READY, said("Stalled", "False")), "exists while not True"),
        (obj(NOT_READY, said("Stalled"), said("Reconciling")), "at once"),
        (obj(NOT_READY, said("Suspended"), said("Reconciling")), "at once"),
        (obj(READY, said("Reconciling")), "not False while"),
        (obj(said("Ready", "Unknown"), said("Stalled")), "not False while"),
        (obj(READY, said("Rendered", "False")), "Ready but not Rendered"),
        (obj(NOT_READY, said("Stalled", reason="Other")), "disagree"),
        (obj(NOT_READY, said("Stalled"), observed=None), "no generation observed"),
        (obj(READY, observed=3), "generation that is none"),
        (obj(said("Ready", observedGeneration=3)), "of no generation"),
        (obj(said("Ready", observedGeneration=0)), "of no generation"),
        (obj(said("Ready", reason="")), "no reason"),
        (obj(said("Ready", lastTransitionTime="")), "no lastTransitionTime"),
        (obj(said("Ready", "False", message="")), "without a word"),
    ],
)
def test_a_moment_that_breaks_a_rule(broken: dict[str, Any], rule: str) -> None:
    with pytest.raises(AssertionError, match=rule):
        check_rules(broken)


@pytest.mark.parametrize(
    "stale",
    [
        obj(READY, observed=1),
        obj(READY, said("Rendered", observedGeneration=1)),
        obj(said("Ready", observedGeneration=1)),
    ],
)
def test_ready_of_another_generation(stale: dict[str, Any]) -> None:
    with pytest.raises(AssertionError, match="generation"):
        check_ready_is_of_now(stale)


@pytest.mark.parametrize(
    ("before", "after", "rule"),
    [
        (obj(READY), obj(READY, observed=1), "went back"),
        (obj(READY), obj(said("Ready", lastTransitionTime=T2)), "did not flip"),
        (obj(said("Ready", lastTransitionTime=T2)), obj(NOT_READY), "before it was"),
        (obj(NOT_READY), obj(READY, observed=1), "went back"),
        (obj(NOT_READY, observed=1), obj(READY, observed=1), "not its newest generation"),
        (obj(NOT_READY), obj(READY, said("Reconciling")), "not False while"),
    ],
)
def test_a_step_that_breaks_a_rule(before: dict[str, Any], after: dict[str, Any], rule: str) -> None:
    with pytest.raises(AssertionError, match=rule):
        check_step(before, after)


def test_a_token_that_nobody_set() -> None:
    check_echo([obj(READY, token="a"), obj(READY, token="b", echo="a"), obj(READY, token="b", echo="b")])
    with pytest.raises(AssertionError, match="nobody asked"):
        check_echo([obj(READY, token="a"), obj(READY, token="a", echo="c")])


@pytest.mark.parametrize(
    ("computed", "of"),
    [
        ("Current", obj(READY)),
        ("Current", {"metadata": {"generation": 1}}),
        ("InProgress", obj(READY, observed=1)),
        ("InProgress", obj(NOT_READY)),
        ("InProgress", obj(said("Ready", "Unknown"))),
        ("InProgress", obj(NOT_READY, said("Reconciling"))),
        ("InProgress", obj(NOT_READY, said("Suspended"))),
        ("Failed", obj(NOT_READY, said("Stalled"))),
        ("Terminating", {"metadata": {"generation": 1, "deletionTimestamp": T1}}),
    ],
)
def test_kstatus(computed: str, of: dict[str, Any]) -> None:
    assert kstatus(of) == computed


def test_what_kstatus_takes_for_something_else() -> None:
    with pytest.raises(AssertionError, match="kstatus says InProgress"):
        check_kstatus(obj(READY, said("Reconciling")))


@pytest.mark.writes_statuses
async def test_a_recorder_sees_what_was_wrong_for_a_moment_only(kube: KubeClient, namespace: str) -> None:
    recorder = Recorder(kube, namespace)
    async with recorder.recording():
        spec = {"repository": "r", "packageName": "p", "workspaceName": "v1", "lifecycle": "Draft"}
        body = {
            "apiVersion": "porch.kpt.dev/v1alpha2",
            "kind": "PackageRevision",
            "metadata": {"name": "r.p.v1", "namespace": namespace},
            "spec": spec,
        }
        await kube.create(PACKAGEREVISIONS, body)
        for observed in (1, 0, 1):
            ready = said("Ready", observedGeneration=1)
            patch = {"status": {"observedGeneration": observed, "conditions": [ready]}}
            await kube.merge_patch(PACKAGEREVISIONS, namespace, "r.p.v1", patch, subresource="status")
    with pytest.raises(AssertionError, match="went back"):
        recorder.check()
