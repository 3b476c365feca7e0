"""Whether each Repository has its schedule in Temporal, and whether runs are stuck there."""

import asyncio
from collections.abc import Awaitable, Iterable
from datetime import timedelta
from typing import TypeVar

from temporalio.client import Client, WorkflowExecution
from temporalio.service import RPCError, RPCStatusCode

from porchflow.cli.doctor.findings import Check, Finding, all_of
from porchflow.cli.processes.temporal.temporal_connection import read_connection
from porchflow.cli.settings import Settings
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import KubeError
from porchflow.kube.kinds import REPOSITORIES
from porchflow.watcher.syncs import plan_of
from porchflow.watcher.temporal.schedules import RepositorySchedules
from porchflow.watcher.temporal.stuck_runs import is_stuck
from porchflow.watcher.temporal.temporal_errors import TemporalError
from porchflow.workflows.ids import RECONCILE_QUEUE, SYNC_QUEUE, Installation

_OPEN_RUNS = 200
"""Open runs that are looked at, the oldest first: one that is stuck grows old."""


_IN_DETAIL = 200
"""Schedules that are described: each costs Temporal as much as a list of a thousand."""

_AT_ONCE = 16
"""Calls at once; more make Temporal no quicker."""

_Answer = TypeVar("_Answer")


async def check_schedules(
    settings: Settings, installation: Installation, seconds: float, *, in_detail: int = _IN_DETAIL
) -> list[Finding]:
    """Compare the schedules with the Repositories, and look for runs whose workflow task fails again and again.

    Args:
        settings: Where Kubernetes and Temporal are, and which namespaces count.
        installation: Whose schedules and runs.
        seconds: How long the API server may take.
        in_detail: Schedules that are described although Temporal's list shows nothing wrong with them.
    """
    client = await read_connection(settings.temporal).connect()
    return await all_of(
        _schedules(settings, RepositorySchedules(client, installation), seconds, in_detail),
        _stuck_runs(client, installation),
    )


async def _schedules(
    settings: Settings, schedules: RepositorySchedules, seconds: float, in_detail: int
) -> list[Finding]:
    check = Check("schedules", ", ".join(settings.scope.namespaces) or "all namespaces")
    try:
        async with await KubeClient.connect(settings.kubeconfig, request_timeout=seconds) as kube:
            namespaces = settings.scope.namespaces or (None,)
            plans = [plan_of(one) for each in namespaces async for one in kube.list_all(REPOSITORIES, each)]
        suspects = await schedules.suspects(plans)
    except KubeError as error:
        return [check.warning(str(error), "run the check as somebody who may list Repositories")]
    except TemporalError as error:
        return [check.failure(str(error), "see whether Temporal is well")]
    suspected = {plan.key for plan in suspects}
    described = suspects + [plan for plan in plans if plan.key not in suspected][:in_detail]
    every = timedelta(seconds=settings.watcher.sync_seconds)
    troubled = await _at_once(
        [
            _trouble("listing of refs", schedules.listing_differences(every)),
            *(_trouble("/".join(plan.key), schedules.differences(plan)) for plan in described),
        ]
    )
    told = f"each of {len(plans)} Repositories has its own; looked at in detail: {len(described)}"
    return [finding for findings in troubled for finding in findings] or [check.ok(told)]


async def _trouble(name: str, differences: Awaitable[list[str]]) -> list[Finding]:
    check = Check("schedule", name)
    try:
        differ = await differences
    except TemporalError as error:
        return [check.failure(str(error), "see whether Temporal is well")]
    mend = "see whether the watcher runs: its next list (PORCHFLOW_RELIST_SECONDS) puts this right"
    return [check.warning("; ".join(differ), mend)] if differ else []


async def _stuck_runs(client: Client, installation: Installation) -> list[Finding]:
    check = Check("workflow-tasks", client.namespace)
    queues = ", ".join(f"'{installation.queue(name)}'" for name in (RECONCILE_QUEUE, SYNC_QUEUE))
    query = f"ExecutionStatus = 'Running' AND TaskQueue IN ({queues})"
    try:
        # Temporal lists the newest first.
        runs = [run async for run in client.list_workflows(query)]
        found = await _at_once(_id_if_stuck(client, run) for run in runs[-_OPEN_RUNS:])
    except RPCError as error:
        return [check.warning(f"cannot be looked at: {error.message}", "see whether Temporal is well")]
    if stuck := [each for each in found if each]:
        told = f"{len(stuck)} runs are stuck, because their workflow task fails again and again: {', '.join(stuck[:5])}"
        return [check.failure(told, "nothing: the watcher's next list replaces them; the workers' logs say why")]
    return [check.ok(f"none fails again and again, of {len(runs)} open runs")]


async def _id_if_stuck(client: Client, run: WorkflowExecution) -> str:
    try:
        described = await client.get_workflow_handle(run.id, run_id=run.run_id).describe()
        return run.id if await is_stuck(client, described) else ""
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            # It has ended since it was listed, and its retention is over.
            return ""
        raise


async def _at_once(works: Iterable[Awaitable[_Answer]]) -> list[_Answer]:
    """Return the answers of calls, a few of which run at once, in their order."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(work: Awaitable[_Answer]) -> _Answer:
        async with slots:
            return await work

    return await asyncio.gather(*(one(work) for work in works))
