"""The workflow on a real Temporal server, with fakes for the activities."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from temporalio import activity
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from porchflow.activities.definitions import ObjectKey, PhaseInput
from porchflow.api.models.packagerevision import Lifecycle
from porchflow.api.work.needs import Facts, Phase
from porchflow.workflows import policies
from porchflow.workflows.ids import LOOK_AGAIN_SIGNAL, PackageRevisionInput
from porchflow.workflows.packagerevision import PackageRevisionWorkflow
from porchflow.workflows.results import Outcome, PackageRevisionResult
from porchflow.workflows.runner import FAILS_A_RUN, workflow_runner
from tests.servers.waiting import eventually
from tests.workflows.fakes import ISOLATED, FakeActivities

Handle = WorkflowHandle[PackageRevisionWorkflow, PackageRevisionResult]
NEW_DRAFT = Facts(exists=True, intent="one", desired=Lifecycle.DRAFT, source_pending=True, report_pending=True)


@pytest.fixture(params=[1000, 0], ids=["cached", "replayed at every task"])
def cached_workflows(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@asynccontextmanager
async def working(
    client: Client,
    fakes: FakeActivities,
    monkeypatch: pytest.MonkeyPatch,
    cached_workflows: int,
    *,
    workflow: type = PackageRevisionWorkflow,
    queue: str = "",
) -> AsyncIterator[str]:
    """Serve a queue of this test's own; every phase goes there, and retries come fast."""
    queue = queue or f"test-{uuid.uuid4()}"
    fast = {"initial_interval": timedelta(milliseconds=20), "maximum_interval": timedelta(milliseconds=200)}
    for phase, policy in policies.PHASES.items():
        retry = replace(policy.retry, **fast)
        monkeypatch.setitem(policies.PHASES, phase, replace(policy, queue=queue, retry=retry))
    monkeypatch.setattr(policies, "ISOLATED_QUEUE", f"{queue}{ISOLATED}")
    beats = timedelta(milliseconds=200)
    common = {"max_heartbeat_throttle_interval": beats, "default_heartbeat_throttle_interval": beats}
    async with (
        Worker(client, task_queue=policies.ISOLATED_QUEUE, activities=fakes.all, **common),
        Worker(
            client,
            task_queue=queue,
            workflows=[workflow],
            workflow_failure_exception_types=FAILS_A_RUN,
            # As workers run it, and as the library does, which notices state that runs share.
            workflow_runner=workflow_runner() if cached_workflows else SandboxedWorkflowRunner(),
            activities=fakes.all,
            max_cached_workflows=cached_workflows,
            **common,
        ),
    ):
        yield queue


async def start(client: Client, queue: str, identity: str = "") -> Handle:
    target = PackageRevisionInput(namespace="default", name="repo.app.v1")
    return await client.start_workflow(
        PackageRevisionWorkflow.run,
        target,
        id=identity or f"packagerevision/test/{uuid.uuid4()}",
        task_queue=queue,
        start_signal=LOOK_AGAIN_SIGNAL,
        retry_policy=policies.RUN_RETRY,
    )


def converge(fakes: FakeActivities) -> None:
    """Let the next look find nothing left to do."""
    fakes.facts = Facts(
        exists=True, intent=fakes.facts.intent, desired=fakes.facts.desired, current=fakes.facts.desired
    )


def failure(message: str, kind: str, *, final: bool) -> ApplicationError:
    return ApplicationError(message, type=kind, non_retryable=final)


async def test_one_reconcile_runs_the_phases_once_and_completes(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch, cached_workflows: int
) -> None:
    fakes = FakeActivities(NEW_DRAFT)
    async with working(temporal_client, fakes, monkeypatch, cached_workflows) as queue:
        result = await (await start(temporal_client, queue)).result()
    assert result.outcome is Outcome.CONVERGED
    assert [phase for phase, _ in fakes.requests] == [Phase.SOURCE, Phase.RENDER]
    assert fakes.calls["observe"] == 1, "the signal that starts a run is covered by its first look"


async def test_a_subpackage_operation_comes_between_source_and_rendering(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch, cached_workflows: int
) -> None:
    """What the source has rendered is rendered again then."""
    fakes = FakeActivities(NEW_DRAFT.model_copy(update={"subpackage_pending": True}))
    fakes.rendered_by_source = True
    async with working(temporal_client, fakes, monkeypatch, cached_workflows) as queue:
        await (await start(temporal_client, queue)).result()
    assert [phase for phase, _ in fakes.requests] == [Phase.SOURCE, Phase.SUBPACKAGE, Phase.RENDER]
    assert Phase.SUBPACKAGE in fakes.attempted_locally


async def test_a_phase_hands_its_commit_to_the_next(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch, cached_workflows: int
) -> None:
    fakes = FakeActivities(NEW_DRAFT)
    async with working(temporal_client, fakes, monkeypatch, cached_workflows) as queue:
        await (await start(temporal_client, queue)).result()
    assert [request.commit for _, request in fakes.requests] == ["", "c0ffee"]


async def test_only_the_first_phase_is_told_the_version_that_the_pass_has_read(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch, cached_workflows: int
) -> None:
    fakes = FakeActivities(NEW_DRAFT.model_copy(update={"version": "7"}))
    async with working(temporal_client, fakes, monkeypatch, cached_workflows) as queue:
        await (await start(temporal_client, queue)).result()
    assert [request.version for _, request in fakes.requests] == ["7", ""]


async def test_a_converged_object_costs_no_activity(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch, cached_workflows: int
) -> None:
    fakes = FakeActivities(NEW_DRAFT)
    converge(fakes)
    async with working(temporal_client, fakes, monkeypatch, cached_workflows) as queue:
        handle = await start(temporal_client, queue)
        await handle.result()
        history = await handle.fetch_history()
    assert not [event for event in history.events if event.HasField("activity_task_scheduled_event_attributes")]


async def test_a_phase_that_goes_well_is_part_of_the_one_workflow_task(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch, cached_workflows: int
) -> None:
    fakes = FakeActivities(
        Facts(exists=True, intent="one", desired=Lifecycle.PROPOSED, current=Lifecycle.DRAFT, report_pending=True)
    )
    async with working(temporal_client, fakes, monkeypatch, cached_workflows) as queue:
        handle = await start(temporal_client, queue)
        await handle.result()
        history = await handle.fetch_history()
    assert fakes.attempted_locally == [Phase.LIFECYCLE]
    assert fakes.calls[Phase.LIFECYCLE] == 1
    assert not [event for event in history.events if event.HasField("activity_task_scheduled_event_attributes")]
    assert len([event for event in history.events if event.HasField("workflow_task_completed_event_attributes")]) == 1


@pytest.mark.parametrize("kind", ["Transient", "HandedOver", "something new"])
async def test_a_first_attempt_that_ends_otherwise_goes_on_as_an_activity_of_its_own(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch, cached_workflows: int, kind: str
) -> None:
    fakes = FakeActivities(NEW_DRAFT)
    fakes.failures[Phase.SOURCE] = [failure("not here", kind, final=kind == "HandedOver")]
    async with working(temporal_client, fakes, monkeypatch, cached_workflows) as queue:
        result = await (await start(temporal_client, queue)).result()
    assert result.outcome is Outcome.CONVERGED
    assert fakes.attempted_locally == [Phase.SOURCE]
    assert fakes.calls[Phase.SOURCE] == 2


async def test_a_render_keeps_to_its_own_queue(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch, cached_workflows: int
) -> None:
    fakes = FakeActivities(NEW_DRAFT)
    async with working(temporal_client, fakes, monkeypatch, cached_workflows) as queue:
        await (await start(temporal_client, queue)).result()
    assert Phase.RENDER not in fakes.attempted_locally


async def test_a_transient_error_is_retried_until_it_works(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch, cached_workflows: int
) -> None:
    fakes = FakeActivities(NEW_DRAFT)
    fakes.failures[Phase.SOURCE] = [failure("connection refused", "Transient", final=False) for _ in range(4)]
    async with working(temporal_client, fakes, monkeypatch, cached_workflows) as queue:
        result = await (await start(temporal_client, queue)).result()
    assert result.outcome is Outcome.CONVERGED
    assert fakes.calls[Phase.SOURCE] == 5


async def test_a_waiting_error_is_retried_at_its_own_delay_and_is_benign(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch, cached_workflows: int
) -> None:
    fakes = FakeActivities(NEW_DRAFT)
    waiting = ApplicationError(
        "waiting for Repository",
        type="Waiting",
        next_retry_delay=timedelta(milliseconds=30),
        category=ApplicationErrorCategory.BENIGN,
    )
    fakes.failures[Phase.SOURCE] = [waiting, waiting]
    async with working(temporal_client, fakes, monkeypatch, cached_workflows) as queue:
        result = await (await start(temporal_client, queue)).result()
    assert result.outcome is Outcome.CONVERGED
    assert fakes.calls[Phase.SOURCE] == 3


async def test_a_stalled_error_skips_the_later_phases_and_fails_the_run_with_its_words(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch, cached_workflows: int
) -> None:
    fakes = FakeActivities(NEW_DRAFT)
    fakes.failures[Phase.SOURCE] = [failure("credentials refused by git.example.com", "Stalled", final=True)]
    async with working(temporal_client, fakes, monkeypatch, cached_workflows) as queue:
        handle = await start(temporal_client, queue)
        with pytest.raises(WorkflowFailureError) as raised:
            await handle.result()
    assert isinstance(raised.value.cause, ApplicationError)
    assert raised.value.cause.message == "credentials refused by git.example.com"
    assert raised.value.cause.type == "Stalled"
    assert fakes.calls[Phase.SOURCE] == 1
    assert Phase.RENDER not in fakes.calls


async def test_a_signal_during_a_pass_makes_one_more_look(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch, cached_workflows: int
) -> None:
    fakes = FakeActivities(NEW_DRAFT)
    fakes.held[Phase.RENDER] = asyncio.Event()
    fakes.after[Phase.RENDER] = lambda: converge(fakes)
    async with working(temporal_client, fakes, monkeypatch, cached_workflows) as queue:
        handle = await start(temporal_client, queue)
        await fakes.entered[Phase.RENDER].wait()
        await handle.signal(PackageRevisionWorkflow.look_again)
        fakes.held[Phase.RENDER].set()
        result = await handle.result()
    assert result.outcome is Outcome.CONVERGED
    assert fakes.calls[Phase.RENDER] == 1, "the same intent does not supersede"
    assert fakes.calls["observe"] >= 2


async def test_newer_intent_cancels_the_phase_in_hand_and_starts_over(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch, cached_workflows: int
) -> None:
    fakes = FakeActivities(NEW_DRAFT)
    fakes.held[Phase.RENDER] = asyncio.Event()
    async with working(temporal_client, fakes, monkeypatch, cached_workflows) as queue:
        handle = await start(temporal_client, queue)
        await fakes.entered[Phase.RENDER].wait()
        fakes.facts = Facts(exists=True, intent="two", deleting=True, finalizer=True, desired=Lifecycle.DRAFT)
        await handle.signal(PackageRevisionWorkflow.look_again)
        result = await handle.result()
        await eventually(lambda: fakes.cancelled == [Phase.RENDER], what="the render hears of its cancellation")
    assert result.outcome is Outcome.CONVERGED
    assert fakes.calls[Phase.FINALIZE] == 1


async def test_newer_intent_ends_the_retries_of_a_failing_phase(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch, cached_workflows: int
) -> None:
    fakes = FakeActivities(NEW_DRAFT)
    slow = ApplicationError("git is away", type="Transient", next_retry_delay=timedelta(hours=1))
    fakes.failures[Phase.SOURCE] = [slow, slow]
    async with working(temporal_client, fakes, monkeypatch, cached_workflows) as queue:
        handle = await start(temporal_client, queue)
        await eventually(lambda: not fakes.failures[Phase.SOURCE], what="the phase waits for its next attempt")
        fakes.facts = fakes.facts.model_copy(update={"context": "the repository appeared"})
        await handle.signal(PackageRevisionWorkflow.look_again)
        result = await handle.result()
    assert result.outcome is Outcome.CONVERGED
    assert fakes.calls[Phase.SOURCE] == 3


async def test_a_superseded_activity_starts_the_pass_over(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch, cached_workflows: int
) -> None:
    fakes = FakeActivities(NEW_DRAFT)
    fakes.failures[Phase.RENDER] = [failure("the object asks for something newer", "Superseded", final=True)]
    async with working(temporal_client, fakes, monkeypatch, cached_workflows) as queue:
        result = await (await start(temporal_client, queue)).result()
    assert result.outcome is Outcome.CONVERGED
    assert fakes.calls["observe"] == 2


async def test_a_run_with_many_signals_continues_as_new_and_loses_none(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch, cached_workflows: int
) -> None:
    monkeypatch.setattr(policies, "SIGNALS_PER_RUN", 5)
    fakes = FakeActivities(NEW_DRAFT)
    fakes.held[Phase.SOURCE] = asyncio.Event()
    fakes.after[Phase.RENDER] = lambda: converge(fakes)
    async with working(temporal_client, fakes, monkeypatch, cached_workflows) as queue:
        handle = await start(temporal_client, queue)
        await fakes.entered[Phase.SOURCE].wait()
        for _ in range(8):
            await handle.signal(PackageRevisionWorkflow.look_again)
        fakes.held[Phase.SOURCE].set()
        result = await handle.result()
        first = await temporal_client.get_workflow_handle(handle.id, run_id=handle.first_execution_run_id).describe()
    assert result.outcome is Outcome.CONVERGED
    assert first.status is WorkflowExecutionStatus.CONTINUED_AS_NEW


async def test_a_source_that_is_rendered_already_needs_no_render_activity(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch, cached_workflows: int
) -> None:
    fakes = FakeActivities(NEW_DRAFT)
    fakes.rendered_by_source = True
    async with working(temporal_client, fakes, monkeypatch, cached_workflows) as queue:
        result = await (await start(temporal_client, queue)).result()
    assert result.outcome is Outcome.CONVERGED
    assert [phase for phase, _ in fakes.requests] == [Phase.SOURCE]


async def test_the_next_pass_begins_when_a_superseded_move_in_git_has_ended(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch, cached_workflows: int
) -> None:
    fakes = FakeActivities(
        Facts(exists=True, intent="one", desired=Lifecycle.PROPOSED, current=Lifecycle.DRAFT, report_pending=True)
    )
    fakes.held[Phase.LIFECYCLE] = asyncio.Event()
    fakes.lingers[Phase.LIFECYCLE] = asyncio.Event()
    async with working(temporal_client, fakes, monkeypatch, cached_workflows) as queue:
        handle = await start(temporal_client, queue)
        await fakes.entered[Phase.LIFECYCLE].wait()
        fakes.facts = fakes.facts.model_copy(update={"intent": "two", "desired": Lifecycle.DRAFT})
        await handle.signal(PackageRevisionWorkflow.look_again)
        await eventually(lambda: fakes.cancelled, what="the move hears of its cancellation")
        assert fakes.calls[Phase.LIFECYCLE] == 1, "while its push is out, nobody else looks at Git"
        del fakes.held[Phase.LIFECYCLE]
        fakes.after[Phase.LIFECYCLE] = lambda: fakes.ended.append(Phase.FINALIZE)
        fakes.lingers[Phase.LIFECYCLE].set()
        result = await handle.result()
    assert result.outcome is Outcome.CONVERGED
    assert fakes.ended == [Phase.LIFECYCLE, Phase.FINALIZE], "the second move ran after the first had ended"


async def test_a_render_that_finds_no_draft_is_followed_by_a_look_at_where_git_is(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch, cached_workflows: int
) -> None:
    fakes = FakeActivities(Facts(exists=True, desired=Lifecycle.DRAFT, current=Lifecycle.DRAFT, render_pending=True))
    fakes.render_finds = None
    gone = failure("the repository holds no such package revision", "Stalled", final=True)
    fakes.failures[Phase.LIFECYCLE] = [gone]
    async with working(temporal_client, fakes, monkeypatch, cached_workflows) as queue:
        with pytest.raises(WorkflowFailureError):
            await (await start(temporal_client, queue)).result()
    assert [phase for phase, _ in fakes.requests] == [Phase.RENDER, Phase.LIFECYCLE]


async def test_after_that_look_the_next_pass_starts_from_what_was_found(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch, cached_workflows: int
) -> None:
    fakes = FakeActivities(Facts(exists=True, desired=Lifecycle.DRAFT, current=Lifecycle.DRAFT, render_pending=True))
    fakes.render_finds = Lifecycle.PROPOSED
    fakes.after[Phase.LIFECYCLE] = lambda: converge(fakes)
    async with working(temporal_client, fakes, monkeypatch, cached_workflows) as queue:
        result = await (await start(temporal_client, queue)).result()
    assert result.outcome is Outcome.CONVERGED
    assert [phase for phase, _ in fakes.requests] == [Phase.RENDER, Phase.LIFECYCLE]
    assert fakes.calls["observe"] == 2


class Late(FakeActivities):
    """Its second look takes until the workflow has heard that the phase failed, and of one signal more."""

    handle: Handle

    @activity.defn(name="observe")
    async def observe(self, key: ObjectKey) -> Facts:
        facts = await super().observe(key)
        if self.calls["observe"] == 2:
            await eventually(self._failure_is_known, what="a task of the workflow after the failure of the phase")
        return facts

    async def _failure_is_known(self) -> bool:
        events = [event.event_type async for event in self.handle.fetch_history_events()]
        if EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED not in events:
            return False
        after = events[events.index(EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED) :]
        return EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED in after

    async def refuse(self, request: PhaseInput) -> None:
        await self.handle.signal(PackageRevisionWorkflow.look_again)
        await eventually(lambda: self.calls["observe"] == 2, what="the signal made the workflow look")
        await self.handle.signal(PackageRevisionWorkflow.look_again)
        raise failure("a gate is not met", "Stalled", final=True)


async def run_late(client: Client, fakes: Late, queue: str, later: Facts) -> PackageRevisionResult:
    """Run a phase that stalls while a signal comes; whoever looks then finds the facts so."""
    workflow_id = f"packagerevision/test/{uuid.uuid4()}"
    fakes.handle = client.get_workflow_handle_for(PackageRevisionWorkflow.run, workflow_id)
    fakes.instead[Phase.LIFECYCLE] = fakes.refuse
    target = PackageRevisionInput(namespace="default", name="repo.app.v1")
    handle = await client.start_workflow(
        PackageRevisionWorkflow.run,
        target,
        id=workflow_id,
        task_queue=queue,
        start_signal=LOOK_AGAIN_SIGNAL,
        # What comes during a look is told when most of this is over.
        task_timeout=timedelta(seconds=2),
    )
    await eventually(lambda: fakes.calls["observe"] == 2, what="the second look")
    fakes.facts = later
    return await handle.result()


TO_PROPOSE = Facts(exists=True, intent="one", desired=Lifecycle.PROPOSED, current=Lifecycle.DRAFT, report_pending=True)


async def test_a_late_signal_does_not_make_a_stalled_run_look_well(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch, cached_workflows: int
) -> None:
    fakes = Late(TO_PROPOSE)
    later = TO_PROPOSE.model_copy(update={"current": Lifecycle.PROPOSED, "report_pending": False})
    async with working(temporal_client, fakes, monkeypatch, cached_workflows) as queue:
        with pytest.raises(WorkflowFailureError) as raised:
            await run_late(temporal_client, fakes, queue, later)
    assert isinstance(raised.value.cause, ApplicationError)
    assert raised.value.cause.message == "a gate is not met"
    assert fakes.calls["observe"] == 3


async def test_a_stalled_object_that_goes_needs_nobody_any_more(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch, cached_workflows: int
) -> None:
    fakes = Late(TO_PROPOSE)
    async with working(temporal_client, fakes, monkeypatch, cached_workflows) as queue:
        result = await run_late(temporal_client, fakes, queue, Facts(exists=False))
    assert (result.outcome, result.message) == (Outcome.CONVERGED, "the object is gone")


async def test_a_suspension_takes_over_and_its_end_is_waited_for(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch, cached_workflows: int
) -> None:
    monkeypatch.setattr(policies, "SHORTEST_SLEEP", timedelta(milliseconds=50))
    fakes = FakeActivities(NEW_DRAFT)
    fakes.held[Phase.RENDER] = asyncio.Event()
    async with working(temporal_client, fakes, monkeypatch, cached_workflows) as queue:
        handle = await start(temporal_client, queue)
        await fakes.entered[Phase.RENDER].wait()
        fakes.facts = Facts(exists=True, intent="two", suspended=True, resume_at=datetime.now(UTC) + timedelta(hours=1))
        await handle.signal(PackageRevisionWorkflow.look_again)
        await fakes.entered[Phase.SUSPEND].wait()
        await eventually(lambda: fakes.cancelled == [Phase.RENDER], what="the rendering is given up")
        # Somebody makes it shorter; the clock of who looks is a moment behind.
        fakes.facts = fakes.facts.model_copy(update={"suspension_told": True, "resume_at": datetime.now(UTC)})
        looks = fakes.calls["observe"]
        await handle.signal(PackageRevisionWorkflow.look_again)
        await eventually(lambda: fakes.calls["observe"] > looks + 1, what="it wakes by itself and looks again")
        del fakes.held[Phase.RENDER]
        fakes.facts = NEW_DRAFT.model_copy(update={"intent": "two"})
        result = await handle.result()
    assert result.outcome is Outcome.CONVERGED
    assert fakes.calls[Phase.SUSPEND] == 1
    assert [phase for phase, _ in fakes.requests][-2:] == [Phase.SOURCE, Phase.RENDER]


async def test_a_suspension_without_an_end_keeps_no_run_open(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch, cached_workflows: int
) -> None:
    fakes = FakeActivities(NEW_DRAFT.model_copy(update={"suspended": True}))
    async with working(temporal_client, fakes, monkeypatch, cached_workflows) as queue:
        await (await start(temporal_client, queue)).result()
    assert [phase for phase, _ in fakes.requests] == [Phase.SUSPEND]
