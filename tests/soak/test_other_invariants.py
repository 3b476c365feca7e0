"""Invariants of objects, of Temporal and of memory: each finds what was planted."""

import uuid
from typing import Any

import pytest
from temporalio.client import Client, Schedule, ScheduleActionStartWorkflow, ScheduleSpec

from porchflow.api.models.packagerevision import Lifecycle
from porchflow.workflows.ids import Installation
from soak.findings import Violation
from soak.invariants import temporal as runs
from soak.invariants.memory import MemoryLog
from soak.invariants.objects import check_objects, check_repositories
from soak.invariants.temporal import check_runs, check_schedules
from soak.ledger import GONE, Ledger, Promise
from soak.observer import broken_rules, went_back
from soak.places import Key, Place
from tests.servers.waiting import eventually

PLACE = Place("ns", "apps", "repo")
WEB = Key(PLACE, "web", "w1")
NAME = (WEB.namespace, WEB.name)


def condition(kind: str, status: str = "True", reason: str = "Reason") -> dict[str, Any]:
    time = "2026-01-01T00:00:00Z"
    said = {"reason": reason, "message": "a message", "lastTransitionTime": time, "observedGeneration": 1}
    return {"type": kind, "status": status, **said}


def obj(*conditions: dict[str, Any], lifecycle: str = "Draft", observed: int = 1, revision: int = 0) -> dict[str, Any]:
    return {
        "metadata": {"name": WEB.name, "namespace": WEB.namespace, "uid": "u", "generation": 1},
        "spec": {"repository": "apps", "packageName": "web", "workspaceName": "w1", "lifecycle": lifecycle},
        "status": {
            "observedGeneration": observed,
            "revision": revision,
            "conditions": [*conditions] or [condition("Ready"), condition("Rendered")],
        },
    }


def promised(**fields: Any) -> Promise:
    return Promise(WEB, **fields)


def invariants(promises: list[Promise], *objects: dict[str, Any]) -> list[str]:
    seen = {(each["metadata"]["namespace"], each["metadata"]["name"]): each for each in objects}
    ledger = Ledger()
    ledger.promises = {promise.key: promise for promise in promises}
    return [violation.invariant for violation in check_objects(ledger, seen)]


STALLED = (condition("Ready", "False", "PackageExists"), condition("Stalled", "True", "PackageExists"))


class TestObjects:
    def test_what_was_promised(self) -> None:
        assert invariants([promised()], obj()) == []
        assert invariants([promised(stalled="PackageExists")], obj(*STALLED)) == []
        assert invariants([promised(wanted=frozenset({GONE}))]) == []

    @pytest.mark.parametrize(
        ("promise", "seen"),
        [
            (promised(), []),
            (promised(), [obj(lifecycle="Proposed")]),
            (promised(), [obj(observed=0)]),
            (promised(), [obj(*STALLED)]),
            (promised(stalled="PackageExists"), [obj()]),
            (promised(stalled="InvalidSpec"), [obj(*STALLED)]),
            (promised(wanted=frozenset({GONE})), [obj()]),
            (promised(suspended=True), [obj()]),
        ],
    )
    def test_what_was_not(self, promise: Promise, seen: list[dict[str, Any]]) -> None:
        assert "objects" in invariants([promise], *seen)

    def test_a_request_that_was_not_answered(self) -> None:
        seen = obj()
        seen["metadata"]["annotations"] = {"porchflow.dev/reconcile-now": "t7"}
        assert invariants([promised()], seen) == ["objects"]
        seen["status"]["observedReconcileNow"] = "t7"
        assert invariants([promised()], seen) == []

    def test_nothing_is_promised_of_what_was_abandoned_or_waits_for_it(self) -> None:
        clone = Promise(Key(PLACE, "clone", "w1"), sources=(WEB,))
        assert invariants([promised(abandoned=True), clone]) == []
        assert invariants([promised(), clone]) == ["objects", "objects"]

    def test_an_object_that_nobody_made(self) -> None:
        assert invariants([], obj()) == ["objects"]

    def test_what_the_branch_holds_has_an_object_of_its_own(self) -> None:
        seen = obj(lifecycle="Published", revision=-1)
        seen["spec"]["workspaceName"] = "main"
        assert invariants([], seen) == []
        seen["status"]["conditions"] = [condition("Ready", "False"), condition("Reconciling")]
        assert invariants([], seen) == ["objects"]

    def test_the_latest_revision_is_the_one_with_the_label(self) -> None:
        seen, promise = obj(lifecycle="Published", revision=1), promised(wanted=frozenset({Lifecycle.PUBLISHED}))
        assert invariants([promise], seen) == ["latest"]
        seen["metadata"]["labels"] = {"porch.kpt.dev/latest-revision": "true"}
        assert invariants([promise], seen) == []

    def test_conditions_that_contradict_one_another(self) -> None:
        seen = obj(condition("Ready"), condition("Stalled"))
        assert [violation.invariant for violation in broken_rules(seen)] == ["conditions"]
        assert broken_rules(obj()) == []

    def test_an_observed_generation_that_goes_back(self) -> None:
        assert [violation.invariant for violation in went_back(obj(), obj(observed=0))] == ["conditions"]
        assert went_back(obj(), obj()) == []

    def test_a_repository_that_is_not_ready(self) -> None:
        assert check_repositories([obj()]) == []
        assert [each.invariant for each in check_repositories([obj(*STALLED)])] == ["repositories"]


async def test_a_run_that_stays_open(temporal: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "_QUIET_SECONDS", 0.0)
    assert await check_runs(temporal) == []
    await temporal.start_workflow("Nothing", id="stuck", task_queue="nobody")
    assert await _eventually_found(temporal) == [
        Violation("runs", "stuck", "every run must have ended, and this one is open")
    ]


async def _eventually_found(client: Client) -> list[Violation]:
    async def look() -> list[Violation]:
        return await check_runs(client)

    found: list[Violation] = await eventually(look, what="Temporal lists the run")
    return found


async def test_schedules_that_are_missing_or_left_over(temporal: Client) -> None:
    installation = Installation(f"soak-{uuid.uuid4().hex[:6]}")
    wanted = {installation.sync_id("ns", "apps"), installation.listing_id}
    missing = await check_schedules(temporal, installation, [PLACE])
    assert {violation.of for violation in missing} == wanted
    for schedule in (*wanted, installation.sync_id("ns", "gone")):
        action = ScheduleActionStartWorkflow("Nothing", id=f"run-{schedule}", task_queue="nobody")
        await temporal.create_schedule(schedule, Schedule(action=action, spec=ScheduleSpec()))

    async def only_the_extra_one() -> bool:
        found = await check_schedules(temporal, installation, [PLACE])
        return {violation.of for violation in found} == {installation.sync_id("ns", "gone")}

    await eventually(only_the_extra_one, what="Temporal lists the schedules")


def test_memory_that_grows_without_bound() -> None:
    log = MemoryLog()
    for mib in (100.0, 200.0, 400.0):
        log.add("worker-1", 1, mib)
    assert log.check() == []
    assert log.growth()["worker-1"].startswith("100 ")
    log.add("worker-1", 1, 2_000.0)
    assert [(violation.invariant, violation.of) for violation in log.check()] == [("memory", "worker-1")]


def test_nothing_is_promised_of_an_object_that_nobody_asked_for() -> None:
    with pytest.raises(KeyError):
        Ledger().promise(WEB)
