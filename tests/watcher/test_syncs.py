"""Which schedule a Repository has, what asks for a sync, and that Temporal hears of it."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from porchflow.api.crontab import Crontab
from porchflow.api.work.suspension import suspension_of
from porchflow.kube.client import KubeClient
from porchflow.kube.kinds import REPOSITORIES
from porchflow.watcher.scheduling import SyncScheduling
from porchflow.watcher.syncs import AT_LEAST, SyncPlan, asks_for_sync, plan_of
from tests.servers.waiting import eventually
from tests.watcher.objects import repository
from tests.watcher.signallers import RecordingSchedules, RecordingSignaller
from tests.watcher.test_packagerevisions import watching

NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
USUAL = timedelta(minutes=5)
KEY = ("default", "mine")
_SUSPENSION = suspension_of({"porchflow.dev/suspend": "audit"})
assert _SUSPENSION is not None
MESSAGE = _SUSPENSION.message
SUSPENDED = {"type": "Suspended", "status": "True", "message": MESSAGE}


def registered(sync: dict[str, str] | None = None, status: dict[str, Any] | None = None, **metadata: Any) -> Any:
    obj = repository("default", "mine")
    obj["metadata"] |= {"uid": "u", "generation": 3, **metadata}
    obj["spec"] |= {"sync": sync} if sync else {}
    return {**obj, "status": {"observedGeneration": 3, **(status or {})}}


@pytest.mark.parametrize(
    ("obj", "plan"),
    [
        (registered(), SyncPlan(KEY, Crontab(every=AT_LEAST), None, "")),
        (registered({"schedule": "0 3 * * *"}), SyncPlan(KEY, Crontab(("0 3 * * *",)), None, "")),
        (registered({"schedule": "nonsense"}), SyncPlan(KEY, Crontab(every=AT_LEAST), None, "")),
        (
            registered({"runOnceAt": "2026-11-01T13:00:00Z"}),
            SyncPlan(KEY, Crontab(every=AT_LEAST), NOW + timedelta(hours=1), ""),
        ),
        (registered({"runOnceAt": "2026-11-01T11:00:00Z"}), SyncPlan(KEY, Crontab(every=AT_LEAST), None, "")),
        (
            registered(annotations={"porchflow.dev/suspend": "audit"}),
            SyncPlan(KEY, Crontab(every=AT_LEAST), None, MESSAGE),
        ),
    ],
)
def test_the_schedule_of_a_repository(obj: Any, plan: SyncPlan) -> None:
    assert plan_of(obj, NOW) == plan


@pytest.mark.parametrize(
    ("obj", "asks"),
    [
        (registered(), False),
        (registered(generation=4), True),
        (registered(annotations={"porchflow.dev/reconcile-now": "a"}), True),
        (registered(None, {"observedReconcileNow": "a"}, annotations={"porchflow.dev/reconcile-now": "a"}), False),
        (registered(None, {"observedReconcileNow": "a"}), False),
        (registered({"runOnceAt": "2026-11-01T11:00:00Z"}), True),
        (registered({"runOnceAt": "2026-11-01T11:00:00Z"}, {"observedRunOnceAt": "2026-11-01T11:00:00Z"}), False),
        (registered({"runOnceAt": "2026-11-01T13:00:00Z"}), False),
        (registered(annotations={"porchflow.dev/suspend": "audit"}), True),
        (registered(None, {"conditions": [SUSPENDED]}, annotations={"porchflow.dev/suspend": "audit"}), False),
        (registered(None, {"conditions": [SUSPENDED]}, annotations={"porchflow.dev/suspend": "other"}), True),
        (registered(None, {"conditions": [SUSPENDED]}), True),
        (registered(deletionTimestamp="2026-11-01T11:00:00Z"), True),
    ],
)
def test_what_asks_for_a_sync(obj: Any, asks: bool) -> None:
    assert bool(asks_for_sync(obj, NOW)) is asks


def test_each_request_differs() -> None:
    tokens = [{"porchflow.dev/reconcile-now": token} for token in ("a", "b")]
    asked = {asks_for_sync(registered(annotations=each), NOW) for each in tokens}
    asked |= {asks_for_sync(registered(generation=each), NOW) for each in (4, 5)}
    asked |= {asks_for_sync(registered(generation=4, uid="other"), NOW)}
    assert len(asked) == 5


async def test_from_a_repository_to_its_schedule_and_syncs(kube: KubeClient, namespace: str) -> None:
    schedules, key = RecordingSchedules(), (namespace, "mine")
    schedules.plans[namespace, "gone"] = SyncPlan((namespace, "gone"), Crontab(every=AT_LEAST), None, "")
    async with watching(kube, RecordingSignaller(), namespace, schedules):
        await eventually(lambda: (namespace, "gone") not in schedules.plans, what="the removal of what nobody has")
        await kube.create(REPOSITORIES, repository(namespace, "mine"))
        await eventually(lambda: schedules.triggered == [(key, False)], what="the first sync")
        assert schedules.plans[key].times == Crontab(every=AT_LEAST)
        assert schedules.listing == timedelta(seconds=300)

        await kube.merge_patch(
            REPOSITORIES, namespace, "mine", {"status": {"observedGeneration": 1}}, subresource="status"
        )
        await kube.merge_patch(REPOSITORIES, namespace, "mine", {"spec": {"sync": {"schedule": "@hourly"}}})
        await eventually(lambda: schedules.plans[key].times.expressions, what="the new schedule")
        await eventually(lambda: len(schedules.triggered) == 2, what="a sync of the new spec")
        token = {"metadata": {"annotations": {"porchflow.dev/reconcile-now": "now"}}}
        await kube.merge_patch(REPOSITORIES, namespace, "mine", token)
        await eventually(lambda: len(schedules.triggered) == 3, what="a sync of the token")

        holding = {"metadata": {"finalizers": ["example.com/hold"]}}
        await kube.merge_patch(REPOSITORIES, namespace, "mine", holding)
        await kube.delete(REPOSITORIES, namespace, "mine")
        await eventually(lambda: schedules.triggered[-1] == (key, True), what="the removal, instead of any sync")
        assert key in schedules.plans
        await kube.merge_patch(REPOSITORIES, namespace, "mine", {"metadata": {"finalizers": []}})
        await eventually(lambda: key not in schedules.plans, what="the end of the schedule")
    assert len(schedules.triggered) == 4


async def test_temporal_away_for_a_while_loses_no_sync() -> None:
    schedules = RecordingSchedules()
    schedules.away = True
    scheduling = SyncScheduling(schedules, usual=USUAL)
    working = asyncio.create_task(scheduling.run())
    try:
        scheduling.seen(registered(generation=4), listed=True)
        for _ in range(100):
            await asyncio.sleep(0)
        assert schedules.triggered == []
        schedules.away = False
        await eventually(lambda: schedules.triggered == [(KEY, False)], what="the sync")
        for _ in range(3):
            scheduling.seen(registered(generation=4), listed=False)
        scheduling.seen(registered(generation=5), listed=False)
        await eventually(lambda: schedules.triggered == [(KEY, False)] * 2, what="one sync for each generation")
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def test_schedules_that_cannot_be_kept_hold_up_no_other_and_are_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    schedules = RecordingSchedules()
    bad = [("default", f"bad{number}") for number in range(2)]
    schedules.bad.update(dict.fromkeys(bad, 1))
    scheduling = SyncScheduling(schedules, usual=USUAL)
    working = asyncio.create_task(scheduling.run())
    try:
        for name in [*(name for _, name in bad), *(f"r{number}" for number in range(50))]:
            scheduling.seen(registered(name=name), listed=True)
        await eventually(lambda: len(schedules.plans) == 50, what="all others have their schedules")
        for _ in range(3):
            before = schedules.bad.copy()
            for number in range(5):
                scheduling.seen(registered(name=f"r{number}"), listed=True)
            await eventually(lambda: all(schedules.bad[key] > before[key] for key in bad), what="they are tried again")  # noqa: B023
        assert scheduling.error == "", "Temporal is well"
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
    assert caplog.text.count("shard status unknown") <= len(bad)
