"""Whether runs are stuck in Temporal, because their workflow task fails again and again."""

import asyncio
from collections.abc import Sequence

from temporalio.client import Client, WorkflowExecution
from temporalio.service import RPCError, RPCStatusCode

from porchflow.cli.doctor.findings import Check, Finding, Level, at_once, within
from porchflow.cli.processes.installation import read_installation
from porchflow.cli.processes.temporal.temporal_connection import read_connection
from porchflow.cli.settings import Settings, SettingsError
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import KubeConfigError, KubeError
from porchflow.watcher.temporal.stuck_runs import is_failing, is_stuck
from porchflow.workflows.ids import RECONCILE_QUEUE, SYNC_QUEUE, Attributes, Installation

_NAME = "workflow-tasks"
_OPEN_RUNS = 200
"""Open runs that are looked at, the oldest first: one that is stuck grows old."""

_NAMED = 5
"""Runs that are named."""


async def look_at_open_runs(settings: Settings, seconds: float) -> Finding:
    """Connect to Temporal and look for runs whose workflow task fails again and again.

    Args:
        settings: Where Kubernetes and Temporal are.
        seconds: How long both may take.
    """
    check = Check(_NAME, settings.temporal.namespace)

    async def look() -> list[Finding]:
        try:
            connection = read_connection(settings.temporal)
        except SettingsError as error:
            return [check.failure(error.message, "see docs/reference/configuration.md")]
        installation = await known_installation(settings, seconds)
        if installation is None:
            return [check.warning("the cluster does not tell its id", "set PORCHFLOW_TEMPORAL_INSTALLATION")]
        try:
            client = await connection.connect()
        except (RPCError, RuntimeError, OSError) as error:
            why = await connection.explain(error, seconds)
            return [check.failure(f"Temporal cannot be used: {why}", "run porchflow doctor")]
        return await check_open_runs(client, installation)

    [finding] = await within(2 * seconds, check, look())
    return finding


async def known_installation(settings: Settings, seconds: float) -> Installation | None:
    """Return the installation; None where its id is that of a cluster which does not tell it.

    Args:
        settings: Its id, or where the cluster is.
        seconds: How long the cluster may take.
    """
    if settings.installation.installation:
        return Installation(
            settings.installation.installation, Attributes(settings.installation.search_attribute_prefix)
        )
    try:
        async with asyncio.timeout(seconds), await KubeClient.connect(settings.kubeconfig) as kube:
            return await read_installation(settings.installation, kube)
    except (KubeConfigError, KubeError, TimeoutError):
        return None


async def check_open_runs(client: Client, installation: Installation) -> list[Finding]:
    """Look for runs whose workflow task fails again and again.

    Args:
        client: Of the runs' namespace.
        installation: Whose runs.
    """
    check = Check(_NAME, client.namespace)
    queues = ", ".join(f"'{installation.queue(name)}'" for name in (RECONCILE_QUEUE, SYNC_QUEUE))
    query = f"ExecutionStatus = 'Running' AND TaskQueue IN ({queues})"
    try:
        # Temporal lists the newest first.
        runs = [run async for run in client.list_workflows(query)]
        found = await at_once(_level(client, run) for run in runs[-_OPEN_RUNS:])
    except RPCError as error:
        return [check.warning(f"cannot be looked at: {error.message}", "see whether Temporal is well")]
    failing = [run.id for run, level in zip(runs[-_OPEN_RUNS:], found, strict=True) if level is Level.WARNING]
    stuck = [run.id for run, level in zip(runs[-_OPEN_RUNS:], found, strict=True) if level is Level.FAILURE]
    if stuck:
        told = f"{_counted(stuck, 'fails', 'fail')} again and again, and the run is stuck: {_some(stuck)}"
        return [check.failure(told, "nothing: the watcher's next list replaces them; the workers' logs say why")]
    if failing:
        told = f"{_counted(failing, 'has', 'have')} failed and will be tried again: {_some(failing)}"
        return [check.warning(told, "let all workers run one version; the workers' logs and the Temporal UI say why")]
    return [check.ok(f"none fails, of {len(runs)} open runs")]


def _counted(ids: Sequence[str], one: str, more: str) -> str:
    return f"{len(ids)} {one if len(ids) == 1 else more}"


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:_NAMED]) + (", ..." if len(ids) > _NAMED else "")


async def _level(client: Client, run: WorkflowExecution) -> Level:
    try:
        described = await client.get_workflow_handle(run.id, run_id=run.run_id).describe()
        if await is_stuck(client, described):
            return Level.FAILURE
        return Level.WARNING if await is_failing(client, described) else Level.OK
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            # It has ended since it was listed, and its retention is over.
            return Level.OK
        raise
