"""Local attempts that were lost with their worker: only Temporal's record of the workflow's tasks tells of them."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from temporalio import activity
from temporalio.client import Client
from temporalio.service import RPCError

from porchflow.activities.definitions import PhaseInput
from porchflow.activities.ended_tasks import unfinished_tasks
from porchflow.api.models.conditions import Reason
from porchflow.repositories.failures import HandedOver, Lost

_ANSWER = timedelta(seconds=5)
_SECOND = 2


async def check_task(request: PhaseInput) -> None:
    """Refuse a local attempt in a workflow task that was lost before, most likely with the worker that ran it.

    Args:
        request: Says whether that is possible; where it is not, which are nearly all attempts, nothing is requested.

    Raises:
        Lost: The task was tried before. This phase, or another one in the same worker, may have ended that worker.
        HandedOver: It was tried before by this very process, which was too busy to answer in time and ended nothing. Or
            Temporal does not answer. Of an activity of its own it counts the attempts by itself.
    """
    if not (activity.info().is_local and request.tried_before):
        return
    try:
        losses = await _losses(activity.client())
    except RPCError:
        raise HandedOver from None
    if losses.ours:
        raise HandedOver
    if losses.any:
        raise Lost(Reason.PHASE_CRASHED, "its workflow task was lost before, most likely with its worker")


@dataclass(frozen=True)
class _Losses:
    any: bool
    ours: bool
    """Whether all of them are known, and this process's own."""


async def _losses(client: Client) -> _Losses:
    """Look for attempts of the workflow task at hand that were lost.

    Temporal's count tells of attempts in a row, of which the history has the first only. A signal that came during an
    attempt begins the count anew, and then the history has that attempt.
    """
    info = activity.info()
    workflow, run = info.workflow_id or "", info.workflow_run_id or ""
    described, unfinished = await asyncio.gather(
        client.get_workflow_handle(workflow, run_id=run).describe(rpc_timeout=_ANSWER),
        unfinished_tasks(client, workflow, run, _ANSWER),
    )
    attempt = described.raw_description.pending_workflow_task.attempt
    lost = [each for each in unfinished if each.lost]
    known = attempt <= _SECOND and all(each.worker == client.identity for each in lost)
    return _Losses(any=attempt > 1 or bool(lost), ours=bool(lost) and known)
