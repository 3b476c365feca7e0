"""Deletion of what others were made from: told in an Event, and refused where the Namespace protects upstreams."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from click.testing import CliRunner

from porchflow.api.error_kinds import ErrorKind
from porchflow.api.names import UPSTREAMS_LABEL
from porchflow.api.work.needs import Phase
from porchflow.cli.main import main
from porchflow.kube.kinds import NAMESPACES
from tests.activities.syncing import Syncs
from tests.activities.upstream import clone_of, create_clone, publish, publish_upstream
from tests.activities.world import World, condition, reason
from tests.kptfiles import kptfile_text
from tests.servers.control_plane import ControlPlane
from tests.servers.git import GitRepository

UP, SHOP, EDGE = "blueprints.web.v1", "blueprints.shop.v1", "deployments.edge.v1"


async def protect(world: World) -> None:
    labels = {"metadata": {"labels": {UPSTREAMS_LABEL: "protected"}}}
    await world.kube.merge_patch(NAMESPACES, None, world.namespace, labels)


async def clone(world: World) -> str:
    name = await create_clone(world, clone_of(UP), package="edge")
    await world.settle(name)
    return name


async def with_subpackage(world: World) -> str:
    name = await world.create("v1", name=SHOP, packageName="shop")
    await world.settle(name)
    operation = {"subpackageDir": "parts/web", "cloneFrom": {"upstreamRef": {"name": UP}}}
    await world.patch(name, {"spec": {"subpackageOperation": operation}})
    await world.settle(name)
    return name


async def test_a_package_says_what_it_and_its_subpackages_were_made_from(
    world: World, deployments: GitRepository
) -> None:
    await publish_upstream(world)
    await with_subpackage(world)
    status = (await world.get(SHOP))["status"]
    lock = (await world.get(UP))["status"]["selfLock"]["git"]
    (found,) = status["subpackageUpstreams"]
    assert found == {"path": "parts/web", "upstream": {"type": "git", "git": lock}}
    assert status["upstreamKeys"] == [f"{world.git.url}|web|web/v1"]
    assert "dependencyTruncated" not in status
    await clone(world)
    status = (await world.get(EDGE))["status"]
    assert "subpackageUpstreams" not in status
    assert status["upstreamKeys"] == [f"{world.git.url}|web|web/v1"]
    assert (await world.get(UP))["metadata"]["annotations"]["porchflow.dev/upstream-of"] in {SHOP, EDGE}
    for lifecycle in ("Proposed", "Published"):
        await world.ask(SHOP, lifecycle)
        await world.settle(SHOP)
    assert (await world.get(SHOP))["status"]["subpackageUpstreams"] == [found]


async def test_many_subpackages_are_counted_up_to_a_bound(world: World) -> None:
    name = await world.draft()
    lock = f"{{type: git, git: {{repo: https://git.example.com/x, directory: d, ref: v1, commit: {'0' * 40}}}}}"
    kptfile = f"apiVersion: kpt.dev/v1\nkind: Kptfile\nmetadata: {{name: x}}\nupstreamLock: {lock}\n"
    await world.annotate(name, render_request=await world.push({f"p{n:03}/Kptfile": kptfile for n in range(101)}))
    await world.settle(name)
    status = (await world.get(name))["status"]
    assert len(status["subpackageUpstreams"]) == 100
    assert status["dependencyTruncated"] is True
    assert status["upstreamKeys"] == ["https://git.example.com/x|d|v1"]


async def test_a_sync_says_what_a_package_of_porch_and_its_subpackages_were_made_from(syncs: Syncs) -> None:
    def made_from(ref: str) -> str:
        lock = f"{{repo: https://git.example.com/x.git, directory: d, ref: {ref}, commit: {'0' * 40}}}"
        return f"upstream: {{type: git}}\nupstreamLock: {{type: git, git: {lock}}}\n"

    files = {"Kptfile": kptfile_text("web", made_from("v1")), "a/b/Kptfile": kptfile_text("b", made_from("v2"))}
    syncs.porch.publish("web", 1, "first", {**files, "c/Kptfile": kptfile_text("c"), "d/Kptfile": "kind: [\n"})
    syncs.porch.publish("plain", 1, "first")
    await syncs.written()
    await syncs.sync()
    objects = await syncs.objects()
    status = objects["porch.web.first"]["status"]
    assert [each["path"] for each in status["subpackageUpstreams"]] == ["a/b"]
    assert status["subpackageUpstreams"][0]["upstream"]["git"]["ref"] == "v2"
    assert status["upstreamKeys"] == [f"https://git.example.com/x.git|d|v{number}" for number in (1, 2)]
    assert not {"subpackageUpstreams", "upstreamKeys"} & objects["porch.plain.first"]["status"].keys()


@pytest.mark.parametrize("dependent", [clone, with_subpackage], ids=["clone", "subpackage"])
async def test_a_deletion_of_what_is_in_use_is_told(
    world: World, deployments: GitRepository, dependent: Callable[[World], Awaitable[str]]
) -> None:
    await publish_upstream(world)
    name = await dependent(world)
    await world.ask(UP, "DeletionProposed")
    await world.settle(UP)
    assert reason(await world.get(UP), "Ready") == "True/Ready"
    (event,) = [each for each in await world.events_on(UP) if each["reason"] == "UpstreamInUse"]
    assert event["message"].startswith(f"{name} depends on {UP}; they keep their content")
    await world.annotate(UP, reconcile_now="again")
    await world.settle(UP)
    (event,) = [each for each in await world.events_on(UP) if each["reason"] == "UpstreamInUse"]
    assert event["count"] == 1, "once it is proposed it was told"
    await world.delete(await world.get(UP))
    await world.run(Phase.FINALIZE, UP)
    assert not await world.exists(UP)


async def test_a_protected_upstream_stays_until_nothing_depends_on_it(world: World, deployments: GitRepository) -> None:
    await publish_upstream(world)
    await clone(world)
    await protect(world)
    refs = world.git.refs()
    await world.ask(UP, "DeletionProposed")
    said = await world.fails(Phase.LIFECYCLE, UP, ErrorKind.STALLED)
    assert said.startswith(f"the deletion is not proposed: {EDGE} depends on {UP}; delete or upgrade these first")
    assert reason(await world.get(UP), "Stalled") == "True/UpstreamInUse"
    assert world.git.refs() == refs
    await world.ask(UP, "Published")
    await world.settle(UP)
    assert reason(await world.get(UP), "Ready") == "True/Ready"

    await world.delete(await world.get(EDGE))
    await world.run(Phase.FINALIZE, EDGE)
    await world.ask(UP, "DeletionProposed")
    await world.settle(UP)
    assert reason(await world.get(UP), "Ready") == "True/Ready"
    await clone(world)
    await world.delete(await world.get(UP))
    said = await world.fails(Phase.FINALIZE, UP, ErrorKind.TRANSIENT)
    assert f"not deleted yet: {EDGE} depends on {UP}" in said
    assert condition(await world.get(UP), "Ready") is not None
    await world.delete(await world.get(EDGE))
    await world.run(Phase.FINALIZE, EDGE)
    await world.run(Phase.FINALIZE, UP)
    assert not await world.exists(UP)


async def test_copies_of_the_same_package_hold_nothing(world: World) -> None:
    await publish_upstream(world)
    await protect(world)
    await world.create("v2", source={"copyFrom": {"name": UP}})
    await world.settle("blueprints.web.v2")
    await publish(world, "blueprints.web.v2", world.git.url, "drafts/web/v2")
    await world.ask(UP, "DeletionProposed")
    await world.settle(UP)
    assert reason(await world.get(UP), "Ready") == "True/Ready"


# The command


class Command:
    """Runs `porchflow deps`."""

    def __init__(self, world: World, plane: ControlPlane) -> None:
        self._arguments = ["--namespace", world.namespace, "--kubeconfig", str(plane.kubeconfig)]

    async def run(self, *arguments: str) -> tuple[int, list[list[str]], str]:
        done = await asyncio.to_thread(CliRunner().invoke, main, ["deps", *arguments, *self._arguments])
        assert done.exc_info is None or done.exc_info[0] is SystemExit, done.exc_info
        return done.exit_code, [line.split() for line in done.stdout.splitlines()], done.stderr


@pytest.mark.usefixtures("deployments")
async def test_the_command_shows_upstreams_and_dependents(world: World, control_plane: ControlPlane) -> None:
    await publish_upstream(world)
    await clone(world)
    await with_subpackage(world)
    command = Command(world, control_plane)
    commit = (await world.get(UP))["status"]["selfLock"]["git"]["commit"][:12]
    assert await command.run(SHOP) == (
        0,
        [["PATH", "UPSTREAM", "REF", "COMMIT"], ["parts/web", UP, "web/v1", commit]],
        "",
    )
    table = [["NAME", "PATH", "LIFECYCLE"], [SHOP, "parts/web", "Draft"], [EDGE, ".", "Draft"]]
    assert await command.run(UP, "--dependents") == (0, table, "")
    assert await command.run(UP, "--can-delete") == (1, table, "")
    code, (words,), _ = await command.run(UP)
    assert (code, words[:2]) == (0, [UP, "was"])
    code, (words,), _ = await command.run(f"packagerevision.porch.kpt.dev/{SHOP}", "--can-delete")
    assert (code, " ".join(words)) == (0, f"{SHOP} can be deleted: nothing depends on it")
    code, (words,), _ = await command.run(SHOP, "--dependents")
    assert (code, " ".join(words)) == (0, f"nothing depends on {SHOP}")
    code, _, told = await command.run("none")
    assert (code, "there is no PackageRevision 'none'" in told) == (2, True)
    code, _, told = await command.run(UP, "--dependents", "--can-delete")
    assert (code, "ask one" in told) == (2, True)

    await world.patch(SHOP, {"status": {"dependencyTruncated": True, "subpackageUpstreams": None}}, "status")
    await world.delete_whatever_it_takes(EDGE)
    code, lines, _ = await command.run(UP, "--can-delete")
    assert (code, lines[-1][:2]) == (2, ["perhaps", f"{SHOP}:"])
