"""Documented behaviours of Porch that no other test shows, on a real API server and real Git."""

import asyncio
from pathlib import Path

from porchflow.api.work.needs import Phase
from tests.activities.conftest import world
from tests.activities.world import World, entered, reason
from tests.kubectl import kubectl_with
from tests.servers.control_plane import ControlPlane
from tests.servers.git import GitRepositories

__all__ = ["world"]


async def test_kubectl_waits_until_it_is_ready(world: World, control_plane: ControlPlane) -> None:
    name = await world.create()
    run = kubectl_with(control_plane.kubeconfig)
    wait = ["wait", "--for=condition=Ready", f"packagerevisions/{name}", "-n", world.namespace, "--timeout=60s"]
    waiting = asyncio.create_task(asyncio.to_thread(run, *wait))
    await world.settle(name)
    assert "condition met" in await waiting
    await world.annotate(name, render_request=await world.push({"Kptfile": "kind: [\n"}))
    await world.settle(name)
    waited = await asyncio.to_thread(run, *wait[:1], "--for=condition=Ready=false", *wait[2:])
    assert "condition met" in waited


async def test_the_lifecycle_is_the_users(world: World) -> None:
    """No manager of the controller ever owns it."""
    name = await world.create()
    for lifecycle in ("Draft", "Proposed", "Published", "DeletionProposed", "Published"):
        await world.ask(name, lifecycle)
        await world.settle(name)
        obj = await world.get(name)
        assert (obj["spec"]["lifecycle"], reason(obj, "Ready")) == (lifecycle, "True/Ready")
        own = [each for each in obj["metadata"]["managedFields"] if "f:lifecycle" in each["fieldsV1"].get("f:spec", {})]
        assert not [each["manager"] for each in own if each["manager"].startswith("packagerev-controller")]


async def _publish(world: World, name: str) -> int:
    await world.settle(name)
    for lifecycle in ("Proposed", "Published"):
        await world.ask(name, lifecycle)
        await world.settle(name)
    return int((await world.get(name))["status"]["revision"])


async def test_a_nested_package_and_its_next_revisions(world: World) -> None:
    name, package = "blueprints.net.edge.router.v1", "net/edge/router"
    assert await _publish(world, await world.create(name=name, packageName=package)) == 1
    for number in (2, 3):
        source = {"copyFrom": {"name": f"blueprints.net.edge.router.v{number - 1}"}}
        name = f"blueprints.net.edge.router.v{number}"
        await world.create(f"v{number}", name=name, packageName=package, source=source)
        assert await _publish(world, name) == number
        assert f"refs/tags/{package}/v{number}" in world.git.refs()


async def test_what_was_deleted_does_not_come_back_and_its_workspace_can_be_used_again(world: World) -> None:
    name = await world.create()
    assert await _publish(world, name) == 1
    await world.ask(name, "DeletionProposed")
    await world.settle(name)
    await world.delete(await world.get(name))
    await world.run(Phase.FINALIZE, name)
    assert "refs/tags/web/v1" not in world.git.refs()
    await world.sync()
    assert [each async for each in world.names()] == ["blueprints.web.main"], "what the branch holds"
    await world.create(source={"copyFrom": {"name": "blueprints.web.main"}})
    assert await _publish(world, name) == 2, "a number is never used twice"
    assert "refs/tags/web/v2" in world.git.refs()


async def test_two_namespaces_with_equal_names_are_apart(
    world: World, control_plane: ControlPlane, git_server: GitRepositories, tmp_path: Path
) -> None:
    other = f"{world.namespace}-other"
    await control_plane.kubectl("create", "namespace", other)
    (tmp_path / "other").mkdir()
    async with entered(control_plane, other, git_server, tmp_path / "other") as beside:
        name = await world.create()
        assert await beside.create() == name
        await world.settle(name)
        assert "status" not in await beside.get(name)
        assert not [ref for ref in beside.git.refs() if "drafts" in ref]
        await beside.settle(name)
        await world.delete(await world.get(name))
        await world.run(Phase.FINALIZE, name)
        assert not await world.exists(name)
        assert reason(await beside.get(name), "Ready") == "True/Ready"
        assert [ref for ref in beside.git.refs() if "drafts" in ref]
