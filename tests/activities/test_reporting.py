"""Status as the API server has it after reports of both field managers, failures and edits in between."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from porchflow.activities.reporting import StatusReporter
from porchflow.api.models.conditions import Condition, ConditionStatus, ConditionType
from porchflow.kube.client import Object
from porchflow.kube.errors import KubeUnavailable
from porchflow.kube.status import Report
from porchflow.repositories.failures import Superseded
from tests.activities.world import World, condition, reason

LONG_AGO = "2020-01-01T00:00:00Z"

pytestmark = pytest.mark.writes_statuses


def said(kind: ConditionType, status: str, why: str, message: str = "told") -> Condition:
    return Condition(type=kind, status=ConditionStatus(status), reason=why, message=message)


AWAITED = Report(
    fields={"creationSource": "init", "selfLock": {"type": "git", "git": {"ref": "drafts/web/v1", "commit": "c1"}}},
    conditions=(
        said(ConditionType.READY, "False", "Pending"),
        said(ConditionType.RECONCILING, "True", "Progressing"),
        said(ConditionType.RENDERED, "Unknown", "Pending"),
    ),
)
RETRYING = Report(
    conditions=(
        said(ConditionType.READY, "False", "GitUnavailable"),
        said(ConditionType.RECONCILING, "True", "ProgressingWithRetry"),
    )
)
RENDER_FAILED = Report(
    fields={"observedPrrResourceVersion": "r1", "renderingPrrResourceVersion": None},
    conditions=(
        said(ConditionType.READY, "False", "RenderFailed"),
        said(ConditionType.STALLED, "True", "RenderFailed"),
        said(ConditionType.RENDERED, "False", "RenderFailed"),
    ),
)
RENDERED = Report(
    fields={"observedGeneration": 1, "observedPrrResourceVersion": "r2", "renderingPrrResourceVersion": None},
    conditions=(
        said(ConditionType.READY, "True", "Ready", ""),
        said(ConditionType.RENDERED, "True", "Rendered", ""),
    ),
)


@pytest.fixture
def reporter(world: World) -> StatusReporter:
    return StatusReporter(world.worker, world.events)


@pytest.fixture
async def obj(world: World) -> Object:
    return await world.get(await world.create())


def managers(obj: Object) -> set[str]:
    return {entry["manager"] for entry in obj["metadata"]["managedFields"] if entry.get("subresource") == "status"}


RENDER_MANAGER = "packagerev-controller-render"


def fields_of(obj: Object, manager: str) -> set[str]:
    """The fields of the status that a manager owns."""
    entries = [entry["fieldsV1"] for entry in obj["metadata"]["managedFields"] if entry["manager"] == manager]
    return {name.removeprefix("f:") for entry in entries for name in entry.get("f:status", {})}


async def test_a_new_draft_takes_one_write(world: World, reporter: StatusReporter, obj: Object) -> None:
    after = await reporter.report(obj, AWAITED)
    assert world.worker.writes == 1
    assert reason(after, "Rendered") == "Unknown/Pending"
    assert managers(after) == {"packagerev-controller"}


async def test_an_awaited_render_stays_through_failures(reporter: StatusReporter, obj: Object) -> None:
    after = await reporter.report(await reporter.report(obj, AWAITED), RETRYING)
    assert reason(after, "Rendered") == "Unknown/Pending"
    assert reason(after, "Reconciling") == "True/ProgressingWithRetry"
    assert after["status"]["creationSource"] == "init"
    assert after["status"]["selfLock"]["git"]["commit"] == "c1"


async def test_the_render_manager_takes_its_condition_over_and_keeps_it(reporter: StatusReporter, obj: Object) -> None:
    for report in (AWAITED, RENDERED, RETRYING):
        obj = await reporter.report(obj, report)
    assert reason(obj, "Rendered") == "True/Rendered"
    assert obj["status"]["observedPrrResourceVersion"] == "r2"
    for report in (AWAITED, RETRYING, RENDER_FAILED, RETRYING):
        obj = await reporter.report(obj, report)
    assert reason(obj, "Rendered") == "False/RenderFailed"
    assert reason(obj, "Ready") == "False/GitUnavailable"


async def test_a_source_that_works_after_it_failed(reporter: StatusReporter, obj: Object) -> None:
    for report in (RENDER_FAILED, AWAITED, RETRYING):
        obj = await reporter.report(obj, report)
    assert reason(obj, "Rendered") == "Unknown/Pending"
    assert obj["status"]["observedPrrResourceVersion"] == "r1"


async def test_conditions_that_hold_no_longer_disappear(reporter: StatusReporter, obj: Object) -> None:
    for report in (AWAITED, RENDER_FAILED):
        obj = await reporter.report(obj, report)
    assert condition(obj, "Reconciling") is None
    assert reason(obj, "Stalled") == "True/RenderFailed"
    obj = await reporter.report(obj, RENDERED)
    assert condition(obj, "Stalled") is None
    assert condition(obj, "Reconciling") is None


async def test_none_removes_a_field(reporter: StatusReporter, obj: Object) -> None:
    obj = await reporter.report(obj, replace(RENDERED, fields={"observedReconcileNow": "t1"}))
    assert obj["status"]["observedReconcileNow"] == "t1"
    obj = await reporter.report(obj, replace(RENDERED, fields={"observedReconcileNow": None}))
    assert "observedReconcileNow" not in obj["status"]


async def test_fields_of_others_stay(world: World, reporter: StatusReporter, obj: Object) -> None:
    name = obj["metadata"]["name"]
    obj = await world.patch(name, {"status": {"deployment": True, "packageConditions": []}}, subresource="status")
    obj = await reporter.report(obj, RENDERED)
    assert obj["status"]["deployment"] is True


async def _as_of_long_ago(world: World, obj: Object) -> Object:
    conditions = [{**each, "lastTransitionTime": LONG_AGO} for each in obj["status"]["conditions"]]
    return await world.patch(obj["metadata"]["name"], {"status": {"conditions": conditions}}, subresource="status")


def _times(obj: Object) -> dict[str, str]:
    return {each["type"]: each["lastTransitionTime"] for each in obj["status"]["conditions"]}


async def test_the_transition_time_moves_when_the_status_flips_only(
    world: World, reporter: StatusReporter, obj: Object
) -> None:
    obj = await _as_of_long_ago(world, await reporter.report(obj, AWAITED))
    obj = await reporter.report(obj, RETRYING)
    assert _times(obj) == {"Ready": LONG_AGO, "Reconciling": LONG_AGO, "Rendered": LONG_AGO}
    obj = await reporter.report(obj, RENDERED)
    assert all(time > LONG_AGO for time in _times(obj).values())


async def test_an_edit_that_asks_for_nothing_new_is_acknowledged_with_the_report(
    world: World, reporter: StatusReporter, obj: Object
) -> None:
    name = obj["metadata"]["name"]
    await world.patch(name, {"spec": {"packageMetadata": {"labels": {"team": "a"}}}})
    after = await reporter.report(obj, RENDERED)
    assert after["metadata"]["generation"] == 2
    assert after["status"]["observedGeneration"] == 2
    assert {each["observedGeneration"] for each in after["status"]["conditions"]} == {2}
    assert after["spec"]["packageMetadata"]["labels"] == {"team": "a"}


@pytest.mark.parametrize(
    "edit",
    [
        {"spec": {"lifecycle": "Proposed"}},
        {"metadata": {"annotations": {"porch.kpt.dev/render-request": "r9"}}},
        {"metadata": {"annotations": {"porchflow.dev/reconcile-now": "t9"}}},
    ],
    ids=["another lifecycle", "a render request", "reconcile now"],
)
async def test_nothing_is_written_over_newer_intent(
    world: World, reporter: StatusReporter, obj: Object, edit: dict[str, Any]
) -> None:
    edited = await world.patch(obj["metadata"]["name"], edit)
    with pytest.raises(Superseded):
        await reporter.report(obj, RENDERED)
    assert await world.get(obj["metadata"]["name"]) == edited


async def test_a_report_on_a_gone_object_is_no_error(world: World, reporter: StatusReporter, obj: Object) -> None:
    await world.delete(obj)
    assert await reporter.report(obj, RENDERED) == obj
    assert [name async for name in world.names()] == [], "and does not bring it back"


async def test_each_change_is_told_once(world: World, reporter: StatusReporter, obj: Object) -> None:
    for report in (AWAITED, AWAITED, RETRYING, RETRYING, RENDER_FAILED, RENDER_FAILED, RENDERED, RENDERED):
        obj = await reporter.report(obj, report)
    assert sorted(await world.told(obj["metadata"]["name"])) == [
        ("Normal", "Pending", 1),
        ("Normal", "Rendered", 1),
        ("Warning", "GitUnavailable", 1),
        ("Warning", "RenderFailed", 1),
    ]


@pytest.mark.parametrize("number", [1, 2])
async def test_a_report_that_meets_a_conflict_is_made_and_told(
    world: World, reporter: StatusReporter, obj: Object, number: int
) -> None:
    name = obj["metadata"]["name"]
    obj = await reporter.report(obj, RENDER_FAILED)

    def label(write: int) -> Any:
        return world.patch(name, {"metadata": {"labels": {"a": "b"}}}) if write == number else None

    world.worker.writes, world.worker.before_write = 0, label
    obj = await reporter.report(obj, RENDERED)
    assert world.worker.writes == 3
    assert fields_of(obj, RENDER_MANAGER) >= {"observedPrrResourceVersion", "conditions"}
    assert ("Normal", "Rendered", 1) in await world.told(name)


async def test_a_report_is_whole_after_its_first_write(world: World, reporter: StatusReporter, obj: Object) -> None:
    """What the render field manager owns is said as well, and claimed by that one whenever it can be."""
    name = obj["metadata"]["name"]
    obj = await reporter.report(obj, RENDER_FAILED)
    obj = await reporter.announce_rendering(await world.annotate(name, render_request="r2"))
    assert obj["status"]["renderingPrrResourceVersion"] == "r2"
    world.worker.stop_at(2)
    with pytest.raises(asyncio.CancelledError):
        await reporter.report(obj, RENDERED)
    world.worker.before_write = None
    obj = await world.get(name)
    assert (reason(obj, "Rendered"), reason(obj, "Ready")) == ("True/Rendered", "True/Ready")
    assert obj["status"]["observedPrrResourceVersion"] == "r2"
    assert "renderingPrrResourceVersion" not in obj["status"]
    assert "observedPrrResourceVersion" not in fields_of(obj, RENDER_MANAGER)
    obj = await reporter.report(obj, RETRYING)
    assert obj["status"]["observedPrrResourceVersion"] == "r2"
    assert reason(obj, "Rendered") == "True/Rendered"
    assert "observedPrrResourceVersion" in fields_of(obj, RENDER_MANAGER), "the next report claims it"


async def test_a_claim_that_fails_is_no_failure_of_the_report(
    world: World, reporter: StatusReporter, obj: Object
) -> None:
    def away(write: int) -> None:
        if write == 2:
            raise KubeUnavailable("the API server is away")

    world.worker.writes, world.worker.before_write = 0, away
    assert reason(await reporter.report(obj, RENDERED), "Rendered") == "True/Rendered"


async def test_what_the_status_says_already_is_not_written(world: World, reporter: StatusReporter, obj: Object) -> None:
    obj = await reporter.report(obj, AWAITED)
    writes = world.worker.writes
    assert await reporter.report(obj, AWAITED) == obj
    assert world.worker.writes == writes


async def test_rendered_is_of_the_generation_that_is_ready(world: World, reporter: StatusReporter, obj: Object) -> None:
    """Else `kubectl wait --for=condition=Rendered` would wait for ever after a step of the lifecycle."""
    obj = await reporter.report(obj, RENDERED)
    obj = await world.ask("blueprints.web.v1", "Proposed")
    obj = await reporter.report(obj, RETRYING)
    assert _generation_of_rendered(obj) == 1
    for _ in range(2):
        done = Report(fields={"observedGeneration": 2}, conditions=(said(ConditionType.READY, "True", "Ready"),))
        obj = await reporter.report(obj, done)
        assert _generation_of_rendered(obj) == 2
    obj = await reporter.report(obj, RENDER_FAILED)
    assert reason(obj, "Rendered") == "False/RenderFailed"


def _generation_of_rendered(obj: Object) -> int | None:
    rendered = condition(obj, "Rendered")
    assert rendered is not None
    return rendered.observed_generation
