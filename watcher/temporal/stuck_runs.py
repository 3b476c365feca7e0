"""Runs whose workflow task fails again and again: Temporal tries it for ever, and the run never ends."""

import logging
from typing import Final

from temporalio.client import Client, WorkflowExecutionDescription
from temporalio.service import RPCError, RPCStatusCode

from porchflow.activities.ended_tasks import unfinished_tasks
from porchflow.watcher.temporal.temporal_errors import RPC_TIMEOUT

logger = logging.getLogger(__name__)

FAILED_ATTEMPTS: Final = 5
"""Attempt of one workflow task from which on its run counts as stuck, where the first attempt failed in a worker.

Four failures of code in a row are no busy machine and no accident. Workers report the first only and let the others run
into Temporal's limit of time, which grows: the fifth attempt begins after 35 seconds or more.
"""

LOST_ATTEMPTS: Final = 10
"""The same, where Temporal lost the first attempt with its worker.

The deaths of workers say nothing of the run, and another run would meet the same: a deployment or a node that is
drained may kill several workers that hold one run. But the code of the next worker may fail too, which Temporal does
not record then. Nine attempts take six minutes or more, about the time between two lists of the watcher.
"""


async def is_stuck(client: Client, found: WorkflowExecutionDescription) -> bool:
    """Return whether the task of a run fails again and again, such as of a run that another version began.

    Args:
        client: Of the run's namespace.
        found: The run as Temporal describes it now.

    Raises:
        RPCError: Temporal does not answer.
    """
    attempt = _attempt(found)
    if not attempt or attempt >= LOST_ATTEMPTS:
        return bool(attempt)
    unfinished = await unfinished_tasks(client, found.id, found.run_id, RPC_TIMEOUT)
    if attempt >= FAILED_ATTEMPTS:
        return bool(unfinished) and unfinished[0].failed
    # A signal between two attempts begins Temporal's count anew, and then the history has each failure.
    return sum(each.failed for each in unfinished) >= FAILED_ATTEMPTS - 1


async def is_failing(client: Client, found: WorkflowExecutionDescription) -> bool:
    """Return whether the task of a run failed and is tried again; most are well with the next attempt.

    Args and errors are those of `is_stuck`.
    """
    if not _attempt(found):
        return False
    return any(each.failed for each in await unfinished_tasks(client, found.id, found.run_id, RPC_TIMEOUT))


async def end_stuck_run(client: Client, workflow_id: str) -> bool:
    """End the run of a workflow if it is stuck.

    The next signal starts another. Runs hold no state, so nothing is lost.

    Returns:
        Whether there was such a run.

    Raises:
        RPCError: Temporal does not answer.
    """
    try:
        found = await client.get_workflow_handle(workflow_id).describe(rpc_timeout=RPC_TIMEOUT)
        if not await is_stuck(client, found):
            return False
        await client.get_workflow_handle(workflow_id, run_id=found.run_id).terminate(
            reason="its workflow task failed again and again", rpc_timeout=RPC_TIMEOUT
        )
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return False
    logger.warning("ended run %s of %s: its workflow task failed again and again", found.run_id, workflow_id)
    return True


def _attempt(found: WorkflowExecutionDescription) -> int:
    return found.raw_description.pending_workflow_task.attempt
