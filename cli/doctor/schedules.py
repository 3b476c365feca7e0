"""Whether each Repository has its schedule in Temporal."""

from collections.abc import Awaitable
from datetime import timedelta

from porchflow.cli.doctor.findings import Check, Finding, all_of, at_once
from porchflow.cli.doctor.open_runs import check_open_runs
from porchflow.cli.processes.temporal.temporal_connection import read_connection
from porchflow.cli.settings import Settings
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import KubeError
from porchflow.kube.kinds import REPOSITORIES
from porchflow.watcher.syncs import plan_of
from porchflow.watcher.temporal.schedules import RepositorySchedules
from porchflow.watcher.temporal.temporal_errors import TemporalError
from porchflow.workflows.ids import Installation

_IN_DETAIL = 200
"""Schedules that are described: each costs Temporal as much as a list of a thousand."""


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
        check_open_runs(client, installation),
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
    troubled = await at_once(
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
