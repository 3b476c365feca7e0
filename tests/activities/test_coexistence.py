"""Beside a running Porch each side touches its own Repositories only."""

import pytest

from porchflow.api.error_kinds import ErrorKind
from porchflow.api.names import V1ALPHA2_MIGRATION_ANNOTATION
from porchflow.api.work.needs import Phase
from porchflow.kube.errors import NotFound
from porchflow.kube.kinds import REPOSITORIES
from tests.activities.world import World, reason


async def annotate(world: World, value: str | None) -> None:
    patch = {"metadata": {"annotations": {V1ALPHA2_MIGRATION_ANNOTATION: value}}}
    await world.kube.merge_patch(REPOSITORIES, world.namespace, "blueprints", patch)


@pytest.mark.parametrize("value", [None, "false"])
async def test_an_object_of_porchs_repository_waits(world: World, value: str | None) -> None:
    world.beside_porch = True
    await annotate(world, value)
    name, refs = await world.create(), world.git.refs()
    message = await world.fails(Phase.SOURCE, name, ErrorKind.WAITING)
    assert "left to Porch until it has the annotation porch.kpt.dev/v1alpha2-migration: true" in message
    assert reason(await world.get(name), "Ready") == "False/RepositoryNotMigrated"
    assert world.git.refs() == refs
    before = (await world.facts(name)).context
    await annotate(world, "true")
    assert (await world.facts(name)).context != before, "the annotation alone lets it go on at once"
    await world.run(Phase.SOURCE, name)
    assert "refs/heads/drafts/web/v1" in world.git.refs()


async def test_an_object_that_is_deleted_after_the_way_back_takes_nothing_from_git(world: World) -> None:
    world.beside_porch = True
    await annotate(world, "true")
    name = await world.create()
    await world.run(Phase.SOURCE, name)
    refs = world.git.refs()
    await annotate(world, None)
    await world.delete(await world.get(name))
    await world.run(Phase.FINALIZE, name)
    with pytest.raises(NotFound):
        await world.get(name)
    assert world.git.refs() == refs
    assert "refs/heads/drafts/web/v1" in refs


async def test_without_a_porch_every_repository_is_ours(world: World) -> None:
    name = await world.create()
    await world.run(Phase.SOURCE, name)
    assert "refs/heads/drafts/web/v1" in world.git.refs()
