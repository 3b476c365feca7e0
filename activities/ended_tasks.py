"""How the workflow tasks of a run ended, as Temporal's history tells it."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType, TimeoutType, WorkflowTaskFailedCause
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryReverseRequest
from temporalio.client import Client

_PAGE: Final = 200
_FAILED: Final = EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
_TIMED_OUT: Final = EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT
_COMPLETED: Final = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
_STARTED: Final = EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED


@dataclass(frozen=True)
class UnfinishedTask:
    """A workflow task that ended without result."""

    worker: str
    """Identity of the worker that began it; empty where none did."""
    failed: bool
    """Whether the worker said so, or the server did not take its answer. A signal that came meanwhile is no failure."""
    lost: bool
    """Whether the worker began it and did not answer in time."""


async def unfinished_tasks(client: Client, workflow: str, run: str, answer: timedelta) -> list[UnfinishedTask]:
    """Return the workflow tasks of a run since the last one that was completed, the newest first.

    Of attempts in a row Temporal records the first; what arrives for the run between two of them begins a new row.

    Args:
        client: Of the run's namespace.
        workflow: Id of the workflow.
        run: Id of the run; empty for the newest.
        answer: How long Temporal may take for one page of the history.

    Raises:
        RPCError: Temporal does not answer, or knows no such run.
    """
    ends: list[HistoryEvent] = []
    workers: dict[int, str] = {}
    page = b""
    while True:
        request = GetWorkflowExecutionHistoryReverseRequest(
            namespace=client.namespace,
            execution=WorkflowExecution(workflow_id=workflow, run_id=run),
            maximum_page_size=_PAGE,
            next_page_token=page,
        )
        answered = await client.workflow_service.get_workflow_execution_history_reverse(request, timeout=answer)
        for event in answered.history.events:
            if event.event_type == _COMPLETED:
                return [_unfinished(end, workers) for end in ends]
            if event.event_type in (_FAILED, _TIMED_OUT):
                ends.append(event)
            elif event.event_type == _STARTED:
                workers[event.event_id] = event.workflow_task_started_event_attributes.identity
        page = answered.next_page_token
        if not page:
            return [_unfinished(end, workers) for end in ends]


def _unfinished(end: HistoryEvent, workers: dict[int, str]) -> UnfinishedTask:
    if end.event_type == _FAILED:
        said = end.workflow_task_failed_event_attributes
        failed = said.cause != WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND
        return UnfinishedTask(workers.get(said.started_event_id, ""), failed=failed, lost=False)
    ended = end.workflow_task_timed_out_event_attributes
    began = ended.timeout_type != TimeoutType.TIMEOUT_TYPE_SCHEDULE_TO_START
    return UnfinishedTask(workers.get(ended.started_event_id, ""), failed=False, lost=began)
