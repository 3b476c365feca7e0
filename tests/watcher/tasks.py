"""Workflow tasks that are taken from a real Temporal by hand: what the server sees of workers in trouble."""

from datetime import timedelta
from typing import Final

import pytest
from temporalio.api.command.v1 import Command, CompleteWorkflowExecutionCommandAttributes
from temporalio.api.enums.v1 import CommandType, WorkflowTaskFailedCause
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    PollWorkflowTaskQueueRequest,
    PollWorkflowTaskQueueResponse,
    RespondWorkflowTaskCompletedRequest,
    RespondWorkflowTaskFailedRequest,
)
from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError

SHORT_TASK: Final = timedelta(seconds=1)
"""Time that Temporal gives a worker for one task of a run that a test starts; it is 10 seconds elsewhere."""


async def take_and_die(client: Client, queue: str, identity: str = "") -> None:
    """Take a workflow task and never answer, as a worker that is killed, or one that is too busy."""
    await _take(client, queue, identity)


async def take_and_complete(client: Client, queue: str) -> None:
    """Take a workflow task and answer that nothing is to be done."""
    taken = await _take(client, queue)
    await client.workflow_service.respond_workflow_task_completed(
        RespondWorkflowTaskCompletedRequest(namespace=client.namespace, task_token=taken.task_token)
    )


async def take_and_end_in_vain(client: Client, run: WorkflowHandle[object, object]) -> None:
    """Take a workflow task and answer that the run is over, after a signal came: the server does not take that."""
    taken = await _take(client, run.id)
    await run.signal("look_again")
    over = Command(
        command_type=CommandType.COMMAND_TYPE_COMPLETE_WORKFLOW_EXECUTION,
        complete_workflow_execution_command_attributes=CompleteWorkflowExecutionCommandAttributes(),
    )
    request = RespondWorkflowTaskCompletedRequest(
        namespace=client.namespace, task_token=taken.task_token, commands=[over]
    )
    with pytest.raises(RPCError, match="UnhandledCommand"):
        await client.workflow_service.respond_workflow_task_completed(request)


async def take_and_fail(client: Client, queue: str) -> None:
    """Take a workflow task and report that the workflow's code failed."""
    taken = await _take(client, queue)
    await client.workflow_service.respond_workflow_task_failed(
        RespondWorkflowTaskFailedRequest(
            namespace=client.namespace,
            task_token=taken.task_token,
            cause=WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_WORKER_UNHANDLED_FAILURE,
        )
    )


async def _take(client: Client, queue: str, identity: str = "") -> PollWorkflowTaskQueueResponse:
    request = PollWorkflowTaskQueueRequest(
        namespace=client.namespace, task_queue=TaskQueue(name=queue), identity=identity
    )
    while not (taken := await client.workflow_service.poll_workflow_task_queue(request)).task_token:
        # Temporal ends a poll without a task after a minute.
        pass
    return taken
