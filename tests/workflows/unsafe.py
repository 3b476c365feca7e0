"""A workflow that does what no workflow may."""

from datetime import datetime

from temporalio import workflow


@workflow.defn
class LooksAtTheClock:
    @workflow.run
    async def run(self) -> str:
        return str(datetime.now())  # noqa: DTZ005 - it is wrong on purpose
