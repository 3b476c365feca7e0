"""The listing of the refs of all Repositories; one schedule of the installation starts it."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    # In full, because the sandbox passes modules through by the name in the import statement.
    import porchflow.workflows.policies as policies  # noqa: PLR0402
    from porchflow.activities.definitions import ListingActivities, ListingResult
    from porchflow.workflows.ids import LISTING_WORKFLOW_NAME


@workflow.defn(name=LISTING_WORKFLOW_NAME)
class RefListingWorkflow:
    """Lists once: Repositories that stand still cost no run of their own."""

    @workflow.run
    async def run(self) -> ListingResult:
        """List the refs, and start the syncs of the Repositories whose refs moved."""
        result = await workflow.execute_activity_method(
            ListingActivities.list_refs,
            task_queue=policies.beside(workflow.info().task_queue, policies.LISTING.queue),
            start_to_close_timeout=policies.LISTING.start_to_close,
            heartbeat_timeout=policies.LISTING.heartbeat,
            retry_policy=policies.LISTING.retry,
            summary="list the refs of Repositories",
        )
        workflow.set_current_details(f"- {workflow.now():%Y-%m-%d %H:%M:%S} {policies.told_line(result.summary)}")
        return result
