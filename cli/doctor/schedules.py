"""Whether each Repository has its schedule in Temporal, and whether runs are stuck there."""

from datetime import timedelta

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError

from porchflow.cli.doctor.findings import Check, Finding
from porchflow.cli.processes.temporal_connection import read_connection
from porchflow.cli.settings import Settings
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.errors import KubeError
from porchflow.kube.following import key_of
from porchflow.kube.kinds import REPOSITORIES
from porchflow.watcher.schedules import RepositorySchedules
from porchflow.watcher.stuck_runs import is_stuck
from porchflow.watcher.syncs import plan_of
from porchflow.watcher.temporal_errors import TemporalError
from porchflow.workflows.ids import RECONCILE_QUEUE, SYNC_QUEUE, Installation

_OPEN_RUNS = 200
"""Open runs that are looked at, the oldest first: one that is stuck grows old."""


async def check_schedules(settings: Settings, installation: Installation, seconds: float) -> list[Finding]:
    """Compare the schedules with the Repositories, and look for runs whose workflow task fails again and again.

    Args:
        settings: Where Kubernetes and Temporal are, and which namespaces count.
        installation: Whose schedules and runs.
        seconds: How long the API server may take.
    """
    client = await read_connection(settings.temporal).connect(data_converter=pydantic_data_converter)
    return [*await _schedules(settings, client, installation, seconds), *await _stuck_runs(client, installation)]


async def _schedules(settings: Settings, client: Client, installation: Installation, seconds: float) -> list[Finding]:
    check = Check("schedules", ", ".join(settings.scope.namespaces) or "all namespaces")
    try:
        async with await KubeClient.connect(settings.kubeconfig, request_timeout=seconds) as kube:
            namespaces = settings.scope.namespaces or (None,)
            found = [one for each in namespaces async for one in kube.list_all(REPOSITORIES, each)]
    except KubeError as error:
        return [check.warning(str(error), "run the check as somebody who may list Repositories")]
    schedules = RepositorySchedules(client, installation)
    usual = timedelta(seconds=settings.watcher.sync_seconds)
    troubled = [finding for one in found for finding in await _trouble(schedules, one, usual)]
    return troubled or [check.ok(f"each of {len(found)} Repositories has its own")]


async def _trouble(schedules: RepositorySchedules, repository: Object, usual: timedelta) -> list[Finding]:
    check = Check("schedule", "/".join(key_of(repository)))
    try:
        differ = await schedules.differences(plan_of(repository, usual))
    except TemporalError as error:
        return [check.failure(str(error), "see whether Temporal is well")]
    mend = "see whether the watcher runs: its next list (PORCHFLOW_RELIST_SECONDS) puts this right"
    return [check.warning("; ".join(differ), mend)] if differ else []


async def _stuck_runs(client: Client, installation: Installation) -> list[Finding]:
    check = Check("workflow-tasks", client.namespace)
    queues = ", ".join(f"'{installation.queue(name)}'" for name in (RECONCILE_QUEUE, SYNC_QUEUE))
    query = f"ExecutionStatus = 'Running' AND TaskQueue IN ({queues})"
    stuck = []
    try:
        # Temporal lists the newest first.
        runs = [run async for run in client.list_workflows(query)]
        for run in runs[-_OPEN_RUNS:]:
            described = await client.get_workflow_handle(run.id, run_id=run.run_id).describe()
            if await is_stuck(client, described):
                stuck.append(run.id)
    except RPCError as error:
        return [check.warning(f"cannot be looked at: {error.message}", "see whether Temporal is well")]
    if stuck:
        told = f"{len(stuck)} runs are stuck, because their workflow task fails again and again: {', '.join(stuck[:5])}"
        return [check.failure(told, "nothing: the watcher's next list replaces them; the workers' logs say why")]
    return [check.ok(f"none fails again and again, of {len(runs)} open runs")]
