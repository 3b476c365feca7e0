"""etcd, kube-apiserver and Temporal, started as the stack starts them."""

import socket
import uuid
from pathlib import Path

import aiohttp
import pytest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import SearchAttributePair, TypedSearchAttributes

from porchflow.devstack.certs import Certificates
from porchflow.devstack.objects.crds import install_crds
from porchflow.devstack.processes import HOST, ProcessError, free_port
from porchflow.devstack.servers import answers, etcd, kube_apiserver, temporal
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import Forbidden
from porchflow.kube.kinds import CONFIGMAPS, PACKAGEREVISIONS, REPOSITORIES
from porchflow.workflows.ids import Attributes
from tests.servers.control_plane import ControlPlane
from tests.servers.restarts import restart
from tests.servers.temporal import TemporalServer
from tests.servers.waiting import eventually

CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kept", "namespace": "default"}}


async def read_kept(plane: ControlPlane) -> str:
    async with await KubeClient.connect(plane.kubeconfig) as client:
        return str((await client.get(CONFIGMAPS, "default", "kept"))["metadata"]["uid"])


async def keep(plane: ControlPlane) -> str:
    async with await KubeClient.connect(plane.kubeconfig) as client:
        return str((await client.create(CONFIGMAPS, CONFIG_MAP))["metadata"]["uid"])


class TestControlPlane:
    async def test_a_restart_keeps_data_address_and_credentials(self, restartable_control_plane: ControlPlane) -> None:
        plane = restartable_control_plane
        uid = await keep(plane)
        await plane.apiserver.stop()
        await plane.etcd.stop()
        await plane.etcd.start()
        await plane.apiserver.start()
        assert await read_kept(plane) == uid

    async def test_a_crash_keeps_data(self, restartable_control_plane: ControlPlane) -> None:
        plane = restartable_control_plane
        uid = await keep(plane)
        await plane.etcd.kill()
        await plane.apiserver.kill()
        await plane.etcd.start()
        await plane.apiserver.start()
        assert await read_kept(plane) == uid

    async def test_the_api_server_outlives_a_restart_of_etcd(self, restartable_control_plane: ControlPlane) -> None:
        plane = restartable_control_plane
        uid, process = await keep(plane), plane.apiserver.pid
        await restart(plane.etcd)
        await eventually(plane.apiserver.is_ready, what="the API server is ready again")
        assert await read_kept(plane) == uid
        assert plane.apiserver.pid == process

    async def test_another_user_may_only_what_rbac_allows(self, control_plane: ControlPlane, namespace: str) -> None:
        user = f"user-{uuid.uuid4().hex[:6]}"
        async with await KubeClient.connect(control_plane.kubeconfig_for(user, ["readers"])) as client:
            with pytest.raises(Forbidden, match=user):
                await client.list_page(CONFIGMAPS, namespace)
            rights = ("--verb=list", "--resource=configmaps", "--namespace", namespace)
            await control_plane.kubectl("create", "role", "reader", *rights)
            binding = ("--role=reader", "--group=readers", "--namespace", namespace)
            await control_plane.kubectl("create", "rolebinding", "reader", *binding)

            async def allowed() -> bool:
                try:
                    await client.list_page(CONFIGMAPS, namespace)
                except Forbidden:
                    return False
                return True

            await eventually(allowed, what="the role is known")

    async def test_nobody_is_let_in_without_a_certificate(self, control_plane: ControlPlane) -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{control_plane.url}/api/v1/namespaces", ssl=False) as answer,
        ):
            assert answer.status in {401, 403}

    async def test_crds_are_installed_again_without_harm(self, control_plane: ControlPlane, kube: KubeClient) -> None:
        names = await install_crds(kube)
        assert "packagerevisions.porch.kpt.dev" in names
        for resource in (PACKAGEREVISIONS, REPOSITORIES):
            await kube.list_page(resource, limit=1)

    async def test_a_port_in_use_is_told_from_the_log(self, server_binaries: dict[str, Path], tmp_path: Path) -> None:
        with socket.create_server((HOST, 0)) as taken:
            port = taken.getsockname()[1]
            process = etcd(server_binaries["etcd"], tmp_path / "etcd", log=tmp_path / "log", port=port)
            with pytest.raises(ProcessError, match="address already in use"):
                await process.start()
            assert not process.running

    async def test_an_api_server_without_etcd_is_not_ready(
        self, server_binaries: dict[str, Path], tmp_path: Path
    ) -> None:
        certificates = Certificates.ensure(tmp_path / "certs")
        process = kube_apiserver(
            server_binaries["kube-apiserver"],
            certificates,
            etcd_url=f"http://{HOST}:{free_port()}",
            log=tmp_path / "log",
            port=free_port(),
        )
        await process.spawn()
        try:
            assert not await process.is_ready()
        finally:
            await process.kill()


class TestTemporal:
    async def test_a_restart_keeps_runs_and_search_attributes(self, restartable_temporal: TemporalServer) -> None:
        server = restartable_temporal
        handle = await _start(await Client.connect(server.address))
        await restart(server.process)
        client = await Client.connect(server.address)
        assert (await client.get_workflow_handle(handle).describe()).status == WorkflowExecutionStatus.RUNNING
        await _until_found(client, handle)

    async def test_a_run_that_has_ended_is_listed_as_what_it_became(self, temporal_server: TemporalServer) -> None:
        """Also when it ended before the list was written for the first time."""
        client = await Client.connect(temporal_server.address)
        ended, goes_on = await _start(client), await _start(client)
        await client.get_workflow_handle(ended).terminate()

        async def listed(workflow_id: str, status: str) -> bool:
            query = f"WorkflowId = '{workflow_id}'"
            return [run.status.name async for run in client.list_workflows(query) if run.status] == [status]

        await eventually(lambda: listed(ended, "TERMINATED"), what="the run that has ended is listed")
        await eventually(lambda: listed(goes_on, "RUNNING"), what="the run that goes on is listed")
        await client.get_workflow_handle(goes_on).terminate()

    async def test_a_crash_keeps_runs(self, restartable_temporal: TemporalServer) -> None:
        server = restartable_temporal
        handle = await _start(await Client.connect(server.address))
        await server.process.kill()
        await server.process.start()
        described = await (await Client.connect(server.address)).get_workflow_handle(handle).describe()
        assert described.status == WorkflowExecutionStatus.RUNNING

    async def test_the_web_ui_answers(self, server_binaries: dict[str, Path], tmp_path: Path) -> None:
        ui_port = free_port()
        process = temporal(server_binaries["temporal"], log=tmp_path / "log", port=free_port(), ui_port=ui_port)
        try:
            await process.start()

            async def shown() -> bool:
                return await answers(f"http://{HOST}:{ui_port}/")

            await eventually(shown, what="the Web UI answers")
        finally:
            await process.kill()


async def _start(client: Client) -> str:
    """Start a run that no worker takes, with all search attributes; return its id."""
    handle = await client.start_workflow(
        "Nothing",
        id=f"run-{uuid.uuid4().hex}",
        task_queue="nobody",
        search_attributes=TypedSearchAttributes([SearchAttributePair(key, "blue") for key in Attributes().all]),
    )
    return handle.id


async def _until_found(client: Client, workflow_id: str) -> None:
    query = " AND ".join(f"{key.name} = 'blue'" for key in Attributes().all)

    async def found() -> bool:
        return workflow_id in [run.id async for run in client.list_workflows(query)]

    await eventually(found, what=f"a run is listed by {query}")
