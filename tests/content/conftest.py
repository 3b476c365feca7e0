import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from porchflow.kube.client import KubeClient
from tests.content.direct import Direct, running_direct
from tests.content.world import Packages
from tests.servers.git import GitRepository, commit_files


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
