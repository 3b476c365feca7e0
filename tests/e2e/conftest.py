import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    ListWorkflowExecutionsRequest,
    RegisterNamespaceRequest,
)
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError

from porchflow.devstack.git.gitserver import create_bare_repository
from porchflow.kube.client import KubeClient
from porchflow.kube.kinds import REPOSITORIES
from tests.e2e.packages import git
from tests.e2e.system import System
from tests.servers.control_plane import ControlPlane
from tests.servers.faulty import FaultyGitServer
from tests.servers.git import GitRepositories, GitRepository, commit_files
from tests.servers.temporal import TemporalServer
from tests.servers.waiting import eventually


@pytest.fixture
def namespace(guarded_namespace: str) -> str:
    """Everything here runs under the admission policies."""
    return guarded_namespace


@pytest.fixture
async def temporal_namespace(temporal_server: TemporalServer) -> str:
    """A Temporal namespace of the test's own, so that no other test's worker takes its tasks."""
    client = await Client.connect(temporal_server.address)
    name = f"test-{uuid.uuid4().hex[:12]}"
    retention = Duration(seconds=86400)
    await client.workflow_service.register_namespace(
        RegisterNamespaceRequest(namespace=name, workflow_execution_retention_period=retention)
    )

    async def known() -> bool:
        try:
            await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=name))
            await client.workflow_service.list_workflow_executions(_list_request(name))
        except RPCError:
            return False
        return True

    await eventually(known, what=f"Temporal knows the namespace {name}")
    return name


def _list_request(namespace: str) -> ListWorkflowExecutionsRequest:
    return ListWorkflowExecutionsRequest(namespace=namespace, page_size=1)


@pytest.fixture
async def git_repository(git_server: GitRepositories) -> GitRepository:
    """A repository with one commit on its main branch."""
    repository = git_server.create()
    await asyncio.to_thread(commit_files, repository, "main", {"README.md": "packages of the test\n"}, "first commit")
    return repository


@dataclass(frozen=True)
class PrivateRepository:
    url: str
    username: str
    password: str


@pytest.fixture
async def private_repository(tmp_path: Path) -> AsyncIterator[PrivateRepository]:
    """A repository on a server that asks for a password."""
    root = tmp_path / "private-git"
    root.mkdir()
    bare = create_bare_repository(root, "private", durable=False)
    clone = tmp_path / "seed"
    git("clone", "-q", str(bare), str(clone), cwd=tmp_path)
    git("commit", "-q", "--allow-empty", "-m", "first commit", cwd=clone)
    git("push", "-q", "origin", "HEAD:refs/heads/main", cwd=clone)
    async with FaultyGitServer(root, username="porchflow", password="the-right-word") as server:
        yield PrivateRepository(server.repository_url("private"), "porchflow", "the-right-word")


@pytest.fixture
async def temporal(temporal_server: TemporalServer, temporal_namespace: str) -> Client:
    return await Client.connect(
        temporal_server.address, namespace=temporal_namespace, data_converter=pydantic_data_converter
    )


@pytest.fixture
async def idle_system(
    control_plane: ControlPlane,
    kube: KubeClient,
    namespace: str,
    temporal_server: TemporalServer,
    temporal_namespace: str,
    tmp_path: Path,
) -> AsyncIterator[System]:
    """A system whose processes the test starts itself."""
    system = System(
        kube=kube,
        control_plane=control_plane,
        namespace=namespace,
        temporal_address=temporal_server.address,
        temporal_namespace=temporal_namespace,
        state=tmp_path,
    )
    try:
        yield system
    finally:
        system.stop_all()


@pytest.fixture
async def system(idle_system: System) -> System:
    """A system with one watcher and one worker."""
    idle_system.start_watcher()
    idle_system.start_worker()
    return idle_system


@pytest.fixture
async def repository(idle_system: System, git_repository: GitRepository) -> str:
    """The name of a registered Repository, backed by a fresh Git repository."""
    await register(idle_system, "blueprints", git_repository.url)
    return "blueprints"


async def register(system: System, name: str, url: str, **git: Any) -> None:
    await system.kube.create(
        REPOSITORIES,
        {
            "apiVersion": "config.porch.kpt.dev/v1alpha1",
            "kind": "Repository",
            "metadata": {"name": name, "namespace": system.namespace},
            "spec": {"type": "git", "git": {"repo": url, "branch": "main", **git}},
        },
    )
