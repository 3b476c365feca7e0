"""A phase that ends its worker: counted, isolated, Stalled; its neighbours lose one attempt at most."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from porchflow.api.models.conditions import Reason
from porchflow.api.names import RECONCILE_NOW_ANNOTATION
from porchflow.kube.kinds import REPOSITORIES
from tests.e2e.conftest import register
from tests.e2e.killers import Killers
from tests.e2e.packages import DEPLOYMENT, KPTFILE, push_content
from tests.e2e.system import System, condition, is_ready
from tests.servers.git import GitRepositories, GitRepository, commit_files
from tests.servers.waiting import eventually

_PATIENCE = 240
"""Seconds until a test gives up: Temporal notices a lost worker after ten, and a child process starts in some more."""


@pytest.fixture
def killers(idle_system: System, tmp_path: Path) -> Killers:
    folder = tmp_path / "killers"
    folder.mkdir()
    idle_system.environment["KILLERS"] = str(folder)
    return Killers(folder)


def start_worker(system: System, name: str) -> None:
    system.start(name, "worker", module="tests.e2e.killers")


async def take_over(system: System) -> None:
    """Wait until worker `one` is dead, then start another one."""
    victim = system.processes["one"]
    await eventually(lambda: victim.poll() is not None, what="the worker is dead", timeout=_PATIENCE)
    start_worker(system, "two")


async def stalled(system: System, name: str, token: str = "") -> dict[str, Any]:
    def told(obj: dict[str, Any]) -> bool:
        answered = (obj.get("status") or {}).get("observedReconcileNow", "") == token
        return answered and condition(obj, "Stalled").get("reason") == Reason.PHASE_CRASHED

    return await system.until(name, "is Stalled for its deaths", told, timeout=_PATIENCE)


async def attempts_lost(temporal: Client, workflow: str) -> int:
    """Return how many attempts of any kind an object's run lost with a worker."""
    lost = {EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT, EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT}
    history = await temporal.get_workflow_handle(workflow).fetch_history()
    return Counter(event.event_type in lost for event in history.events)[True]


@pytest.mark.timeout(550)
async def test_a_source_that_ends_its_worker_is_stalled_and_its_neighbours_are_not(
    idle_system: System, killers: Killers, git_repository: GitRepository, temporal: Client
) -> None:
    system = idle_system
    neighbour = await system.neighbour()
    await register(system, "blueprints", git_repository.url)
    system.start("watcher", "watcher", "--namespaces", f"{system.namespace},{neighbour.namespace}")
    await register(neighbour, "packages", git_repository.url, directory="other")
    killers.hold(held=True)
    killers.kill("source", "killer", "abort", after=4)
    start_worker(system, "one")
    beside = [await neighbour.create_draft("packages", f"beside-{number}") for number in range(4)]
    killer = await system.create_draft("blueprints", "killer")
    victim = system.processes["one"]
    await eventually(lambda: victim.poll() is not None, what="the worker is dead", timeout=_PATIENCE)
    killers.hold(held=False)
    start_worker(system, "two")
    for name in beside:
        await neighbour.ready(name, timeout=_PATIENCE)
        assert await attempts_lost(temporal, neighbour.workflow_id(name)) == 1
    obj = await stalled(system, killer)
    assert killers.deaths == ["source of killer in worker", "source of killer in child", "source of killer in child"]
    message = condition(obj, "Stalled")["message"]
    assert "3 processes in a row" in message
    assert "SIGABRT" in message
    assert RECONCILE_NOW_ANNOTATION in message
    assert system.processes["two"].poll() is None

    # Asked again, it costs no worker, and once it is mended it goes on.
    await system.patch(killer, {"metadata": {"annotations": {RECONCILE_NOW_ANNOTATION: "again"}}})
    await stalled(system, killer, "again")
    assert Counter(killers.deaths)["source of killer in worker"] == 1
    killers.spare("source", "killer")
    await system.patch(killer, {"metadata": {"annotations": {RECONCILE_NOW_ANNOTATION: "mended"}}})
    await system.ready(killer, timeout=_PATIENCE)
    assert system.processes["two"].poll() is None


@pytest.mark.timeout(550)
@pytest.mark.parametrize(
    ("how", "said"), [("eat", "it needed more than"), ("kill", "the system killed it"), ("spin", "it took more than")]
)
async def test_a_rendering_that_ends_its_worker_is_stalled(
    idle_system: System,
    repository: str,
    killers: Killers,
    git_repository: GitRepository,
    tmp_path: Path,
    how: str,
    said: str,
) -> None:
    system = idle_system
    system.start_watcher()
    start_worker(system, "one")
    name = await system.create_draft(repository, "web")
    await system.ready(name, timeout=_PATIENCE)
    killers.kill("render", "web", how)
    files = {"Kptfile": KPTFILE, "deployment.yaml": DEPLOYMENT}
    pushed = await push_content(git_repository.url, "drafts/web/v1", "web", files, tmp_path)
    await system.patch(name, {"metadata": {"annotations": {"porch.kpt.dev/render-request": pushed}}})
    await take_over(system)
    obj = await stalled(system, name)
    assert killers.deaths == ["render of web in worker", "render of web in child", "render of web in child"]
    assert said in condition(obj, "Stalled")["message"]
    assert condition(obj, "Rendered")["reason"] == Reason.PHASE_CRASHED
    # Newer content may be the mend; it is tried isolated.
    killers.spare("render", "web")
    pushed = await push_content(git_repository.url, "drafts/web/v1", "web", {"README.md": "mended\n"}, tmp_path)
    await system.patch(name, {"metadata": {"annotations": {"porch.kpt.dev/render-request": pushed}}})
    await system.until(
        name,
        "is rendered",
        lambda it: it["status"].get("observedPrrResourceVersion") == pushed and is_ready(it),
        timeout=_PATIENCE,
    )
    assert system.processes["two"].poll() is None


@pytest.mark.timeout(550)
async def test_a_sync_that_ends_its_worker_is_stalled(
    idle_system: System, killers: Killers, git_repository: GitRepository, git_server: GitRepositories
) -> None:
    system = idle_system
    system.start_watcher()
    killers.kill("sync", "bad", "kill")
    await register(system, "bad", git_repository.url)
    start_worker(system, "one")
    await take_over(system)

    async def status_of(name: str, kind: str, token: str = "") -> dict[str, Any]:
        async def told() -> dict[str, Any] | None:
            obj = await system.kube.get(REPOSITORIES, system.namespace, name)
            answered = (obj.get("status") or {}).get("observedReconcileNow", "") == token
            return condition(obj, kind) if answered and condition(obj, kind).get("status") == "True" else None

        return await eventually(told, what=f"{name} is {kind}", timeout=_PATIENCE)

    stalled = await status_of("bad", "Stalled")
    assert stalled["reason"] == Reason.PHASE_CRASHED
    assert "the sync ended 3 processes in a row" in stalled["message"]
    ends = ["sync of bad in worker", "sync of bad in child", "sync of bad in child"]
    assert killers.deaths == ends
    # Others are synced, and another sync puts no worker at risk.
    other = git_server.create()
    await asyncio.to_thread(commit_files, other, "main", {"README.md": "packages\n"}, "first commit")
    await register(system, "good", other.url)
    await status_of("good", "Ready")
    killers.spare("sync", "bad")
    again = {"metadata": {"annotations": {RECONCILE_NOW_ANNOTATION: "mended"}}}
    await system.kube.merge_patch(REPOSITORIES, system.namespace, "bad", again)
    await status_of("bad", "Ready", "mended")
    assert killers.deaths == ends
    assert system.processes["two"].poll() is None
