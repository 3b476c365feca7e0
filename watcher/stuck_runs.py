"""Runs whose workflow task fails again and again: Temporal tries it for ever, and the run never ends."""

import logging
from datetime import timedelta
from typing import Final

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

logger = logging.getLogger(__name__)

_RPC_TIMEOUT: Final = timedelta(seconds=10)
STUCK_ATTEMPTS: Final = 3
"""Attempts of one workflow task from which on its run counts as stuck; a worker that was killed costs one."""


async def end_stuck_run(client: Client, workflow_id: str) -> bool:
    """End the run of a workflow if its task fails again and again, such as one that another version began.

    The next signal starts another. Runs hold no state, so nothing is lost.

    Returns:
        Whether there was such a run.

    Raises:
        RPCError: Temporal does not answer.
    """
    try:
        found = await client.get_workflow_handle(workflow_id).describe(rpc_timeout=_RPC_TIMEOUT)
        attempt = found.raw_description.pending_workflow_task.attempt
        if attempt < STUCK_ATTEMPTS:
            return False
        await client.get_workflow_handle(workflow_id, run_id=found.run_id).terminate(
            reason=f"its workflow task failed {attempt - 1} times", rpc_timeout=_RPC_TIMEOUT
        )
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return False
    logger.warning("ended run %s of %s: its workflow task failed %d times", found.run_id, workflow_id, attempt - 1)
    return True
