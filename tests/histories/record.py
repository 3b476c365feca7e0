"""Records workflow histories for the replay test: `python -m tests.histories.record TEMPORAL_ADDRESS`.

A history is recorded once per shape of a run and stays: it stands for the runs that are open while a new version is
deployed. Record new ones beside the old; replace one only when no deployment can have runs of its kind any more.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client, WorkflowFailureError
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import ApplicationError

from porchflow.activities.definitions import SyncResult
from porchflow.api.needs import Facts, Phase
from porchflow.api.packagerevision import Lifecycle
from porchflow.workflows.packagerevision import PackageRevisionWorkflow
from tests.workflows.fakes import FakeActivities
from tests.workflows.test_packagerevision import NEW_DRAFT, Handle, failure, start, working
from tests.workflows.test_repositorysync import FakeSync, serving
from tests.workflows.test_repositorysync import start as start_sync

FOLDER = Path(__file__).parent
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


SCENARIOS: tuple[Scenario, ...] = (new_draft, propose, stalled, refused, handed_over, superseded, retried)

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
    for scenario in SCENARIOS:
        path = FOLDER / f"{scenario.__name__}.json"
        if path.exists():
            continue
        fakes = FakeActivities(NEW_DRAFT)
        with pytest.MonkeyPatch.context() as patch:
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
