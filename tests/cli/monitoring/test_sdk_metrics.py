"""What Temporal's SDK exports of workflow tasks that fail, in a real worker."""

import asyncio
import re
import urllib.request
import uuid

from temporalio import workflow
from temporalio.client import Client
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig
from temporalio.worker import Worker

from porchflow.cli.monitoring.exported import TEMPORAL
from porchflow.devstack.processes import HOST, free_port
from tests.servers.temporal import TemporalServer
from tests.servers.waiting import eventually

FAILED = "temporal_workflow_task_execution_failed"


@workflow.defn(name="Faulty", sandboxed=False)
class Faulty:
    @workflow.run
    async def run(self) -> None:
        raise RuntimeError("a defect")


async def test_the_failures_of_workflow_tasks_are_counted_under_the_name_that_alarms_read(
    temporal_server: TemporalServer,
) -> None:
    address = f"{HOST}:{free_port()}"
    runtime = Runtime(telemetry=TelemetryConfig(metrics=PrometheusConfig(bind_address=address)))
    client = await Client.connect(temporal_server.address, runtime=runtime)
    queue = f"faulty-{uuid.uuid4().hex[:8]}"

    def labels() -> set[str]:
        with urllib.request.urlopen(f"http://{address}/metrics") as answer:
            found = re.search(rf"^{FAILED}\{{(.*)\}} [1-9]", answer.read().decode(), re.MULTILINE)
        return set(re.findall(r'(\w+)="', found[1])) if found else set()

    async with Worker(client, task_queue=queue, workflows=[Faulty]):
        run = await client.start_workflow("Faulty", id=queue, task_queue=queue)
        exported = await eventually(lambda: asyncio.to_thread(labels), what="the failure is exported")
        await run.terminate()
    assert set(TEMPORAL[FAILED]) <= exported
