"""Rolling workers to a version whose workflow orders other commands, and back: every open run's object converges."""

import asyncio

import pytest
from temporalio.api.workflowservice.v1 import SetWorkerDeploymentCurrentVersionRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from porchflow.workflows.ids import Installation
from tests.e2e.conftest import register
from tests.e2e.system import System, condition
from tests.servers.git import GitRepositories, commit_files
from tests.servers.waiting import eventually

_PATIENCE = 180
NEXT = "tests.e2e.next_worker"


async def promote(temporal: Client, build_id: str, ours: Installation = Installation("e2e")) -> None:  # noqa: B008 - frozen
    """Make a version the current one, as `temporal worker deployment set-current-version` does."""
    request = SetWorkerDeploymentCurrentVersionRequest(
        namespace=temporal.namespace, deployment_name=ours.deployment, build_id=build_id
    )

    async def promoted() -> bool:
        try:
            await temporal.workflow_service.set_worker_deployment_current_version(request)
        except RPCError as error:
            # The server knows a version once its workers ask for work.
            if error.status not in {RPCStatusCode.NOT_FOUND, RPCStatusCode.FAILED_PRECONDITION}:
                raise
            return False
        return True

    await eventually(promoted, what=f"{build_id} is the current version", timeout=_PATIENCE)


class Opened:
    """Objects whose runs are open: one is suspended, one waits for its Repository, one is tried again."""

    def __init__(self, system: System, git_server: GitRepositories, label: str) -> None:
        self._system = system
        self._faults = git_server.faults
        self._git = git_server
        self._late = f"late-{label}"
        self.names: list[str] = []
        self._label = label

    async def open(self) -> None:
        system = self._system
        suspended = await system.create_draft("blueprints", f"suspended-{self._label}")
        await system.ready(suspended, timeout=_PATIENCE)
        until = {"porchflow.dev/suspend-until": "2100-01-01T00:00:00Z"}
        await system.patch(suspended, {"metadata": {"annotations": until}})
        await system.until(suspended, "is suspended", lambda obj: condition(obj, "Suspended"), timeout=_PATIENCE)
        waiting = await system.create_draft(self._late, "web")
        await system.until(
            waiting,
            "waits",
            lambda obj: condition(obj, "Ready").get("reason") == "RepositoryNotFound",
            timeout=_PATIENCE,
        )
        self._faults.fail_next(1_000_000, 503)
        tried = await system.create_draft("blueprints", f"tried-{self._label}")
        await system.until(
            tried,
            "is tried again",
            lambda obj: condition(obj, "Ready").get("reason") == "GitUnavailable",
            timeout=_PATIENCE,
        )
        self.names = [suspended, waiting, tried]

    async def mend(self) -> None:
        system = self._system
        self._faults.fail_next(0)
        late = self._git.create()
        await asyncio.to_thread(commit_files, late, "main", {"README.md": "packages\n"}, "first commit")
        await register(system, self._late, late.url)
        await system.patch(
            self.names[0],
            {"metadata": {"annotations": {"porchflow.dev/suspend-until": None}}, "spec": {"lifecycle": "Proposed"}},
        )
        for name in self.names:
            await system.ready(name, timeout=_PATIENCE)


@pytest.mark.timeout(550)
@pytest.mark.parametrize("versioned", [True, False], ids=["versioned", "unversioned"])
async def test_rolling_to_the_next_version_and_back_wedges_nothing(
    idle_system: System,
    repository: str,
    git_server: GitRepositories,
    temporal: Client,
    *,
    versioned: bool,
) -> None:
    system = idle_system
    system.start("watcher", "watcher", "--namespaces", system.namespace, "--relist-seconds", "1.5")

    async def roll(name: str, build_id: str, module: str) -> None:
        flags = ("--build-id", build_id) if versioned else ()
        system.start(name, "worker", *flags, module=module)
        if versioned:
            await promote(temporal, build_id)
        for old in [each for each in system.processes if each not in {"watcher", name}]:
            process = system.processes.pop(old)
            process.terminate()
            await eventually(lambda: process.poll() is not None, what="the old worker ends", timeout=_PATIENCE)  # noqa: B023

    await roll("first", "n", "porchflow.cli.main")
    before = Opened(system, git_server, "n")
    await before.open()
    await roll("second", "n-1", NEXT)
    await before.mend()
    after = Opened(system, git_server, "next")
    await after.open()
    await roll("third", "n", "porchflow.cli.main")
    await after.mend()
