"""Temporal finds runs by how they stand and why, and their details say when what happened."""

import asyncio
import re
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from temporalio.client import Client, WorkflowFailureError
from temporalio.exceptions import ApplicationError

from porchflow.api.models.packagerevision import Lifecycle, RunOutcome
from porchflow.api.work.needs import Facts, Phase
from porchflow.workflows import policies
from porchflow.workflows.ids import LOOK_AGAIN_SIGNAL, Attributes, PackageRevisionInput
from porchflow.workflows.packagerevision import PackageRevisionWorkflow
from tests.servers.waiting import eventually
from tests.workflows.fakes import FakeActivities
from tests.workflows.test_packagerevision import NEW_DRAFT, Handle, converge, working

ATTRIBUTES = Attributes()


@pytest.fixture(params=[1000, 0], ids=["cached", "replayed at every task"])
def cached_workflows(request: pytest.FixtureRequest) -> int:
    return int(request.param)


async def start(client: Client, queue: str, *, shows_outcome: bool = True) -> Handle:
    return await client.start_workflow(
        PackageRevisionWorkflow.run,
        PackageRevisionInput(namespace="default", name="repo.app.v1", shows_outcome=shows_outcome),
        id=f"outcome-{uuid.uuid4()}",
        task_queue=queue,
        start_signal=LOOK_AGAIN_SIGNAL,
    )


def failures(kind: str, reason: str) -> list[ApplicationError]:
    return [ApplicationError(f"no {reason}", reason, type=kind, non_retryable=kind == "Stalled") for _ in range(10_000)]


async def stands(handle: Handle) -> tuple[str | None, str | None]:
    """Return outcome and reason of a run."""
    found = (await handle.describe()).typed_search_attributes
    return found.get(ATTRIBUTES.outcome), found.get(ATTRIBUTES.reason)


async def tells(handle: Handle, outcome: RunOutcome, reason: str | None) -> None:
    async def told() -> bool:
        return await stands(handle) == (outcome, reason)

    await eventually(told, what=f"the run says {outcome}, {reason}")


async def updates(handle: Handle) -> list[set[str]]:
    """Return the names of the search attributes that each update of a run set."""
    return [
        set(event.upsert_workflow_search_attributes_event_attributes.search_attributes.indexed_fields)
        for event in (await handle.fetch_history()).events
        if event.HasField("upsert_workflow_search_attributes_event_attributes")
    ]


@pytest.mark.parametrize(("kind", "outcome"), [("Transient", RunOutcome.RETRYING), ("Waiting", RunOutcome.WAITING)])
async def test_all_runs_that_wait_for_something_are_found_until_they_go_on(
    temporal_client: Client,
    monkeypatch: pytest.MonkeyPatch,
    cached_workflows: int,
    kind: str,
    outcome: RunOutcome,
) -> None:
    reason = f"Git{uuid.uuid4().hex[:8]}"
    fakes = FakeActivities(NEW_DRAFT)
    fakes.failures[Phase.SOURCE] = failures(kind, reason)
    async with working(temporal_client, fakes, monkeypatch, cached_workflows) as queue:
        handle = await start(temporal_client, queue)
        query = f"ExecutionStatus = 'Running' AND PorchflowReason = '{reason}' AND PorchflowOutcome = '{outcome}'"

        async def found() -> bool:
            return [run.id async for run in temporal_client.list_workflows(query)] == [handle.id]

        await eventually(found, what="Temporal finds the run")
        fakes.failures.clear()
        await handle.result()
    assert await stands(handle) == (RunOutcome.SUCCEEDED, None)


async def test_a_look_tells_what_later_attempts_met(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch, cached_workflows: int
) -> None:
    """The server repeats an activity by itself; each list of the watcher makes the run look at what the status says."""
    fakes = FakeActivities(NEW_DRAFT)
    fakes.held[Phase.RENDER] = asyncio.Event()
    async with working(temporal_client, fakes, monkeypatch, cached_workflows) as queue:
        handle = await start(temporal_client, queue)
        await fakes.entered[Phase.RENDER].wait()
        for reason in ("FunctionRunnerUnavailable", "GitUnavailable"):
            fakes.facts = fakes.facts.model_copy(update={"outcome": RunOutcome.RETRYING, "reason": reason})
            await handle.signal(PackageRevisionWorkflow.look_again)
            await tells(handle, RunOutcome.RETRYING, reason)
        fakes.held[Phase.RENDER].set()
        await handle.result()
    assert await stands(handle) == (RunOutcome.SUCCEEDED, None)


async def test_a_run_that_stalled_says_why(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch, cached_workflows: int
) -> None:
    fakes = FakeActivities(NEW_DRAFT)
    fakes.failures[Phase.RENDER] = failures("Stalled", "RenderFailed")
    async with working(temporal_client, fakes, monkeypatch, cached_workflows) as queue:
        handle = await start(temporal_client, queue)
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    assert await stands(handle) == (RunOutcome.STALLED, "RenderFailed")


async def test_a_run_that_is_suspended_says_so(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch, cached_workflows: int
) -> None:
    later = datetime.now(UTC) + timedelta(days=1)
    fakes = FakeActivities(
        Facts(exists=True, intent="one", desired=Lifecycle.DRAFT, current=Lifecycle.DRAFT, resume_at=later)
    )
    async with working(temporal_client, fakes, monkeypatch, cached_workflows) as queue:
        handle = await start(temporal_client, queue)
        await tells(handle, RunOutcome.SUSPENDED, None)
        converge(fakes)
        await handle.signal(PackageRevisionWorkflow.look_again)
        await handle.result()
    assert await stands(handle) == (RunOutcome.SUCCEEDED, None)


async def test_a_run_without_an_obstacle_costs_no_update(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch, cached_workflows: int
) -> None:
    fakes = FakeActivities(NEW_DRAFT)
    async with working(temporal_client, fakes, monkeypatch, cached_workflows) as queue:
        handle = await start(temporal_client, queue)
        await handle.result()
        names = {ATTRIBUTES.outcome.name, ATTRIBUTES.reason.name}
        assert [each & names for each in await updates(handle)] == [set()], "only the phase is shown"


async def test_a_run_sets_no_attribute_that_may_not_be_registered(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch, cached_workflows: int
) -> None:
    """An older watcher starts runs without registering them; Temporal would refuse the update."""
    fakes = FakeActivities(NEW_DRAFT)
    fakes.failures[Phase.SOURCE] = failures("Transient", "GitUnavailable")[:3]
    async with working(temporal_client, fakes, monkeypatch, cached_workflows) as queue:
        handle = await start(temporal_client, queue, shows_outcome=False)
        await handle.result()
    assert await stands(handle) == (None, None)


async def test_details_have_the_date_and_say_when_the_next_attempt_comes(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    fakes = FakeActivities(NEW_DRAFT)
    fakes.failures[Phase.SOURCE] = failures("Transient", "GitUnavailable")
    async with working(temporal_client, fakes, monkeypatch, 1000) as queue:
        handle = await start(temporal_client, queue)

        async def told() -> bool:
            details = str(await handle.query("__temporal_workflow_metadata"))
            wanted = r"- 2\d{3}-\d\d-\d\d \d\d:\d\d:\d\d Source: tried again at once, then at most 0.2 s apart: no Git"
            assert re.search(wanted, details), details[-600:]
            return True

        await eventually(told, what="the details say it")
        fakes.failures.clear()
        await handle.result()


async def test_details_say_how_long_a_phase_took_and_where_its_object_is(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    fakes = FakeActivities(NEW_DRAFT)
    fakes.failures[Phase.RENDER] = failures("Stalled", "RenderFailed")
    async with working(temporal_client, fakes, monkeypatch, 1000) as queue:
        handle = await start(temporal_client, queue)
        with pytest.raises(WorkflowFailureError) as failed:
            await handle.result()
        details = str(await handle.query("__temporal_workflow_metadata"))
        history = await handle.fetch_history()
    assert re.search(r"Source: .*; took \d+\.\d\d s", details), details
    assert re.search(r"Render: stalled after \d+\.\d\d s: no RenderFailed", details), details
    assert failed.value.cause.__cause__ is None
    ended = history.events[-1].workflow_execution_failed_event_attributes.failure
    assert (ended.message, ended.stack_trace) == ("no RenderFailed", "")


async def test_details_say_that_there_was_nothing_to_do(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    fakes = FakeActivities(NEW_DRAFT)
    converge(fakes)
    async with working(temporal_client, fakes, monkeypatch, 1000) as queue:
        handle = await start(temporal_client, queue)
        await handle.result()
        assert "looked: nothing to do" in str(await handle.query("__temporal_workflow_metadata"))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("drafts/a_b/v1 is at 0123: done (2 files)", "drafts/a_b/v1 is at 0123: done (2 files)"),
        ("![x](http://h/p) <img src=x>", r"!\[x\](http://h/p) \<img src=x\>"),
        ("one\n# two\n\n- three", "one # two - three"),
        ("`code` **bold** \\[no\\]", r"\`code\` \*\*bold\*\* \\\[no\\\]"),
    ],
)
def test_foreign_words_are_no_markup_in_the_details(text: str, line: str) -> None:
    assert policies.told_line(text) == line
