"""Phases whose process ended: the run counts, isolates, and forgets what has ended normally."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import ApplicationError

from porchflow.activities.definitions import PhaseInput
from porchflow.api.models.conditions import Reason
from porchflow.api.models.packagerevision import Lifecycle
from porchflow.api.work.needs import Facts, Phase
from porchflow.workflows import policies
from porchflow.workflows.packagerevision import PackageRevisionWorkflow
from porchflow.workflows.results import Outcome
from tests.servers.waiting import eventually
from tests.workflows.fakes import FakeActivities
from tests.workflows.test_packagerevision import NEW_DRAFT, failure, start, working

PROPOSE = Facts(exists=True, intent="one", desired=Lifecycle.PROPOSED, current=Lifecycle.DRAFT, report_pending=True)


def lost(times: int = 1) -> list[ApplicationError]:
    return [failure("it crashed", "Lost", final=False) for _ in range(times)]


def deaths(fakes: FakeActivities, phase: Phase) -> list[int]:
    return [request.deaths for each, request in fakes.requests if each is phase]


@pytest.fixture(params=[1000, 0], ids=["cached", "replayed at every task"])
def cached_workflows(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.mark.parametrize("phase", [Phase.SOURCE, Phase.RENDER])
async def test_a_phase_that_was_lost_is_isolated_and_then_cleared(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch, cached_workflows: int, phase: Phase
) -> None:
    fakes = FakeActivities(NEW_DRAFT)
    fakes.failures[phase] = lost()
    async with working(temporal_client, fakes, monkeypatch, cached_workflows) as queue:
        result = await (await start(temporal_client, queue)).result()
    assert result.outcome is Outcome.CONVERGED
    assert deaths(fakes, phase) == [0, 1]
    assert fakes.isolated == [phase], "the other phases of the object run as those of all others"


async def test_losses_are_counted_until_a_phase_is_stalled(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch, cached_workflows: int
) -> None:
    fakes = FakeActivities(PROPOSE)
    fakes.failures[Phase.LIFECYCLE] = [*lost(2), failure("it ended 3 processes", "Stalled", final=True)]
    async with working(temporal_client, fakes, monkeypatch, cached_workflows) as queue:
        with pytest.raises(WorkflowFailureError) as raised:
            await (await start(temporal_client, queue)).result()
    assert "3 processes" in str(raised.value.cause)
    assert deaths(fakes, Phase.LIFECYCLE) == [0, 1, 2]
    assert fakes.isolated == [Phase.LIFECYCLE] * 2


async def test_a_failure_in_between_keeps_a_phase_isolated(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch, cached_workflows: int
) -> None:
    fakes = FakeActivities(PROPOSE)
    transient = failure("connection refused", "Transient", final=False)
    fakes.failures[Phase.LIFECYCLE] = [*lost(), transient, *lost(), transient]
    async with working(temporal_client, fakes, monkeypatch, cached_workflows) as queue:
        await (await start(temporal_client, queue)).result()
    assert deaths(fakes, Phase.LIFECYCLE) == [0, 1, 1, 2, 2]
    assert fakes.isolated == [Phase.LIFECYCLE] * 4


async def test_an_object_that_stalled_so_puts_no_worker_at_risk(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch, cached_workflows: int
) -> None:
    fakes = FakeActivities(NEW_DRAFT.model_copy(update={"reason": Reason.PHASE_CRASHED}))
    async with working(temporal_client, fakes, monkeypatch, cached_workflows) as queue:
        await (await start(temporal_client, queue)).result()
    assert fakes.attempted_locally == []
    assert fakes.isolated == [Phase.SOURCE, Phase.RENDER]


async def test_a_newer_intent_does_not_clear_a_phase(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch, cached_workflows: int
) -> None:
    """Or an author would end one worker with each edit."""
    fakes = FakeActivities(PROPOSE)
    fakes.failures[Phase.LIFECYCLE] = lost()
    fakes.held[Phase.LIFECYCLE] = asyncio.Event()
    async with working(temporal_client, fakes, monkeypatch, cached_workflows) as queue:
        handle = await start(temporal_client, queue)
        await eventually(lambda: fakes.isolated, what="the phase is isolated")
        fakes.facts = fakes.facts.model_copy(update={"intent": "two"})
        await handle.signal(PackageRevisionWorkflow.look_again)
        await eventually(lambda: fakes.cancelled, what="the phase is superseded")
        fakes.held.pop(Phase.LIFECYCLE).set()
        await handle.result()
    asked = [(request.intent, request.deaths) for phase, request in fakes.requests if phase is Phase.LIFECYCLE]
    assert asked == [("one", 0), ("one", 1), ("two", 1)]


async def test_a_run_that_continues_as_new_forgets_no_loss(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch, cached_workflows: int
) -> None:
    """Or an author could send signals until another worker is at risk."""
    monkeypatch.setattr(policies, "SIGNALS_PER_RUN", 3)
    fakes = FakeActivities(PROPOSE)
    fakes.failures[Phase.LIFECYCLE] = lost()
    fakes.held[Phase.LIFECYCLE] = asyncio.Event()
    async with working(temporal_client, fakes, monkeypatch, cached_workflows) as queue:
        handle = await start(temporal_client, queue)
        await eventually(lambda: fakes.isolated, what="the phase is isolated")
        for _ in range(4):
            await handle.signal(PackageRevisionWorkflow.look_again)
        await eventually(lambda: fakes.cancelled, what="the phase is superseded")
        fakes.held.pop(Phase.LIFECYCLE).set()
        await handle.result()
        first = await temporal_client.get_workflow_handle(handle.id, run_id=handle.first_execution_run_id).describe()
    assert first.status is WorkflowExecutionStatus.CONTINUED_AS_NEW
    assert deaths(fakes, Phase.LIFECYCLE) == [0, 1, 1]


async def test_an_activity_that_stops_to_heartbeat_counts_as_lost_with_its_worker(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    fakes = FakeActivities(PROPOSE)
    forever = asyncio.Event()

    async def hang(_: PhaseInput) -> None:
        del fakes.instead[Phase.LIFECYCLE]
        await forever.wait()

    fakes.instead[Phase.LIFECYCLE] = hang
    async with working(temporal_client, fakes, monkeypatch, 1000) as queue:
        policy = replace(policies.PHASES[Phase.LIFECYCLE], heartbeat=timedelta(seconds=1))
        monkeypatch.setitem(policies.PHASES, Phase.LIFECYCLE, policy)
        await (await start(temporal_client, queue)).result()
        forever.set()
    assert deaths(fakes, Phase.LIFECYCLE) == [0, 1]
    assert fakes.isolated == [Phase.LIFECYCLE]


async def test_an_isolated_phase_that_loses_its_worker_is_not_to_blame(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child process that runs it has limits; a node that is drained, or a network that is cut, has not."""
    fakes = FakeActivities(PROPOSE)
    fakes.failures[Phase.LIFECYCLE] = lost()
    forever, hung = asyncio.Event(), 0

    async def hang(request: PhaseInput) -> None:
        nonlocal hung
        if request.deaths and hung < 3:
            hung += 1
            await forever.wait()

    fakes.instead[Phase.LIFECYCLE] = hang
    async with working(temporal_client, fakes, monkeypatch, 1000) as queue:
        policy = replace(policies.PHASES[Phase.LIFECYCLE], heartbeat=timedelta(seconds=1))
        monkeypatch.setitem(policies.PHASES, Phase.LIFECYCLE, policy)
        result = await (await start(temporal_client, queue)).result()
        forever.set()
    assert result.outcome is Outcome.CONVERGED
    assert deaths(fakes, Phase.LIFECYCLE) == [0, 1, 1, 1, 1]


async def test_where_nobody_serves_isolated_phases_they_are_offered_anew(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    fakes = FakeActivities(PROPOSE)
    fakes.failures[Phase.LIFECYCLE] = lost()
    async with working(temporal_client, fakes, monkeypatch, 1000) as queue:
        served = policies.ISOLATED_QUEUE
        monkeypatch.setattr(policies, "ISOLATED_QUEUE", "nobody-serves-this")
        monkeypatch.setattr(policies, "ISOLATED_WAIT", timedelta(milliseconds=100))
        handle = await start(temporal_client, queue)

        async def offered() -> bool:
            history = await handle.fetch_history()
            return sum(event.HasField("activity_task_timed_out_event_attributes") for event in history.events) > 1

        await eventually(offered, what="it was offered twice")
        monkeypatch.setattr(policies, "ISOLATED_WAIT", timedelta(minutes=10))
        monkeypatch.setattr(policies, "ISOLATED_QUEUE", served)
        result = await handle.result()
    assert result.outcome is Outcome.CONVERGED
    assert fakes.isolated == [Phase.LIFECYCLE]


async def test_only_a_first_task_is_known_to_be_new(temporal_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the lifecycle's, which follows a rendering, a worker asks Temporal."""
    fakes = FakeActivities(NEW_DRAFT.model_copy(update={"desired": Lifecycle.PROPOSED}))
    async with working(temporal_client, fakes, monkeypatch, 1000) as queue:
        await (await start(temporal_client, queue)).result()
    asked = {phase: request.tried_before for phase, request in fakes.requests if phase is not Phase.RENDER}
    assert asked == {Phase.SOURCE: False, Phase.LIFECYCLE: True}
