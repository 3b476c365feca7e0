"""Local attempts that were lost with their worker: only Temporal's count of the workflow's task tells of them."""

from datetime import timedelta

from temporalio import activity
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryReverseRequest
from temporalio.client import Client
from temporalio.service import RPCError

from porchflow.activities.definitions import PhaseInput
from porchflow.api.models.conditions import Reason
from porchflow.repositories.failures import HandedOver, Lost

_ANSWER = timedelta(seconds=5)
_NEWEST_EVENTS = 50
"""Events among which the begin of the attempt before is searched; signals may have come after it."""


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
        attempt, ours = await _attempt(activity.client())
    except RPCError:
        raise HandedOver from None
    if attempt > 1:
        if ours:
            raise HandedOver
        raise Lost(Reason.PHASE_CRASHED, "its workflow task was lost before, most likely with its worker")


async def _attempt(client: Client) -> tuple[int, bool]:
    """Return the number of the attempt of this workflow task, and whether all before it were this process's own."""
    info = activity.info()
    run = client.get_workflow_handle(info.workflow_id or "", run_id=info.workflow_run_id)
    attempt = (await run.describe(rpc_timeout=_ANSWER)).raw_description.pending_workflow_task.attempt
    # Of attempts in a row the history has the first only: of more than one before this nothing is known.
    return attempt, attempt == _SECOND and await _began_here(client, info)


_SECOND = 2


async def _began_here(client: Client, info: activity.Info) -> bool:
    """Whether this process began the newest workflow task that the history has."""
    request = GetWorkflowExecutionHistoryReverseRequest(
        namespace=client.namespace,
        execution=WorkflowExecution(workflow_id=info.workflow_id or "", run_id=info.workflow_run_id or ""),
        maximum_page_size=_NEWEST_EVENTS,
    )
    answer = await client.workflow_service.get_workflow_execution_history_reverse(request, timeout=_ANSWER)
    started = EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED
    tasks = (each for each in answer.history.events if each.event_type == started)
    # The task at hand is in the history only once it has ended.
    newest = next(tasks, None)
    return newest is not None and newest.workflow_task_started_event_attributes.identity == client.identity
