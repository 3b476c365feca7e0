"""The runner of workers is still a sandbox."""

import uuid

import pytest
from temporalio.client import Client, WorkflowFailureError
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import RestrictedWorkflowAccessError

from porchflow.workflows.runner import workflow_runner
from tests.workflows.unsafe import LooksAtTheClock


async def test_what_is_not_deterministic_is_refused(temporal_client: Client) -> None:
    queue = f"test-{uuid.uuid4()}"
    async with Worker(
        temporal_client,
        task_queue=queue,
        workflows=[LooksAtTheClock],
        workflow_runner=workflow_runner(),
        workflow_failure_exception_types=[RestrictedWorkflowAccessError],
    ):
        with pytest.raises(WorkflowFailureError) as raised:
            await temporal_client.execute_workflow(LooksAtTheClock.run, id=queue, task_queue=queue)
    assert "datetime.now" in str(raised.value.cause)
