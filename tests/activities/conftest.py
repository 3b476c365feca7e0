from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.activities.syncing import CountingClient, Syncs
from tests.activities.upstream import fill, push_tree
from tests.activities.world import Interrupted, World, entered
from tests.gitrepo.porch_layout import PorchRepository
from tests.servers.control_plane import ControlPlane
from tests.servers.git import GitRepositories, GitRepository


@pytest.fixture
async def world(
    control_plane: ControlPlane, namespace: str, git_server: GitRepositories, tmp_path: Path
) -> AsyncIterator[World]:
    async with entered(control_plane, namespace, git_server, tmp_path) as world:
        yield world


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


@pytest.fixture
async def syncs(world: World, control_plane: ControlPlane, git_server: GitRepositories) -> AsyncIterator[Syncs]:
    """The world with an empty repository, registered as `porch`, to be written as Porch does."""
    empty = git_server.create()
    await world.register("porch", empty.url)
    async with await CountingClient.connect(control_plane.kubeconfig) as kube:
        yield Syncs(replace(world, git=empty), kube, PorchRepository())


@pytest.fixture
async def catalog(git_server: GitRepositories, world: World) -> GitRepository:
    """A repository that is not registered: a package at `apps/web`, and the same at the root."""
    repository = git_server.create()

    def content(clone: Path) -> None:
        fill(clone / "apps/web")
        fill(clone)

    await push_tree(repository.url, "main", content, world.folder, tag="apps/web/v1")
    return repository
