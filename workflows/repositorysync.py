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
    from porchflow.workflows.losses import is_lost, never_began


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
            workflow.set_current_details(f"- {workflow.now():%Y-%m-%d %H:%M:%S} {policies.told_line(result.summary)}")
            looks += 1
            if not result.unsettled:
                return result
            await asyncio.sleep(delay.total_seconds())
            delay *= 2
            if looks == policies.SYNC_LOOKS:
                return result

    async def _sync(self, target: RepositorySyncInput) -> SyncResult:
        """Sync once, isolated after the first loss of a process: as `PackageRevisionWorkflow` runs a phase."""
        deaths = 0
        while True:
            try:
                return await self._attempt(target, deaths)
            except ActivityError as error:
                cause = error.cause
                if is_lost(error):
                    deaths += 1
                    workflow.set_current_details("its process ended before it; it goes on in a process of its own")
                elif isinstance(cause, ApplicationError):
                    raise ApplicationError(cause.message, type=ErrorKind.STALLED, non_retryable=True) from error
                elif not never_began(error):
                    raise

    def _attempt(self, target: RepositorySyncInput, deaths: int) -> workflow.ActivityHandle[SyncResult]:
        policy = policies.isolated(policies.SYNC) if deaths else policies.SYNC
        return workflow.start_activity_method(
            SyncActivities.sync_repository,
            SyncRequest(namespace=target.namespace, name=target.name, deaths=deaths),
            task_queue=policies.beside(workflow.info().task_queue, policy.queue),
            schedule_to_start_timeout=policies.ISOLATED_WAIT if deaths else None,
            start_to_close_timeout=policy.start_to_close,
            heartbeat_timeout=policy.heartbeat,
            retry_policy=policy.retry,
            summary=f"sync {target.name}",
        )
