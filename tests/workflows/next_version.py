"""A version of the workflow whose commands differ from the first one on."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from porchflow.workflows.ids import WORKFLOW_NAME, Attributes, PackageRevisionInput
    from porchflow.workflows.packagerevision import PackageRevisionWorkflow
    from porchflow.workflows.results import PackageRevisionResult


@workflow.defn(name=WORKFLOW_NAME)
class NextVersion(PackageRevisionWorkflow):
    """Sets a search attribute before it does what the version before does."""

    @workflow.init
    def __init__(self, target: PackageRevisionInput) -> None:
        super().__init__(target)

    @workflow.run
    async def run(self, target: PackageRevisionInput) -> PackageRevisionResult:
        workflow.upsert_search_attributes([Attributes().lifecycle.value_set("Draft")])
        return await super().run(target)
