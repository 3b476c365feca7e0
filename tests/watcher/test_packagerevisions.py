"""From the real API server's watch to signals."""

import asyncio
import contextlib
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Iterable
from typing import Any

from porchflow.api.names import FINALIZER, RECONCILE_NOW_ANNOTATION
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.following import key_of
from porchflow.kube.kinds import PACKAGEREVISIONS
from porchflow.kube.watching import Listed, ListEnd, ListStarted, WatchState
from porchflow.watcher.app import WatcherHealth, run_watcher
from porchflow.watcher.packagerevisions import PackageRevisionWatcher
from porchflow.watcher.watcher_settings import WatcherSettings
from tests.kube.helpers import QUICK
from tests.servers.waiting import eventually
from tests.watcher.objects import condition, converge, package_revision, retry
from tests.watcher.signallers import RecordingSchedules, RecordingSignaller
from tests.watcher.test_dispatcher import make, target


@contextlib.asynccontextmanager
async def watching(
    kube: KubeClient,
    signaller: RecordingSignaller,
    namespace: str,
    schedules: RecordingSchedules | None = None,
    **settings: Any,
) -> AsyncIterator[WatcherHealth]:
    """Run the watcher on one namespace; wait until it has listed all."""
    health = WatcherHealth()
    schedules = schedules or RecordingSchedules()
    running = run_watcher(
        kube,
        signaller,
        schedules,
        WatcherSettings(**settings),
        namespaces=[namespace],
        health=health,
        timings=QUICK,
    )
    task = asyncio.create_task(running)
    try:
        await eventually(lambda: health.readiness()[0] or task.done(), what="the watcher is ready")
        yield health
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled(), task.exception()


async def all_of(awaitables: Iterable[Awaitable[Object]], at_once: int = 32) -> list[Object]:
    """Await all, some at once."""
    limit = asyncio.Semaphore(at_once)

    async def one(awaitable: Awaitable[Object]) -> Object:
        async with limit:
            return await awaitable

    return await asyncio.gather(*(one(awaitable) for awaitable in awaitables))


async def test_from_creation_to_convergence_and_back(kube: KubeClient, namespace: str) -> None:
    signaller = RecordingSignaller()
    async with watching(kube, signaller, namespace) as health:
        obj = await kube.create(PACKAGEREVISIONS, package_revision(namespace, "repo", "pkg", finalizers=[FINALIZER]))
        key = key_of(obj)
        await eventually(lambda: signaller.counts[key] == 1, what="the signal of the creation")
        assert (signaller.sent[0].repository, signaller.sent[0].lifecycle) == ("repo", "Draft")

        for message in ("working", "still working"):
            status = {"status": {"conditions": [condition("Ready", "False", message)]}}
            await kube.merge_patch(PACKAGEREVISIONS, *key, status, subresource="status")
        await converge(kube, obj)
        await eventually(lambda: _unconverged(health) == 0, what="convergence is noticed")
        assert signaller.counts[key] == 1, "our own status makes no signals"

        await kube.merge_patch(PACKAGEREVISIONS, *key, {"spec": {"lifecycle": "Proposed"}})
        await eventually(lambda: signaller.counts[key] == 2, what="the signal of the proposal")
        annotations = {"metadata": {"annotations": {RECONCILE_NOW_ANNOTATION: "t1"}}}
        await kube.merge_patch(PACKAGEREVISIONS, *key, annotations)
        await eventually(lambda: signaller.counts[key] == 3, what="the signal of reconcile-now")
        await kube.delete(PACKAGEREVISIONS, *key)
        await eventually(lambda: signaller.counts[key] == 4, what="the signal of the deletion")
        await kube.merge_patch(PACKAGEREVISIONS, *key, {"metadata": {"finalizers": None}})
        await eventually(lambda: _unconverged(health) == 0, what="that it is gone")
    assert signaller.calls == 4


async def test_handled_and_in_need_again_is_signalled(kube: KubeClient, namespace: str) -> None:
    """An edit that states no intent landed while the report for the generation before was on its way."""
    signaller = RecordingSignaller()
    async with watching(kube, signaller, namespace):
        obj = await kube.create(PACKAGEREVISIONS, package_revision(namespace, "repo", "pkg"))
        await eventually(lambda: signaller.calls == 1, what="the signal of the creation")
        gates = {"spec": {"readinessGates": [{"conditionType": "example.org/checked"}]}}
        await kube.merge_patch(PACKAGEREVISIONS, *key_of(obj), gates)
        await converge(kube, obj)
        await eventually(lambda: signaller.calls == 2, what="the signal of the rest")


async def test_a_relist_signals_again_what_is_not_converged(kube: KubeClient, namespace: str) -> None:
    signaller = RecordingSignaller()
    waiting = await kube.create(PACKAGEREVISIONS, package_revision(namespace, "repo", "waiting"))
    done = await kube.create(PACKAGEREVISIONS, package_revision(namespace, "repo", "done"))
    await converge(kube, done)
    async with watching(kube, signaller, namespace, relist_seconds=1.5):
        await eventually(lambda: signaller.counts[key_of(waiting)] >= 3, what="signals of two more lists")
    assert set(signaller.counts) == {key_of(waiting)}


async def test_a_list_signals_what_is_reconciling_though_its_generation_was_handled(
    kube: KubeClient, namespace: str
) -> None:
    """Whoever ended its run: nothing else would ever look at it again."""
    signaller = RecordingSignaller()
    left = await kube.create(PACKAGEREVISIONS, package_revision(namespace, "repo", "left"))
    await retry(kube, left)
    async with watching(kube, signaller, namespace, relist_seconds=1.5):
        await eventually(lambda: signaller.counts[key_of(left)] >= 3, what="signals of two more lists")


async def test_what_a_run_says_between_two_lists_makes_one_signal_at_most(kube: KubeClient, namespace: str) -> None:
    signaller = RecordingSignaller()
    obj = await kube.create(PACKAGEREVISIONS, package_revision(namespace, "repo", "pkg"))
    await converge(kube, obj)
    async with watching(kube, signaller, namespace) as health:
        for attempt in range(20):
            await retry(kube, obj, f"attempt {attempt} failed")
        await converge(kube, obj)
        last = await kube.create(PACKAGEREVISIONS, package_revision(namespace, "repo", "last"))
        await eventually(lambda: signaller.counts[key_of(last)] == 1, what="the signal of what came after all that")
        await eventually(lambda: _unconverged(health) == 1, what="convergence is noticed")
    assert signaller.counts[key_of(obj)] <= 1


async def test_what_was_deleted_unseen_is_forgotten(kube: KubeClient, namespace: str) -> None:
    dispatcher = make(RecordingSignaller())
    watcher = PackageRevisionWatcher(kube, dispatcher, namespace="ns", timings=QUICK, state=WatchState("x"))
    for name in ("stays.p.v1", "goes.p.v1"):
        dispatcher.offer(target(name))
    for event in (ListStarted(), Listed(package_revision("ns", "stays", "p")), ListEnd("1")):
        watcher.handle(event)
    keys = dispatcher.keys()
    assert [key[1] for key in keys] == ["stays.p.v1"]


async def test_three_pages_of_converged_objects_cost_no_call_and_the_memory_of_a_page(
    kube: KubeClient, namespace: str
) -> None:
    objects = await all_of(
        kube.create(PACKAGEREVISIONS, package_revision(namespace, "repo", f"p{number:04}")) for number in range(1500)
    )
    await all_of(converge(kube, obj) for obj in objects)
    objects.clear()
    tracemalloc.start()
    try:
        page = await kube.list_page(PACKAGEREVISIONS, namespace, limit=500)
        page_peak = tracemalloc.get_traced_memory()[1]
        assert len(page.items) == 500
        del page
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        signaller = RecordingSignaller()
        async with watching(kube, signaller, namespace) as health:
            peak = tracemalloc.get_traced_memory()[1] - before
            assert signaller.calls == 0
            assert _unconverged(health) == 0
            annotations = {"metadata": {"annotations": {RECONCILE_NOW_ANNOTATION: "t1"}}}
            await kube.merge_patch(PACKAGEREVISIONS, namespace, "repo.p1321.v1", annotations)
            await eventually(lambda: signaller.calls == 1, what="the one that needs work")
    finally:
        tracemalloc.stop()
    assert peak < 1.5 * page_peak


def _unconverged(health: WatcherHealth) -> int:
    return int(health.readiness()[1]["signals"]["unconverged"])
