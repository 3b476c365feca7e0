"""While the object cannot be read, a run waits with a bounded history, says for what, and a signal makes it look."""

import asyncio
import itertools
from collections.abc import Iterator
from datetime import timedelta

import pytest
from temporalio.client import Client
from temporalio.common import RetryPolicy

from porchflow.api.work.needs import Phase
from porchflow.workflows import policies
from porchflow.workflows.packagerevision import PackageRevisionWorkflow
from porchflow.workflows.results import Outcome
from tests.servers.waiting import eventually
from tests.workflows.fakes import FakeActivities
from tests.workflows.test_packagerevision import NEW_DRAFT, failure, start, working

MOST_EVENTS = 2_000
DAY = timedelta(days=1)


def waits(delay: timedelta) -> Iterator[timedelta]:
    return itertools.repeat(delay)


async def test_a_run_that_waits_long_continues_as_new_before_its_history_is_long(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks_per_run, looks = policies.FAILED_LOOKS_PER_RUN, 4
    monkeypatch.setattr(policies, "FAILED_LOOKS_PER_RUN", looks)
    monkeypatch.setattr(policies, "look_delays", lambda: waits(timedelta(milliseconds=1)))
    monkeypatch.setattr(policies, "OBSERVE_RETRY", RetryPolicy(maximum_attempts=1))
    fakes = FakeActivities(NEW_DRAFT)
    fakes.unreadable = failure("connection refused", "Transient", final=False)
    async with working(temporal_client, fakes, monkeypatch, 1000) as queue:
        handle = await start(temporal_client, queue)
        await eventually(lambda: fakes.calls["observe"] > looks, what="the second run", timeout=60)
        fakes.unreadable = None
        last = temporal_client.get_workflow_handle_for(PackageRevisionWorkflow.run, handle.id)
        assert (await last.result()).outcome is Outcome.CONVERGED
        first = await temporal_client.get_workflow_handle(
            handle.id, run_id=handle.first_execution_run_id
        ).fetch_history()
    assert first.events[-1].HasField("workflow_execution_continued_as_new_event_attributes")
    assert len(first.events) * looks_per_run / looks < MOST_EVENTS


@pytest.mark.parametrize("why", ["connection refused", "may not get packagerevisions", "its spec has 2 errors"])
async def test_the_details_say_what_is_waited_for_and_a_signal_ends_the_wait(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    monkeypatch.setattr(policies, "look_delays", lambda: waits(DAY))
    monkeypatch.setattr(policies, "OBSERVE_RETRY", RetryPolicy(maximum_attempts=1))
    fakes = FakeActivities(NEW_DRAFT)
    fakes.unreadable = failure(why, "Transient", final=False)
    async with working(temporal_client, fakes, monkeypatch, 1000) as queue:
        handle = await start(temporal_client, queue)

        async def told() -> bool:
            return why in str(await handle.query("__temporal_workflow_metadata"))

        await eventually(told, what="the details say it")
        fakes.unreadable = None
        await handle.signal(PackageRevisionWorkflow.look_again)
        assert (await handle.result()).outcome is Outcome.CONVERGED


async def test_a_phase_that_ends_meanwhile_ends_the_wait(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policies, "look_delays", lambda: waits(DAY))
    monkeypatch.setattr(policies, "OBSERVE_RETRY", RetryPolicy(maximum_attempts=1))
    fakes = FakeActivities(NEW_DRAFT)
    held = fakes.held[Phase.RENDER] = asyncio.Event()
    async with working(temporal_client, fakes, monkeypatch, 1000) as queue:
        handle = await start(temporal_client, queue)
        await fakes.entered[Phase.RENDER].wait()
        fakes.unreadable = failure("connection refused", "Transient", final=False)
        looks = fakes.calls["observe"]
        await handle.signal(PackageRevisionWorkflow.look_again)
        await eventually(lambda: fakes.calls["observe"] > looks, what="the look that fails")
        failed = fakes.calls["observe"]
        fakes.unreadable = None
        held.set()
        assert (await handle.result()).outcome is Outcome.CONVERGED
        assert fakes.calls["observe"] > failed, "the signal has its look"
