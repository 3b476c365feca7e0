"""What the settings of a worker do, on a real Temporal: the SDK's and the server's own figures tell."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from temporalio import activity
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest, DescribeTaskQueueResponse
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.runtime import MetricBuffer, Runtime, TelemetryConfig

from porchflow.activities.definitions import ListingResult, SyncRequest, SyncResult
from porchflow.activities.isolation import Isolation
from porchflow.api.models.packagerevision import Lifecycle
from porchflow.api.work.needs import Facts, Phase
from porchflow.cli.processes.worker import build_workers
from porchflow.cli.processes.worker_activities import Activities
from porchflow.cli.worker_settings import WorkerSettings
from porchflow.workflows.ids import RECONCILE_QUEUE, WORKFLOW_NAME, Installation, PackageRevisionInput
from porchflow.workflows.policies import RENDER_QUEUE, SYNC_QUEUE
from tests.servers.temporal import TemporalServer
from tests.servers.waiting import eventually
from tests.workflows.fakes import FakeActivities

WHAT_TO_RENDER = Facts(
    exists=True, intent="one", desired=Lifecycle.DRAFT, current=None, source_pending=True, render_pending=True
)


class _FakeListing:
    @activity.defn(name="list_refs")
    async def list_refs(self) -> ListingResult:
        raise AssertionError("nobody lists")


class _FakeSync:
    @activity.defn(name="sync_repository")
    async def sync_repository(self, request: SyncRequest) -> SyncResult:
        return SyncResult(summary=f"synced {request.name}")


class Figures:
    """The newest value of each gauge of the SDK."""

    def __init__(self) -> None:
        self.buffer = MetricBuffer(100_000)
        self._values: dict[tuple[str, frozenset[tuple[str, Any]]], float] = {}

    def total(self, name: str, **tags: str) -> float:
        """Return the sum of the values of a gauge that have some tags."""
        for update in self.buffer.retrieve_updates():
            self._values[update.metric.name, frozenset(update.attributes.items())] = update.value
        return sum(
            value
            for (gauge, found), value in self._values.items()
            if gauge == name and tags.items() <= dict(found).items()
        )


@pytest.fixture
def figures() -> Figures:
    return Figures()


@pytest.fixture
async def client(temporal_server: TemporalServer, figures: Figures) -> Client:
    runtime = Runtime(telemetry=TelemetryConfig(metrics=figures.buffer))
    return await Client.connect(temporal_server.address, data_converter=pydantic_data_converter, runtime=runtime)


@pytest.fixture
def ours() -> Installation:
    return Installation(f"paced-{uuid.uuid4().hex[:8]}")


@contextlib.asynccontextmanager
async def working(client: Client, ours: Installation, fakes: FakeActivities, **settings: Any) -> AsyncIterator[None]:
    activities = Activities(
        cast("Any", fakes), cast("Any", _FakeSync()), cast("Any", lambda start: _FakeListing()), cast("Any", None)
    )
    isolated = Isolation(cast("Any", None), cast("Any", None), cast("Any", None))
    async with contextlib.AsyncExitStack() as stack:
        for worker in build_workers(WorkerSettings(**settings), client, ours, activities, isolated):
            await stack.enter_async_context(worker)
        yield


async def described(client: Client, queue: str) -> DescribeTaskQueueResponse:
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueue(name=queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
        report_stats=True,
        report_config=True,
    )
    return await client.workflow_service.describe_task_queue(request)


async def test_slots_and_pollers_are_those_of_the_settings(
    client: Client, ours: Installation, figures: Figures
) -> None:
    settings = {
        "reconcile_slots": 7,
        "render_slots": 8,
        "sync_slots": 9,
        "workflow_task_slots": 11,
        "workflow_pollers": 4,
        "activity_pollers": 3,
    }
    wanted = {
        (RECONCILE_QUEUE, "WorkflowWorker"): 11,
        (RECONCILE_QUEUE, "ActivityWorker"): 7,
        (RECONCILE_QUEUE, "LocalActivityWorker"): 7,
        (RENDER_QUEUE, "ActivityWorker"): 8,
        (SYNC_QUEUE, "WorkflowWorker"): 11,
        (SYNC_QUEUE, "ActivityWorker"): 9,
    }

    def slots(queue: str, kind: str) -> float:
        tags = {"task_queue": ours.queue(queue), "worker_type": kind}
        return figures.total("temporal_worker_task_slots_available", **tags) + figures.total(
            "temporal_worker_task_slots_used", **tags
        )

    def pollers(queue: str, *kinds: str) -> float:
        return sum(
            figures.total("temporal_num_pollers", task_queue=ours.queue(queue), poller_type=kind) for kind in kinds
        )

    async with working(client, ours, FakeActivities(WHAT_TO_RENDER), **settings):
        await eventually(lambda: {key: slots(*key) for key in wanted} == wanted, what="the slots")
        for queue in (RECONCILE_QUEUE, RENDER_QUEUE, SYNC_QUEUE):
            await eventually(lambda: pollers(queue, "activity_task") == 3, what="pollers of activities")  # noqa: B023
        for queue in (RECONCILE_QUEUE, SYNC_QUEUE):
            kinds = ("workflow_task", "sticky_workflow_task")
            await eventually(lambda: pollers(queue, *kinds) == 4, what="pollers of workflow tasks")  # noqa: B023


async def start(client: Client, ours: Installation, number: int) -> None:
    await client.start_workflow(
        WORKFLOW_NAME,
        PackageRevisionInput(namespace="default", name=f"r.p{number}.v1"),
        id=ours.workflow_id("default", f"r.p{number}.v1"),
        task_queue=ours.queue(RECONCILE_QUEUE),
    )


async def test_a_worker_takes_no_more_activities_a_second(client: Client, ours: Installation) -> None:
    fakes = FakeActivities(WHAT_TO_RENDER)
    fakes.held[Phase.RENDER] = asyncio.Event()
    # One in half an hour: the test sees which activities wait, not how long.
    async with working(client, ours, fakes, activity_rate=0.0005):
        for number in range(3):
            await start(client, ours, number)

        async def waiting() -> bool:
            found = await described(client, ours.queue(RENDER_QUEUE))
            return fakes.calls[Phase.RENDER] == 1 and found.stats.approximate_backlog_count == 2

        await eventually(waiting, what="one renders, and two wait though there are free slots")
        await start(client, ours, 3)
        await eventually(
            lambda: fakes.calls[Phase.SOURCE] == 4, what="first attempts in workflow tasks are not counted"
        )
        assert fakes.calls[Phase.RENDER] == 1
        for number in range(4):
            await client.get_workflow_handle(ours.workflow_id("default", f"r.p{number}.v1")).terminate()
        fakes.held[Phase.RENDER].set()


@pytest.mark.parametrize("rate", [2.5, 40.0])
async def test_temporal_knows_the_rate_of_a_queue(client: Client, ours: Installation, rate: float) -> None:
    async with working(client, ours, FakeActivities(WHAT_TO_RENDER), queue_activity_rate=rate):

        async def known() -> bool:
            return (await described(client, ours.queue(RENDER_QUEUE))).effective_rate_limit.requests_per_second == rate

        await eventually(known, what="the rate")
