"""Local attempts in workflow tasks that were tried before, on a real Temporal."""

import uuid
from dataclasses import replace

import pytest
from temporalio.client import Client, WorkflowHandle
from temporalio.testing import ActivityEnvironment

from porchflow.activities.definitions import PhaseInput
from porchflow.activities.running.lost_tasks import check_task
from porchflow.repositories.failures import HandedOver, Lost
from tests.servers.temporal import TemporalServer
from tests.watcher.tasks import SHORT_TASK, take_and_complete, take_and_die

_Run = WorkflowHandle[object, object]


@pytest.fixture
async def client(temporal_server: TemporalServer) -> Client:
    return await Client.connect(temporal_server.address)


@pytest.fixture
async def run(client: Client) -> _Run:
    name = f"lost-{uuid.uuid4().hex[:8]}"
    return await client.start_workflow("Any", id=name, task_queue=name, task_timeout=SHORT_TASK)


async def check(client: Client, run: _Run, *, local: bool = True, tried_before: bool = True) -> None:
    environment = ActivityEnvironment(client)
    environment.info = replace(
        environment.info, is_local=local, workflow_id=run.id, workflow_run_id=run.first_execution_run_id
    )
    request = PhaseInput(namespace="default", name="repo.app.v1", intent="one", tried_before=tried_before)
    await environment.run(check_task, request)


async def test_a_task_that_is_tried_for_the_first_time_goes_on(client: Client, run: _Run) -> None:
    await take_and_die(client, run.id)
    await check(client, run)


async def test_a_task_that_another_worker_lost_counts(client: Client, run: _Run) -> None:
    await take_and_die(client, run.id, "another worker")
    await take_and_die(client, run.id, client.identity)
    with pytest.raises(Lost):
        await check(client, run)
    await check(client, run, local=False)
    await check(client, run, tried_before=False)


async def test_a_task_counts_that_another_worker_lost_while_a_signal_came(client: Client, run: _Run) -> None:
    # With the signal, Temporal counts the attempts from one again.
    await take_and_die(client, run.id, "another worker")
    await run.signal("Any")
    await take_and_die(client, run.id, client.identity)
    assert (await run.describe()).raw_description.pending_workflow_task.attempt == 1
    with pytest.raises(Lost):
        await check(client, run)


async def test_a_task_that_this_worker_was_too_busy_for_while_a_signal_came_does_not(client: Client, run: _Run) -> None:
    await take_and_die(client, run.id, client.identity)
    await run.signal("Any")
    await take_and_die(client, run.id, client.identity)
    with pytest.raises(HandedOver):
        await check(client, run)


async def test_what_was_lost_before_the_last_task_does_not_count(client: Client, run: _Run) -> None:
    await take_and_die(client, run.id, "another worker")
    await take_and_complete(client, run.id)
    await run.signal("Any")
    await take_and_die(client, run.id, client.identity)
    await check(client, run)


async def test_a_task_that_this_worker_was_too_busy_for_does_not(client: Client, run: _Run) -> None:
    await take_and_die(client, run.id, client.identity)
    await take_and_die(client, run.id, client.identity)
    with pytest.raises(HandedOver):
        await check(client, run)


async def test_of_more_attempts_nothing_is_known(client: Client, run: _Run) -> None:
    for _ in range(3):
        await take_and_die(client, run.id, client.identity)
    with pytest.raises(Lost):
        await check(client, run)


async def test_where_temporal_knows_no_such_run_the_phase_is_handed_over(client: Client, run: _Run) -> None:
    await run.terminate()
    gone = client.get_workflow_handle(f"{run.id}-gone")
    with pytest.raises(HandedOver):
        await check(client, gone)
