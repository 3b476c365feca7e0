"""`porchflow upgrade` on a real API server and real Git."""

import asyncio
import json

import pytest
from click.testing import CliRunner

from porchflow.api.work.needs import Phase
from porchflow.cli.main import main
from tests.activities.conftest import deployments, world
from tests.activities.test_upgrades import BRANCH, MERGED_CONFIG, ROOT, clone, remove_upstream
from tests.activities.upstream import publish
from tests.activities.world import World
from tests.e2e.packages import show
from tests.servers.control_plane import ControlPlane
from tests.servers.git import GitRepository

__all__ = ["clone", "deployments", "world"]

NAME = "deployments.shop.web.v1"


class Command:
    """Runs the command; nobody works on what it creates but the test."""

    def __init__(self, world: World, plane: ControlPlane) -> None:
        self._arguments = ["--namespace", world.namespace, "--kubeconfig", str(plane.kubeconfig), "--timeout", "0"]

    async def run(self, *arguments: str) -> tuple[int, str, str]:
        done = await asyncio.to_thread(CliRunner().invoke, main, ["upgrade", *arguments, *self._arguments])
        assert done.exc_info is None or done.exc_info[0] is SystemExit, done.exc_info
        return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def command(world: World, control_plane: ControlPlane) -> Command:
    return Command(world, control_plane)


async def test_the_names_are_found_and_the_draft_holds_the_merge(
    world: World, clone: GitRepository, command: Command
) -> None:
    code, out, told = await command.run(NAME)
    assert (code, told) == (0, "")
    assert out == (
        f"deployments.shop.web.v2 created: {NAME} with what changed from blueprints.web.v1 to blueprints.web.v2\n"
    )
    await world.run(Phase.SOURCE, "deployments.shop.web.v2")
    assert show(clone.path, BRANCH, f"{ROOT}/settings.yaml") == MERGED_CONFIG
    code, _, told = await command.run("deployments.shop.web.v2")
    assert (code, "is Draft: an upgrade starts from a published revision" in told) == (2, True)

    await publish(world, "deployments.shop.web.v2", clone.url, BRANCH)
    code, out, _ = await command.run("deployments.shop.web.v2")
    assert (code, "there is nothing to upgrade to" in out) == (0, True)
    code, out, _ = await command.run(NAME, "--dry-run", "--strategy", "copy-merge")
    body = json.loads(out)
    assert (code, body["metadata"]["name"]) == (0, "deployments.shop.web.v3"), "the next free number"
    assert body["spec"]["source"]["upgrade"]["strategy"] == "copy-merge"
    assert not await world.exists("deployments.shop.web.v3")


async def test_the_old_upstream_may_be_gone(world: World, clone: GitRepository, command: Command) -> None:
    await remove_upstream(world)
    code, out, _ = await command.run(NAME, "--workspace", "v2")
    assert (code, "from blueprints.web.v1 to blueprints.web.v2" in out) == (0, True)
    await world.run(Phase.SOURCE, "deployments.shop.web.v2")
    assert show(clone.path, BRANCH, f"{ROOT}/settings.yaml") == MERGED_CONFIG


@pytest.mark.usefixtures("clone")
async def test_what_cannot_be_upgraded(command: Command) -> None:
    code, _, told = await command.run("blueprints.web.v1")
    assert (code, "only a clone has one" in told) == (2, True)
    code, _, told = await command.run(NAME, "--to", "deployments.shop.web.v1")
    assert (code, "there are blueprints.web.v1, blueprints.web.v2" in told) == (2, True)
    code, _, told = await command.run("deployments.shop.web.v9")
    assert (code, "there is no PackageRevision" in told) == (2, True)
    code, _, told = await command.run(NAME, "--workspace", "v1")
    assert (code, "already exists" in told) == (2, True)
