import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from gitrepo.packages import GitStore
from kube.client import KubeClient
from kube.events import EventRecorder
from tests.activities.upstream import push_tree
from tests.activities.world import Interrupted, World
from tests.servers.control_plane import ControlPlane
from tests.servers.git import GitRepositories, GitRepository, commit_files


@pytest.fixture
async def world(
    control_plane: ControlPlane, namespace: str, git_server: GitRepositories, tmp_path: Path
) -> AsyncIterator[World]:
    git = git_server.create()
    await asyncio.to_thread(commit_files, git, "main", {"README.md": "packages of the test\n"}, "first commit")
    async with (
        await KubeClient.connect(control_plane.kubeconfig) as kube,
        await Interrupted.connect(control_plane.kubeconfig) as worker,
        GitStore(tmp_path / "git-cache", server_timeout=30) as store,
    ):
        events = EventRecorder(kube)
        world = World(kube, worker, namespace, git, store, events, tmp_path)
        await world.register("blueprints", git.url)
        yield world
        await events.aclose()


@pytest.fixture
async def other(world: World, control_plane: ControlPlane) -> AsyncIterator[World]:
    """The same world as another worker works on it."""
    async with await Interrupted.connect(control_plane.kubeconfig) as worker:
        yield replace(world, worker=worker)


@pytest.fixture
async def deployments(world: World, git_server: GitRepositories) -> GitRepository:
    """A second repository, registered as `deployments`, below a directory."""
    repository = git_server.create()
    await push_tree(repository.url, "main", lambda clone: (clone / "README.md").write_text("live\n"), world.folder)
    await world.register("deployments", repository.url, directory="live")
    return repository
