"""Deletions that meet something odd: a Repository that went or came, a wrong name, finalizers of others."""

from porchflow.api.error_kinds import ErrorKind
from porchflow.api.needs import Phase
from porchflow.kube.kinds import REPOSITORIES
from tests.activities.world import World


async def test_deletion_of_a_draft_whose_repository_is_gone(world: World) -> None:
    name = await world.draft()
    await world.delete(await world.get(name))
    await world.kube.delete(REPOSITORIES, world.namespace, "blueprints")
    await world.run(Phase.FINALIZE, name)
    assert [each async for each in world.names()] == []
    assert "refs/heads/drafts/web/v1" in world.git.refs(), "Git is not ours to touch any more"


async def test_deletion_with_a_repository_that_came_back_a_moment_ago(world: World) -> None:
    name = await world.draft()
    await world.delete(await world.get(name))
    await world.kube.delete(REPOSITORIES, world.namespace, "blueprints")
    activities = world.activities()
    assert await activities._phases._repositories.raw(world.namespace, "blueprints") is None
    await world.register("blueprints", world.git.url)
    assert await activities._phases._repositories.raw(world.namespace, "blueprints") is not None
    await world.run(Phase.FINALIZE, name)
    assert "refs/heads/drafts/web/v1" not in world.git.refs()


async def test_a_published_revision_is_not_deleted_until_that_is_agreed(world: World) -> None:
    name = await world.published()
    await world.delete(await world.get(name))
    assert "set spec.lifecycle to DeletionProposed" in await world.fails(Phase.FINALIZE, name, ErrorKind.STALLED)
    await world.ask(name, "DeletionProposed")
    await world.run(Phase.FINALIZE, name)
    assert "refs/tags/web/v1" not in world.git.refs()


async def test_an_object_of_a_wrong_name_can_be_deleted(world: World) -> None:
    name = await world.create(name="something-else")
    await world.patch(name, {"metadata": {"finalizers": ["porch.kpt.dev/packagerevisions"]}})
    await world.draft()
    await world.delete(await world.get(name))
    await world.run(Phase.FINALIZE, name)
    assert [each async for each in world.names()] == ["blueprints.web.v1"]
    assert "refs/heads/drafts/web/v1" in world.git.refs(), "which is another object's"


async def test_deletion_keeps_the_finalizers_of_others(world: World) -> None:
    name = await world.draft()
    await world.patch(name, {"metadata": {"finalizers": ["porch.kpt.dev/packagerevisions", "example.com/mine"]}})
    await world.delete(await world.get(name))
    await world.run(Phase.FINALIZE, name)
    assert (await world.get(name))["metadata"]["finalizers"] == ["example.com/mine"]


async def test_a_repository_that_was_made_again_owns_its_packages(world: World) -> None:
    name = await world.draft()
    await world.kube.delete(REPOSITORIES, world.namespace, "blueprints")
    made = await world.register("blueprints", world.git.url)
    await world.annotate(name, reconcile_now="t1")
    await world.run(Phase.LIFECYCLE, name)
    owners = (await world.get(name))["metadata"]["ownerReferences"]
    assert [owner["uid"] for owner in owners] == [made["metadata"]["uid"]]
