"""A deployment of another version wedges no run, whatever shape it has, there and back."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from porchflow.api.models.packagerevision import Lifecycle
from porchflow.api.work.needs import Facts, Phase
from porchflow.watcher.temporal.stuck_runs import end_stuck_run
from porchflow.workflows.packagerevision import PackageRevisionWorkflow
from porchflow.workflows.results import Outcome, PackageRevisionResult
from tests.servers.waiting import eventually
from tests.workflows.fakes import FakeActivities
from tests.workflows.next_version import NextVersion
from tests.workflows.test_packagerevision import NEW_DRAFT, converge, failure, start, working

Shape = Callable[[FakeActivities], Callable[[], Awaitable[bool]]]


def _rendering(fakes: FakeActivities) -> Callable[[], Awaitable[bool]]:
    """A phase is under way."""
    fakes.held[Phase.RENDER] = asyncio.Event()
    return _when(fakes.entered[Phase.RENDER].is_set)


def _tried_again(fakes: FakeActivities) -> Callable[[], Awaitable[bool]]:
    """A phase waits for its next attempt."""
    fakes.failures[Phase.SOURCE] = [failure("connection refused", "Transient", final=False) for _ in range(100_000)]
    return _when(lambda: fakes.calls[Phase.SOURCE] > 2)


def _suspended(fakes: FakeActivities) -> Callable[[], Awaitable[bool]]:
    """A run sleeps until a suspension ends."""
    later = datetime.now(UTC) + timedelta(days=1)
    fakes.facts = Facts(exists=True, intent="one", desired=Lifecycle.DRAFT, current=Lifecycle.DRAFT, resume_at=later)
    return _when(lambda: fakes.calls["observe"] > 0)


def _unreadable(fakes: FakeActivities) -> Callable[[], Awaitable[bool]]:
    """The API server does not answer."""
    fakes.unreadable = failure("the API server is away", "Transient", final=False)
    return _when(lambda: fakes.calls["observe"] > 3)


def _when(holds: Callable[[], bool]) -> Callable[[], Awaitable[bool]]:
    async def check() -> bool:
        return holds()

    return check


def _mended(fakes: FakeActivities) -> None:
    fakes.unreadable = None
    fakes.failures.clear()
    for held in fakes.held.values():
        held.set()
    fakes.held.clear()
    converge(fakes)


@pytest.mark.parametrize("shape", [_rendering, _tried_again, _suspended, _unreadable])
@pytest.mark.parametrize(
    "versions",
    [(PackageRevisionWorkflow, NextVersion), (NextVersion, PackageRevisionWorkflow)],
    ids=["forward", "back"],
)
async def test_an_open_run_that_the_next_version_cannot_go_on_with_is_followed_by_another(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch, shape: Shape, versions: tuple[type, type]
) -> None:
    before, after = versions
    fakes = FakeActivities(NEW_DRAFT)
    is_open = shape(fakes)
    async with working(temporal_client, fakes, monkeypatch, 1000, workflow=before) as queue:
        handle = await start(temporal_client, queue)
        await eventually(is_open, what="the run is open")
        first = (await handle.describe()).run_id
    _mended(fakes)
    async with working(temporal_client, fakes, monkeypatch, 1000, workflow=after, queue=queue):
        with suppress(RPCError):
            # All that the watcher does; the run may have ended.
            await handle.signal(PackageRevisionWorkflow.look_again)

        async def followed() -> bool:
            # What the watcher does with each list, where the server refuses how the library fails the run.
            if await end_stuck_run(temporal_client, handle.id):
                await start(temporal_client, queue, handle.id)
            return (await temporal_client.get_workflow_handle(handle.id).describe()).run_id != first

        # Temporal waits ever longer for the answers of a worker that fails: the watcher may not act for 35 seconds.
        await eventually(followed, what="another run", timeout=180)
        last = temporal_client.get_workflow_handle(handle.id, result_type=PackageRevisionResult)
        result = await last.result()
    assert result.outcome is Outcome.CONVERGED
    ended = await temporal_client.get_workflow_handle(handle.id, run_id=first).describe()
    assert ended.status in {WorkflowExecutionStatus.FAILED, WorkflowExecutionStatus.TERMINATED}


async def test_a_run_that_stalled_is_followed_by_none(temporal_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    fakes = FakeActivities(NEW_DRAFT)
    fakes.failures[Phase.RENDER] = [failure("set-namespace failed", "Stalled", final=True)]
    async with working(temporal_client, fakes, monkeypatch, 1000) as queue:
        handle = await start(temporal_client, queue)
        with pytest.raises(WorkflowFailureError) as raised:
            await handle.result()
        assert isinstance(raised.value.cause, ApplicationError)
        assert raised.value.cause.type == "Stalled"
        described = await handle.describe()
    assert (described.status, described.run_id) == (WorkflowExecutionStatus.FAILED, handle.first_execution_run_id)
