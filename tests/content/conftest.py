import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cli.stack.processes import Process
from kube.client import KubeClient
from tests.content.direct import Direct, running_direct
from tests.content.world import Packages
from tests.servers.content import running_content_api
from tests.servers.control_plane import ControlPlane
from tests.servers.git import GitRepository, commit_files


@pytest.fixture(scope="session")
async def content_api(
    control_plane: ControlPlane, kube: KubeClient, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Process]:
    """The content API behind the shared API server."""
    async with running_content_api(control_plane, kube, tmp_path_factory.mktemp("content")) as process:
        yield process


@pytest.fixture
async def packages(kube: KubeClient, namespace: str, git_repository: GitRepository) -> Packages:
    """A registered Repository in a namespace of the test's own."""
    await asyncio.to_thread(commit_files, git_repository, "main", {"README.md": "packages of the test\n"})
    packages = Packages(kube, namespace, git_repository)
    await packages.register()
    return packages


@pytest.fixture
async def direct(packages: Packages, kube: KubeClient, tmp_path: Path) -> AsyncIterator[Direct]:
    """A content API in this process; the test is its front proxy."""
    async with running_direct(packages, tmp_path, kube) as running:
        yield running
