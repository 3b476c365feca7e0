"""The durable sync of one Repository; a schedule starts it."""

import asyncio

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    # In full, because the sandbox passes modules through by the name in the import statement.
    import porchflow.workflows.policies as policies  # noqa: PLR0402
    from porchflow.activities.definitions import SyncActivities, SyncRequest, SyncResult
    from porchflow.api.error_kinds import ErrorKind
    from porchflow.workflows.ids import SYNC_WORKFLOW_NAME, RepositorySyncInput


@workflow.defn(name=SYNC_WORKFLOW_NAME)
class RepositorySyncWorkflow:
    """Syncs once, and looks again soon where a workflow changed objects meanwhile."""

    @workflow.run
    async def run(self, target: RepositorySyncInput) -> SyncResult:
        """Make the objects of a Repository agree with Git.

        Returns:
            The result of the last look.

        Raises:
            ApplicationError: Of type Stalled, with the message of the condition, when a person must act.
        """
        delay, looks = policies.SYNC_LOOK_DELAY, 0
        while True:
            result = await self._sync(target)
            workflow.set_current_details(f"- {workflow.now():%Y-%m-%d %H:%M:%S} {result.summary}")
            looks += 1
            if not result.unsettled:
                return result
            await asyncio.sleep(delay.total_seconds())
            delay *= 2
            if looks == policies.SYNC_LOOKS:
                return result

    async def _sync(self, target: RepositorySyncInput) -> SyncResult:
        try:
            return await workflow.execute_activity_method(
                SyncActivities.sync_repository,
                SyncRequest(namespace=target.namespace, name=target.name),
                task_queue=policies.beside(workflow.info().task_queue, policies.SYNC.queue),
                start_to_close_timeout=policies.SYNC.start_to_close,
                heartbeat_timeout=policies.SYNC.heartbeat,
                retry_policy=policies.SYNC.retry,
                summary=f"sync {target.name}",
            )
        except ActivityError as error:
            cause = error.cause
            if not isinstance(cause, ApplicationError):
                raise
            raise ApplicationError(cause.message, type=ErrorKind.STALLED, non_retryable=True) from error
