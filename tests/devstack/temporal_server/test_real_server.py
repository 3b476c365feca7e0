"""Temporal's real server on PostgreSQL: alone, and as a part of `porchflow up`."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
from google.protobuf.duration_pb2 import Duration
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import SearchAttributePair, TypedSearchAttributes
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from porchflow.cli.stack_state import StateFolder
from porchflow.devstack.demo.demo_repository import ensure_repository
from porchflow.devstack.processes import HOST, ProcessError
from porchflow.devstack.servers import answers
from porchflow.devstack.temporal_server.stack import RETENTION_SECONDS
from porchflow.kube.client import KubeClient
from porchflow.kube.kinds import PACKAGEREVISIONS, REPOSITORIES
from porchflow.workflows.ids import Attributes
from tests.devstack.test_stack import Cli, alive
from tests.servers.postgresql import real_temporal_binaries
from tests.servers.restarts import restart
from tests.servers.temporal import RealTemporalServer
from tests.servers.waiting import eventually

# A database is made, and a server of four services starts.
pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def binaries() -> dict[str, Path]:
    return real_temporal_binaries()


@pytest.fixture
async def server(binaries: dict[str, Path], tmp_path: Path) -> AsyncIterator[RealTemporalServer]:
    server = RealTemporalServer(binaries, tmp_path)
    await server.start()
    yield server
    await server.kill()


@pytest.fixture
async def cli(binaries: dict[str, Path], server_binaries: dict[str, Path], tmp_path: Path) -> AsyncIterator[Cli]:
    cli = Cli(StateFolder(tmp_path / "state"))
    yield cli
    cli.run("down")
    for process in cli.processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


async def started(client: Client, workflow_id: str) -> None:
    """Start a run that no worker takes, with all search attributes."""
    await client.start_workflow(
        "Nothing",
        id=workflow_id,
        task_queue="nobody",
        search_attributes=TypedSearchAttributes([SearchAttributePair(key, "blue") for key in Attributes().all]),
    )


async def is_listed(client: Client, workflow_id: str) -> bool:
    query = " AND ".join(f"{key.name} = 'blue'" for key in Attributes().all)
    return workflow_id in [run.id async for run in client.list_workflows(query)]


async def runs_on(address: str, workflow_id: str) -> bool:
    described = await (await Client.connect(address)).get_workflow_handle(workflow_id).describe()
    return described.status == WorkflowExecutionStatus.RUNNING


async def test_runs_and_search_attributes_outlive_every_kind_of_end(server: RealTemporalServer) -> None:
    client = await Client.connect(server.address)
    await started(client, "kept")
    await eventually(lambda: is_listed(client, "kept"), what="the run is listed by its search attributes")
    namespace = await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace="default"))
    retention = namespace.config.workflow_execution_retention_ttl
    assert retention == Duration(seconds=RETENTION_SECONDS)

    await restart(server.process)
    assert await runs_on(server.address, "kept")
    await server.process.kill()
    await server.process.start()
    assert await runs_on(server.address, "kept")
    await server.kill()
    await server.start()
    assert await runs_on(server.address, "kept")
    await eventually(lambda: is_listed(client, "kept"), timeout=60, what="the run is listed after all has been killed")


async def test_it_goes_on_after_its_database_was_killed(server: RealTemporalServer) -> None:
    client = await Client.connect(server.address)
    await started(client, "before")
    await server.database.kill()
    await server.database.start()

    async def starts() -> bool:
        try:
            await started(client, "after")
        except WorkflowAlreadyStartedError:
            # By an attempt whose answer was lost.
            return True
        except RPCError:
            return False
        return True

    await eventually(starts, timeout=120, what="runs can be started again")
    for each in ("before", "after"):
        assert await runs_on(server.address, each)


async def test_the_schema_is_made_again_without_harm_and_its_trouble_is_told(
    server: RealTemporalServer,
) -> None:
    await server.prepare()
    assert await server.process.is_ready()
    await server.process.stop()
    await server.database.stop()
    with pytest.raises(ProcessError, match=r"`temporal-sql-tool create-database .*fails for database 'temporal'"):
        await server.prepare()


async def test_it_listens_on_loopback_only(server: RealTemporalServer) -> None:
    connections = psutil.Process(server.process.pid).net_connections("inet")
    listening = {each.laddr.ip for each in connections if each.status == psutil.CONN_LISTEN}
    assert listening == {HOST}


async def test_up_runs_it_shows_it_and_takes_a_package_through_it(cli: Cli) -> None:
    environment = {"PORCHFLOW_TEMPORAL_STORE": "postgresql"}
    cli.run("up", "--detach", timeout=300, **environment)
    record = cli.record()
    assert {"postgresql", "temporal", "temporal-ui"} < record.parts.keys()
    assert record.parts["temporal-ui"].address == record.ui
    assert await answers(f"{record.ui}/")
    await package_is_ready(cli, "web")

    said = cli.run("doctor", **environment)
    assert "runs in postgres12, their list in postgres12" in said
    family = [each for part in record.parts.values() for each in psutil.Process(part.pid).children(recursive=True)]
    assert any(each.name() == "postgres" for each in family)

    # A supervisor that is killed takes all of it along.
    os.kill(record.supervisor.pid, signal.SIGKILL)
    await eventually(lambda: alive(record) == [], timeout=60, what="all parts have ended")
    await eventually(lambda: not any(each.is_running() for each in family), timeout=60, what="PostgreSQL has ended")

    cli.run("up", "--detach", timeout=300, **environment)
    again = cli.record()
    client = await Client.connect(again.temporal)
    runs = [run.id async for run in client.list_workflows("WorkflowType = 'PackageRevisionWorkflow'")]
    assert any("web" in each for each in runs), "what ran before is kept"
    await package_is_ready(cli, "shop")
    last = [psutil.Process(part.pid) for part in again.parts.values()]
    last += [each for process in last for each in process.children(recursive=True)]
    cli.run("down")
    assert not any(each.is_running() for each in last)


async def package_is_ready(cli: Cli, package: str) -> None:
    record = cli.record()
    await asyncio.to_thread(ensure_repository, cli.folder.git, record.git, package)
    async with await KubeClient.connect(cli.folder.kubeconfig) as client:
        spec = {"type": "git", "git": {"repo": f"{record.git}/{package}.git"}}
        await client.create(REPOSITORIES, manifest("config.porch.kpt.dev/v1alpha1", "Repository", package, spec))
        draft = {"repository": package, "packageName": package, "workspaceName": "v1", "lifecycle": "Draft"}
        name = f"{package}.{package}.v1"
        await client.create(
            PACKAGEREVISIONS,
            manifest("porch.kpt.dev/v1alpha2", "PackageRevision", name, {**draft, "source": {"init": {}}}),
        )

        async def ready() -> bool:
            found = await client.get(PACKAGEREVISIONS, "default", name)
            conditions = (found.get("status") or {}).get("conditions", [])
            return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)

        await eventually(ready, timeout=120, what=f"{name} is Ready")


def manifest(version: str, kind: str, name: str, spec: dict[str, object]) -> dict[str, object]:
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"namespace": "default", "name": name},
        "spec": spec,
    }
