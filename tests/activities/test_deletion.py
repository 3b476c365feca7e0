"""Deletions that meet something odd: a Repository that went or came, a wrong name, finalizers of others."""

import pytest

from porchflow.api.error_kinds import ErrorKind
from porchflow.api.work.needs import Phase
from porchflow.kube.client import Object
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


async def owners_of(world: World, name: str) -> list[Object]:
    found: list[Object] = (await world.get(name))["metadata"]["ownerReferences"]
    return found


async def test_its_repository_controls_an_object_and_waits_for_it(world: World) -> None:
    name = await world.draft()
    [owner] = await owners_of(world, name)
    assert (owner["kind"], owner["controller"], owner["blockOwnerDeletion"]) == ("Repository", True, True)


@pytest.mark.parametrize("missing", [{"controller": None}, {"blockOwnerDeletion": None}, {"controller": False}])
async def test_an_incomplete_owner_reference_is_completed(world: World, missing: Object) -> None:
    name = await world.draft()
    whole = await owners_of(world, name)
    incomplete = {key: value for key, value in {**whole[0], **missing}.items() if value is not None}
    await world.patch(name, {"metadata": {"ownerReferences": [incomplete]}})
    await world.ask(name, "Proposed")
    await world.run(Phase.LIFECYCLE, name)
    assert await owners_of(world, name) == whole


async def test_a_sync_completes_owner_references_and_then_rests(world: World) -> None:
    name = await world.published()
    whole = await owners_of(world, name)
    incomplete = {key: value for key, value in whole[0].items() if key not in {"controller", "blockOwnerDeletion"}}
    await world.patch(name, {"metadata": {"ownerReferences": [incomplete]}})
    await world.sync()
    assert await owners_of(world, name) == whole
    before = (await world.get(name))["metadata"]["resourceVersion"]
    await world.kube.merge_patch(
        REPOSITORIES,
        world.namespace,
        "blueprints",
        {"metadata": {"annotations": {"porchflow.dev/reconcile-now": "t"}}},
    )
    await world.sync()
    assert (await world.get(name))["metadata"]["resourceVersion"] == before


async def test_another_controller_keeps_its_place(world: World) -> None:
    other = {
        "apiVersion": "config.porch.kpt.dev/v1alpha1",
        "kind": "PackageVariant",
        "name": "of-many",
        "uid": "1b4e28ba-2fa1-41d2-883f-0016d3cca427",
        "controller": True,
    }
    name = await world.create()
    await world.patch(name, {"metadata": {"ownerReferences": [other]}})
    await world.run(Phase.SOURCE, name)
    [first, ours] = await owners_of(world, name)
    assert (first, ours["kind"], ours["blockOwnerDeletion"]) == (other, "Repository", True)
    assert "controller" not in ours
    before = (await world.get(name))["metadata"]["ownerReferences"]
    await world.ask(name, "Proposed")
    await world.run(Phase.LIFECYCLE, name)
    assert await owners_of(world, name) == before
