"""Three workers on the same repositories: nothing twice, and nothing lost with one of them."""

import asyncio
from typing import Any

from porchflow.kube.kinds import PACKAGEREVISIONS, REPOSITORIES
from tests.e2e.conftest import register
from tests.e2e.system import System, is_ready
from tests.gitrepo.porch_layout import PorchRepository
from tests.servers.git import GitRepositories
from tests.servers.waiting import eventually

PACKAGES = 60
WORKERS = ("worker-1", "worker-2", "worker-3")


async def test_three_workers_sync_and_publish_and_one_is_killed(
    idle_system: System, git_server: GitRepositories
) -> None:
    system, gits = idle_system, [git_server.create() for _ in range(2)]
    for git in gits:
        porch = PorchRepository()
        for number in range(PACKAGES):
            porch.publish(f"app-{number}", 1, "first")
        await asyncio.to_thread(porch.write, git.path)
    system.start_watcher()
    # Two on one machine, and one elsewhere.
    for worker, cache in zip(WORKERS, ("shared", "shared", "alone"), strict=True):
        system.start_worker(worker, PORCHFLOW_SYNC_WRITES="2", GIT_CACHE_DIR=str(system.state / cache))
    for name, git in zip(("one", "two"), gits, strict=True):
        await register(system, name, git.url)

    await eventually(lambda: _count(system, 20), what="the first objects", timeout=60)
    system.kill("worker-2")
    names = [await system.create_draft(repository, "new", f"w{n}") for repository in ("one", "two") for n in range(3)]
    await eventually(lambda: _all_ready(system, 2 * 2 * PACKAGES + len(names)), what="every object", timeout=90)

    for lifecycle in ("Proposed", "Published"):
        await asyncio.gather(*(system.lifecycle(name, lifecycle) for name in names))
        for name in names:
            await system.until(name, lifecycle, lambda obj, wanted=lifecycle: _is(obj, wanted))
    for git in gits:
        refs = await asyncio.to_thread(git.refs)
        assert sorted(ref for ref in refs if ref.startswith("refs/tags/new/")) == [
            f"refs/tags/new/v{number}" for number in (1, 2, 3)
        ]
        messages = [await asyncio.to_thread(git.git, "log", "-1", "--format=%B", f"new/v{n}") for n in (1, 2, 3)]
        assert sorted(each.split('"workspaceName":"')[1][:2] for each in messages) == ["w0", "w1", "w2"]
    for name in ("one", "two"):
        await system.kubectl("annotate", "repository", name, "porchflow.dev/reconcile-now=last")
    await eventually(lambda: _synced(system, "last"), what="the last syncs", timeout=60)
    objects = [obj async for obj in system.kube.list_all(PACKAGEREVISIONS, system.namespace)]
    assert len(objects) == 2 * (2 * PACKAGES + 3 + 1), "the packages, three revisions and the new one on the branch"
    assert all(is_ready(obj) for obj in objects)
    latest = [obj["metadata"]["name"] for obj in objects if _latest(obj) and obj["spec"]["packageName"] == "new"]
    assert len(latest) == 2


def _is(obj: dict[str, Any], lifecycle: str) -> bool:
    return is_ready(obj) and bool(obj["spec"]["lifecycle"] == lifecycle)


def _latest(obj: dict[str, Any]) -> bool:
    return bool(obj["metadata"]["labels"]["porch.kpt.dev/latest-revision"] == "true")


async def _count(system: System, least: int) -> bool:
    return len([obj async for obj in system.kube.list_all(PACKAGEREVISIONS, system.namespace)]) >= least


async def _all_ready(system: System, count: int) -> bool:
    objects = [obj async for obj in system.kube.list_all(PACKAGEREVISIONS, system.namespace)]
    return len(objects) == count and all(is_ready(obj) for obj in objects)


async def _synced(system: System, token: str) -> bool:
    found = [obj async for obj in system.kube.list_all(REPOSITORIES, system.namespace)]
    return all((obj.get("status") or {}).get("observedReconcileNow") == token for obj in found)
