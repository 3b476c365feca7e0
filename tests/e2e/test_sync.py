"""Repositories: what Git holds appears as objects, again when it is asked for, and goes with the Repository."""

import asyncio

from temporalio.client import Client

from porchflow.kube.errors import NotFound
from porchflow.kube.kinds import PACKAGEREVISIONS, REPOSITORIES
from tests.e2e.conftest import register
from tests.e2e.system import System, is_ready
from tests.gitrepo.porch_layout import PorchRepository
from tests.servers.git import GitRepositories
from tests.servers.waiting import eventually


async def test_a_repository_is_synced_when_it_appears_when_asked_and_goes_with_its_objects(
    system: System, git_server: GitRepositories
) -> None:
    git, porch = git_server.create(), PorchRepository()
    porch.publish("web", 1, "first")
    porch.open("shop/cart", "rework")
    await asyncio.to_thread(porch.write, git.path)
    await register(system, "blueprints", git.url)

    await _names(system, "blueprints.web.first", "blueprints.web.main", "blueprints.shop.cart.rework")
    draft = await system.ready("blueprints.shop.cart.rework")
    assert "lastRun" not in draft["status"], "no workflow ran for it"

    porch.publish("web", 2, "second")
    await asyncio.to_thread(porch.write, git.path)
    await system.kubectl("annotate", "repository", "blueprints", "porchflow.dev/reconcile-now=one")
    await system.ready("blueprints.web.second")
    await eventually(lambda: _echo(system, "one"), what="the echo of the token")

    before = await asyncio.to_thread(git.refs)
    await system.kubectl("delete", "repository", "blueprints", "--timeout=60s")
    await _names(system)
    assert await asyncio.to_thread(git.refs) == before, "Git keeps what it holds"
    try:
        await system.kube.get(REPOSITORIES, system.namespace, "blueprints")
    except NotFound:
        return
    raise AssertionError("kubectl waited for the Repository")


async def _names(system: System, *wanted: str) -> None:
    async def there() -> bool:
        names = {obj["metadata"]["name"] async for obj in system.kube.list_all(PACKAGEREVISIONS, system.namespace)}
        return names == set(wanted)

    await eventually(there, what=f"exactly the objects {wanted}")


async def _echo(system: System, token: str) -> bool:
    found = await system.kube.get(REPOSITORIES, system.namespace, "blueprints")
    return bool((found.get("status") or {}).get("observedReconcileNow") == token)


async def test_a_push_is_noticed_and_what_stands_still_costs_no_run(
    idle_system: System, git_server: GitRepositories
) -> None:
    system = idle_system
    system.environment["PORCHFLOW_SYNC_SECONDS"] = "1"
    system.start_watcher()
    system.start_worker()
    moving, still, porch = git_server.create("moving"), git_server.create("still"), PorchRepository()
    porch.open("web", "first")
    await asyncio.to_thread(porch.write, moving.path)
    for name, git in (("moving", moving), ("still", still)):
        await register(system, name, git.url)
    await _names(system, "moving.web.first")
    temporal = await Client.connect(system.temporal_address, namespace=system.temporal_namespace)

    async def runs(kind: str, repository: str = "") -> int:
        count = 0
        async for run in temporal.list_workflows(f"WorkflowType = '{kind}'"):
            count += repository in run.id
        return count

    async def settled() -> bool:
        found = [await system.kube.get(REPOSITORIES, system.namespace, name) for name in ("moving", "still")]
        return all(is_ready(each) and each["status"].get("observedRefs") for each in found)

    await eventually(settled, what="both are synced")

    async def runs_in_three_listings() -> int:
        before, listings = await runs("RepositorySyncWorkflow", "/still"), await runs("RefListingWorkflow")

        async def listed_again() -> bool:
            return await runs("RefListingWorkflow") >= listings + 3

        await eventually(listed_again, what="three listings")
        return await runs("RepositorySyncWorkflow", "/still") - before

    async def quiet() -> bool:
        return await runs_in_three_listings() == 0

    await eventually(quiet, what="the syncs that began while the first one ran are over")
    porch.open("web", "second")
    await asyncio.to_thread(porch.write, moving.path)
    await _names(system, "moving.web.first", "moving.web.second")
    assert await runs_in_three_listings() == 0, "its refs stand still"
