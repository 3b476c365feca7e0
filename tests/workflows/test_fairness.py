"""Repositories take turns at a queue, on a real Temporal server."""

import asyncio
import uuid
from dataclasses import replace
from datetime import timedelta

import pytest
from temporalio import activity
from temporalio.client import Client
from temporalio.worker import Worker

from porchflow.activities.definitions import ObjectKey, PhaseInput, PhaseResult
from porchflow.api.models.packagerevision import Lifecycle
from porchflow.api.work.needs import Facts, Phase
from porchflow.workflows import policies
from porchflow.workflows.ids import LOOK_AGAIN_SIGNAL, PackageRevisionInput
from porchflow.workflows.packagerevision import PackageRevisionWorkflow
from porchflow.workflows.runner import workflow_runner
from tests.servers.waiting import eventually

BULK = 60


class Renderings:
    """Drafts of two repositories to render; the first rendering lasts until it is released."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.begun: list[str] = []
        self.observed: set[str] = set()

    @activity.defn(name="observe")
    async def observe(self, key: ObjectKey) -> Facts:
        waits = key.name not in self.observed
        self.observed.add(key.name)
        repository = key.name.partition(".")[0]
        draft = Lifecycle.DRAFT
        return Facts(exists=True, intent="i", desired=draft, current=draft, repository=repository, render_pending=waits)

    @activity.defn(name="render")
    async def render(self, request: PhaseInput) -> PhaseResult:
        self.begun.append(request.name)
        await self.release.wait()
        return PhaseResult(summary="rendered", current=Lifecycle.DRAFT)


async def test_an_edit_does_not_wait_for_a_bulk_job_of_another_repository(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, renders = f"reconcile-{uuid.uuid4()}", f"render-{uuid.uuid4()}"
    # The rendering that is held sends no heartbeats: an attempt that is repeated would count twice.
    monkeypatch.setitem(
        policies.PHASES,
        Phase.RENDER,
        replace(policies.PHASES[Phase.RENDER], queue=renders, heartbeat=timedelta(minutes=5)),
    )
    fakes = Renderings()

    async def start(name: str) -> asyncio.Future[object]:
        handle = await temporal_client.start_workflow(
            PackageRevisionWorkflow.run,
            PackageRevisionInput(namespace="default", name=name),
            id=f"packagerevision/{work}/{name}",
            task_queue=work,
            start_signal=LOOK_AGAIN_SIGNAL,
        )
        return asyncio.ensure_future(handle.result())

    reconcile = Worker(
        temporal_client,
        task_queue=work,
        workflows=[PackageRevisionWorkflow],
        workflow_runner=workflow_runner(),
        activities=[fakes.observe],
    )
    render = Worker(temporal_client, task_queue=renders, activities=[fakes.render], max_concurrent_activities=1)
    async with reconcile, render:
        results = await asyncio.gather(*(start(f"bulk.app.v{number}") for number in range(BULK)))
        await eventually(lambda: len(fakes.observed) == BULK and fakes.begun)
        results.append(await start("edit.app.v1"))
        await eventually(lambda: "edit.app.v1" in fakes.observed)
        await eventually(lambda: _backlog(temporal_client, renders))
        fakes.release.set()
        await asyncio.gather(*results)
    assert len(fakes.begun) == BULK + 1
    # Without turns it would be the last one.
    assert fakes.begun.index("edit.app.v1") < BULK / 4


async def _backlog(client: Client, queue: str) -> bool:
    """Whether all but the one that runs, and one that the worker may have asked for, wait at the server."""
    from temporalio.api.enums.v1 import TaskQueueType  # noqa: PLC0415 - a large module, for this test only
    from temporalio.api.taskqueue.v1 import TaskQueue  # noqa: PLC0415
    from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest  # noqa: PLC0415

    answer = await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=client.namespace,
            task_queue=TaskQueue(name=queue),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
            report_stats=True,
        )
    )
    return answer.stats.approximate_backlog_count >= BULK - 1


def test_a_long_name_still_is_a_key_of_its_own() -> None:
    names = ["r" * 100 + str(number) for number in range(3)]
    keys = {policies.fairness("n", name).fairness_key for name in names}
    assert len(keys) == 3
    assert all(key and len(key) <= 64 for key in keys)
    assert policies.fairness("n", "r") != policies.fairness("m", "r")
