"""Records workflow histories for the replay test: `python -m tests.histories.record TEMPORAL_ADDRESS`.

A history is recorded once per shape of a run and version, in the folder of the version, and stays: it stands for the
runs that are open while a newer version is deployed. Remove the folder of a version when no deployment can have runs of
it any more.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from temporalio import activity
from temporalio.client import Client, WorkflowFailureError
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import ApplicationError

from porchflow.activities.definitions import PhaseInput, PhaseResult, SyncResult
from porchflow.api.models.packagerevision import Lifecycle
from porchflow.api.work.needs import Facts, Phase
from porchflow.workflows import policies
from porchflow.workflows.packagerevision import PackageRevisionWorkflow
from tests.servers.waiting import eventually
from tests.workflows.fakes import FakeActivities
from tests.workflows.test_packagerevision import NEW_DRAFT, Handle, converge, failure, start, working
from tests.workflows.test_repositorysync import FakeSync, serving
from tests.workflows.test_repositorysync import start as start_sync

FOLDER = Path(__file__).parent / version("porchflow")
Scenario = Callable[[Client, FakeActivities, str], Awaitable[Handle]]


async def new_draft(client: Client, fakes: FakeActivities, queue: str) -> Handle:
    """A draft is made and rendered."""
    return await start(client, queue)


async def propose(client: Client, fakes: FakeActivities, queue: str) -> Handle:
    """A rendered draft is proposed."""
    fakes.facts = Facts(
        exists=True, intent="one", desired=Lifecycle.PROPOSED, current=Lifecycle.DRAFT, report_pending=True
    )
    return await start(client, queue)


async def stalled(client: Client, fakes: FakeActivities, queue: str) -> Handle:
    """A function fails for good."""
    fakes.failures[Phase.RENDER] = [failure("set-namespace failed", "Stalled", final=True)]
    return await start(client, queue)


async def refused(client: Client, fakes: FakeActivities, queue: str) -> Handle:
    """The server refuses the draft at the first attempt, which is local."""
    fakes.failures[Phase.SOURCE] = [failure("the server refused", "Stalled", final=True)]
    return await start(client, queue)


async def handed_over(client: Client, fakes: FakeActivities, queue: str) -> Handle:
    """A proposal takes so long that it becomes an activity of its own."""
    fakes.facts = Facts(
        exists=True, intent="one", desired=Lifecycle.PROPOSED, current=Lifecycle.DRAFT, report_pending=True
    )
    fakes.failures[Phase.LIFECYCLE] = [failure("takes too long", "HandedOver", final=True)]
    return await start(client, queue)


async def superseded(client: Client, fakes: FakeActivities, queue: str) -> Handle:
    """A deletion takes over from a rendering."""
    fakes.held[Phase.RENDER] = asyncio.Event()
    handle = await start(client, queue)
    await fakes.entered[Phase.RENDER].wait()
    fakes.facts = Facts(exists=True, intent="two", deleting=True, finalizer=True, desired=Lifecycle.DRAFT)
    await handle.signal(PackageRevisionWorkflow.look_again)
    return handle


async def retried(client: Client, fakes: FakeActivities, queue: str) -> Handle:
    """Git is away for three attempts, of which the first is local."""
    fakes.failures[Phase.SOURCE] = [failure("connection refused", "Transient", final=False) for _ in range(3)]
    return await start(client, queue)


async def _has(handle: Handle, attributes: str) -> None:
    """Wait until a run's history has an event."""

    async def there() -> bool:
        return any(event.HasField(attributes) for event in (await handle.fetch_history()).events)  # type: ignore[arg-type]

    await eventually(there, what=attributes)


async def suspended(client: Client, fakes: FakeActivities, queue: str) -> Handle:
    """A suspension that lasts a day is ended by its user."""
    later = datetime.now(UTC) + timedelta(days=1)
    fakes.facts = Facts(exists=True, intent="one", desired=Lifecycle.DRAFT, suspended=True, resume_at=later)
    handle = await start(client, queue)
    await _has(handle, "timer_started_event_attributes")
    fakes.facts = NEW_DRAFT
    fakes.after[Phase.RENDER] = lambda: converge(fakes)
    await handle.signal(PackageRevisionWorkflow.look_again)
    return handle


async def unreadable(client: Client, fakes: FakeActivities, queue: str) -> Handle:
    """The API server is away, and the run waits between its looks."""
    fakes.unreadable = failure("the API server is away", "Transient", final=False)
    handle = await start(client, queue)
    await _has(handle, "timer_fired_event_attributes")
    fakes.unreadable = None
    return handle


async def continued_as_new(client: Client, fakes: FakeActivities, queue: str) -> Handle:
    """A run has had as many signals as one may."""
    fakes.held[Phase.RENDER] = asyncio.Event()
    handle = await start(client, queue)
    await fakes.entered[Phase.RENDER].wait()
    await handle.signal(PackageRevisionWorkflow.look_again)
    first = client.get_workflow_handle(handle.id, run_id=handle.first_execution_run_id)
    await _has(first, "workflow_execution_continued_as_new_event_attributes")
    fakes.held.pop(Phase.RENDER).set()
    return first


class HeldLocally(FakeActivities):
    """First attempts of a source that take longer than a workflow task may without an answer."""

    @activity.defn(name="execute_source")
    async def execute_source(self, request: PhaseInput) -> PhaseResult:
        if activity.info().is_local and request.intent == "one":
            self.entered[Phase.SOURCE].set()
            await asyncio.Event().wait()
        return await self._phase(Phase.SOURCE, request)


async def superseded_locally(client: Client, fakes: FakeActivities, queue: str) -> Handle:
    """A newer intent comes while a first attempt is under way."""
    handle = await start(client, queue)
    await fakes.entered[Phase.SOURCE].wait()
    fakes.facts = fakes.facts.model_copy(update={"intent": "two"})
    await handle.signal(PackageRevisionWorkflow.look_again)
    return handle


async def lost(client: Client, fakes: FakeActivities, queue: str) -> Handle:
    """A first attempt is lost with its worker, and another one with its own process."""
    fakes.failures[Phase.SOURCE] = [failure("its process ended", "Lost", final=False) for _ in range(2)]
    return await start(client, queue)


SCENARIOS: tuple[Scenario, ...] = (
    *(new_draft, propose, stalled, refused, handed_over, superseded, retried),
    *(suspended, unreadable, continued_as_new, superseded_locally, lost),
)

CONSTANTS: dict[str, dict[str, Any]] = {"continued_as_new": {"SIGNALS_PER_RUN": 2}}
"""Constants of `policies` that a history was recorded with, and is replayed with."""

SYNCS: dict[str, tuple[SyncResult | ApplicationError, ...]] = {
    "sync_settled": (SyncResult(summary="2 package revisions, 2 objects written", revisions=2, written=2),),
    "sync_looked_again": (SyncResult(summary="busy", unsettled=1), SyncResult(summary="settled", revisions=1)),
    "sync_stalled": (ApplicationError("the server refuses the credentials", type="Stalled", non_retryable=True),),
}
"""What the activity of a sync answers, one after another."""


def _portable(history: str) -> str:
    """Leave out what tells of the machine it was recorded on, and replay does not read."""

    def scrub(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: scrub(item) for key, item in value.items() if key not in {"stackTrace", "identity"}}
        return [scrub(item) for item in value] if isinstance(value, list) else value

    return json.dumps(scrub(json.loads(history)), indent=1) + "\n"


async def main(address: str) -> None:
    """Record every scenario that has no history yet."""
    client = await Client.connect(address, data_converter=pydantic_data_converter)
    FOLDER.mkdir(exist_ok=True)
    for scenario in SCENARIOS:
        path = FOLDER / f"{scenario.__name__}.json"
        if path.exists():
            continue
        fakes = (HeldLocally if scenario is superseded_locally else FakeActivities)(NEW_DRAFT)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in CONSTANTS.get(scenario.__name__, {}).items():
                patch.setattr(policies, name, value)
            async with working(client, fakes, patch, cached_workflows=100) as queue:
                handle = await scenario(client, fakes, queue)
                with suppress(WorkflowFailureError):
                    await handle.result()
                path.write_text(_portable((await handle.fetch_history()).to_json()))
    for name, answers in SYNCS.items():
        path = FOLDER / f"{name}.json"
        if path.exists():
            continue
        with pytest.MonkeyPatch.context() as patch:
            async with serving(client, FakeSync(*answers), patch) as queue:
                synced = await start_sync(client, queue)
                with suppress(WorkflowFailureError):
                    await synced.result()
                path.write_text(_portable((await synced.fetch_history()).to_json()))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
