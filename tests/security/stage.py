"""An attacker's stage: the real API server with its policies, users of one role each, a worker of its own rights."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from porchflow.activities.definitions import PhaseResult
from porchflow.api.names import REPOSITORY_API_VERSION
from porchflow.api.work.needs import Phase
from porchflow.gitrepo.git_store import GitStore
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.events import EventRecorder
from porchflow.kube.kinds import REPOSITORIES, SECRETS, Resource
from tests.activities.syncing import CountingClient, Syncs
from tests.activities.world import Interrupted, World
from tests.api.team import WORKER, Team
from tests.gitrepo.porch_layout import PorchRepository
from tests.servers.control_plane import ControlPlane
from tests.servers.git import GitRepositories, commit_files

CLUSTERBINDINGS = Resource(
    "rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False
)
NAME = "blueprints.web.v1"


@dataclass
class Stage:
    """A world whose worker is `porchflow-worker`, and the people who ask things of it."""

    world: World
    team: Team
    syncs: Syncs

    async def draft(self) -> Object:
        """Let the author make a draft, as she may, and the worker take it up."""
        await self.team.create(source={"init": {"description": "a web app"}})
        await self.run(Phase.SOURCE)
        return await self.world.get(NAME)

    async def proposed(self) -> Object:
        await self.draft()
        return await self.step(self.team.author, "Proposed")

    async def published(self) -> Object:
        await self.proposed()
        return await self.step(self.team.approver, "Published")

    async def step(self, client: KubeClient, lifecycle: str) -> Object:
        """Let somebody ask for a lifecycle, and the worker move it there."""
        await self.team.ask(client, lifecycle)
        await self.run(Phase.LIFECYCLE)
        return await self.world.get(NAME)

    async def run(self, phase: Phase) -> PhaseResult:
        return await self.world.run(phase, NAME)

    async def sync(self) -> None:
        await self.syncs.sync("blueprints")

    def refs(self) -> set[str]:
        return set(self.world.git.refs())


@contextlib.asynccontextmanager
async def staged(team: Team, plane: ControlPlane, git_server: GitRepositories, folder: Path) -> AsyncIterator[Stage]:
    """Set the stage in a team's namespace."""
    git = git_server.create()
    await asyncio.to_thread(commit_files, git, "main", {"README.md": "packages of the test\n"}, "first commit")
    await team.admin.apply(CLUSTERBINDINGS, _sees_policies(), field_manager="test")
    rights = plane.kubeconfig_for(WORKER)
    async with (
        await Interrupted.connect(rights) as worker,
        await CountingClient.connect(rights) as syncing,
        GitStore(folder / "git-cache", server_timeout=30) as store,
    ):
        events = EventRecorder(worker)
        world = World(team.admin, worker, team.namespace, git, store, events, folder)
        await world.register("blueprints", git.url)
        try:
            yield Stage(world, team, Syncs(world, syncing, PorchRepository()))
        finally:
            await events.aclose()


def _sees_policies() -> Object:
    """Give the worker, which the team binds in its namespace alone, what it may do in the cluster."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "porchflow-worker"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "porchflow-worker"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": WORKER}],
    }


def secret(namespace: str, hosts: str | None = None, name: str = "git-auth") -> Object:
    """Return a Secret with the company's password."""
    metadata: dict[str, Any] = {"name": name, "namespace": namespace}
    if hosts is not None:
        metadata["annotations"] = {"porchflow.dev/hosts": hosts}
    words = {"username": "team-a", "password": "company-word"}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": "kubernetes.io/basic-auth",
        "stringData": words,
    }


async def create_secret(stage: Stage, hosts: str | None = None, name: str = "git-auth") -> None:
    await stage.team.admin.create(SECRETS, secret(stage.team.namespace, hosts, name))


def repository(namespace: str, url: str, *, secret: str = "git-auth", name: str = "private") -> Object:
    return {
        "apiVersion": REPOSITORY_API_VERSION,
        "kind": REPOSITORIES.kind,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"type": "git", "git": {"repo": url, "branch": "main", "secretRef": {"name": secret}}},
    }


@dataclass
class Listener:
    """A server that writes down who shows it what, and has nothing to give."""

    shown: list[str] = field(default_factory=list)
    """The Authorization headers; empty for a request without one."""
    url: str = ""
    _runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        self.shown.append(request.headers.get("Authorization", ""))
        return web.Response(status=404)
