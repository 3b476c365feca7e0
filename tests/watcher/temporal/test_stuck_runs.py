"""Which runs count as stuck, on a real Temporal."""

import uuid

import pytest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle

from porchflow.watcher.temporal.stuck_runs import FAILED_ATTEMPTS, LOST_ATTEMPTS, end_stuck_run, is_failing
from tests.watcher.tasks import SHORT_TASK, take_and_complete, take_and_die, take_and_end_in_vain, take_and_fail

_Run = WorkflowHandle[object, object]


@pytest.fixture
async def run(temporal: Client) -> _Run:
    """A run with a task queue of its own, whose name is the run's id."""
    name = f"stuck-{uuid.uuid4().hex[:8]}"
    return await temporal.start_workflow("Any", id=name, task_queue=name, task_timeout=SHORT_TASK)


async def attempt(run: _Run) -> int:
    return (await run.describe()).raw_description.pending_workflow_task.attempt


async def is_ended(temporal: Client, run: _Run) -> bool:
    return await end_stuck_run(temporal, run.id)


async def test_workers_that_die_end_no_run(temporal: Client, run: _Run) -> None:
    for number in range(1, FAILED_ATTEMPTS):
        await take_and_die(temporal, run.id)
        assert await attempt(run) == number
        assert not await is_ended(temporal, run), "the run is well, its workers are not"
    await take_and_fail(temporal, run.id)
    assert await attempt(run) >= FAILED_ATTEMPTS
    assert not await is_ended(temporal, run), "one failure after deaths is not again and again"
    await run.terminate()


async def test_code_that_fails_again_and_again_ends_the_run(temporal: Client, run: _Run) -> None:
    for _ in range(1, FAILED_ATTEMPTS - 1):
        await take_and_fail(temporal, run.id)
        assert not await is_ended(temporal, run)
    await take_and_fail(temporal, run.id)
    assert await attempt(run) == FAILED_ATTEMPTS
    assert await is_ended(temporal, run)
    assert (await run.describe()).status is WorkflowExecutionStatus.TERMINATED
    assert not await is_ended(temporal, run), "there is none any more"


async def test_code_that_fails_after_a_death_ends_the_run_later(temporal: Client, run: _Run) -> None:
    await take_and_die(temporal, run.id)
    while await attempt(run) < LOST_ATTEMPTS:
        assert not await is_ended(temporal, run)
        await take_and_fail(temporal, run.id)
    assert await is_ended(temporal, run)


async def test_signals_in_between_keep_no_run_stuck(temporal: Client, run: _Run) -> None:
    """Each begins Temporal's count of attempts anew."""
    for _ in range(1, FAILED_ATTEMPTS - 1):
        await take_and_fail(temporal, run.id)
        await run.signal("look_again")
        assert not await is_ended(temporal, run)
    await take_and_fail(temporal, run.id)
    await run.signal("look_again")
    assert await attempt(run) < FAILED_ATTEMPTS
    assert await is_ended(temporal, run)


async def test_a_task_that_failed_once_is_failing_until_one_is_completed(temporal: Client, run: _Run) -> None:
    assert not await is_failing(temporal, await run.describe())
    await take_and_fail(temporal, run.id)
    assert await is_failing(temporal, await run.describe())
    assert not await is_ended(temporal, run)
    await take_and_complete(temporal, run.id)
    await run.signal("look_again")
    assert not await is_failing(temporal, await run.describe())
    await run.terminate()


async def test_a_signal_that_comes_while_a_run_completes_is_no_failure(temporal: Client, run: _Run) -> None:
    await take_and_end_in_vain(temporal, run)
    assert not await is_failing(temporal, await run.describe())
    await run.terminate()


async def test_a_run_that_no_worker_takes_is_not_stuck(temporal: Client, run: _Run) -> None:
    assert not await is_ended(temporal, run), "no worker has taken it"
    await run.terminate()
    assert not await end_stuck_run(temporal, "nobody")
