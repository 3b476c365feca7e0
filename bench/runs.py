"""The cost of a workload in Temporal: its runs, and the histories of a sample of them."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecution

from bench.follow import BenchError
from porchflow.workflows.ids import Installation

SAMPLE = 10
"""Objects whose histories are read."""

_RUNNING = "ExecutionStatus = 'Running'"
_QUIET_SECONDS = 60.0
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class RunCosts:
    """Means for one object."""

    runs: float
    workflow_tasks: float
    activities: float
    """Scheduled by the server; local activities cost no task of their own and are not among them."""


async def run_costs(
    client: Client,
    installation: Installation,
    namespace: str,
    names: Sequence[str],
    since: datetime,
    *,
    expected: bool,
) -> RunCosts:
    """Read the runs of the objects' workflows since a moment, after the last of them has ended.

    Args:
        client: Client of Temporal.
        installation: Begins the ids of the workflows.
        namespace: Of the objects.
        names: The objects.
        since: The moment.
        expected: Whether each has a run: a short one is listed only a while after it ended.

    Raises:
        BenchError: They do not end.
    """
    await until_quiet(client)
    sample = names[:: max(1, len(names) // SAMPLE)][:SAMPLE]
    total: Counter[str] = Counter()
    deadline = time.monotonic() + _QUIET_SECONDS
    while total["runs"] < len(sample) and time.monotonic() < deadline:
        ids = [installation.workflow_id(namespace, name) for name in sample]
        counted = await asyncio.gather(*(_count(client, each, since) for each in ids))
        total = sum(counted, Counter())
        if not expected:
            break
        await asyncio.sleep(_POLL_SECONDS)

    def mean(key: str) -> float:
        return total[key] / len(sample)

    return RunCosts(runs=mean("runs"), workflow_tasks=mean("workflow_tasks"), activities=mean("activities"))


async def costs_of_all(client: Client, objects: int, since: datetime, *, least: int, but: str) -> RunCosts:
    """Read all runs since a moment, whatever they work on, as means for so many objects.

    Args:
        client: Client of Temporal.
        objects: How many.
        since: The moment.
        least: Runs that there are at least: they are listed only a while after they ended.
        but: A query for runs that do not count.

    Raises:
        BenchError: They do not end.
    """
    await until_quiet(client)
    query = f"StartTime >= '{since.isoformat()}' AND NOT ({but})"
    deadline = time.monotonic() + _QUIET_SECONDS
    while (runs := (await client.count_workflows(query)).count) < least and time.monotonic() < deadline:  # noqa: ASYNC110 - Temporal sends no notice
        await asyncio.sleep(_POLL_SECONDS)
    sample = [run async for run in client.list_workflows(query, limit=SAMPLE)]
    counted = await asyncio.gather(*(_count_history(client, run) for run in sample))
    total = sum(counted, Counter())

    def mean(key: str) -> float:
        return total[key] / len(sample) * runs / objects if sample else 0.0

    return RunCosts(runs=runs / objects, workflow_tasks=mean("workflow_tasks"), activities=mean("activities"))


async def until_quiet(client: Client) -> None:
    """Wait until no workflow runs.

    Raises:
        BenchError: They do not end.
    """
    try:
        async with asyncio.timeout(_QUIET_SECONDS):
            while (await client.count_workflows(_RUNNING)).count:  # noqa: ASYNC110 - Temporal sends no notice
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        raise BenchError(f"workflows still run {_QUIET_SECONDS:g} s after all objects were done") from None


async def _count(client: Client, workflow: str, since: datetime) -> Counter[str]:
    counts: Counter[str] = Counter()
    query = f"WorkflowId = '{workflow}' AND StartTime >= '{since.isoformat()}'"
    async for run in client.list_workflows(query):
        counts["runs"] += 1
        counts += await _count_history(client, run)
    return counts


async def _count_history(client: Client, run: WorkflowExecution) -> Counter[str]:
    history = await client.get_workflow_handle(run.id, run_id=run.run_id).fetch_history()
    kinds = Counter(event.event_type for event in history.events)
    return Counter(
        workflow_tasks=kinds[EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED],
        activities=kinds[EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED],
    )
