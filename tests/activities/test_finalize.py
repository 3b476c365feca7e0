"""Deletion ends: Git is cleared, or what hinders it is named and there is a way out. Nothing else is ever deleted."""

import pytest

from porchflow.api.error_kinds import ErrorKind
from porchflow.api.names import ORPHAN_ANNOTATION
from porchflow.api.work.intent import intent_key
from porchflow.api.work.needs import Phase
from porchflow.kube.errors import NotFound
from porchflow.kube.kinds import NAMESPACES
from tests.activities.world import World, condition, reason
from tests.servers.git import GitRepositories


async def orphan(world: World, name: str, value: str = "true") -> None:
    await world.patch(name, {"metadata": {"annotations": {ORPHAN_ANNOTATION: value}}})


async def is_gone(world: World, name: str) -> bool:
    try:
        await world.get(name)
    except NotFound:
        return True
    return False


@pytest.mark.parametrize(
    ("status", "wanted", "says"),
    [(401, "GitAuthFailed", "asks for credentials"), (503, "GitUnavailable", "503"), (404, "GitNotFound", "404")],
)
async def test_what_hinders_is_named_tried_again_and_has_a_way_out(
    world: World, git_server: GitRepositories, status: int, wanted: str, says: str
) -> None:
    name = await world.draft()
    refs = world.git.refs()
    await world.delete(await world.get(name))
    git_server.faults.fail_next(1000, status)
    message = await world.fails(Phase.FINALIZE, name, ErrorKind.TRANSIENT)
    assert says in message
    obj = await world.get(name)
    assert (reason(obj, "Ready"), reason(obj, "Stalled")) == (f"False/{wanted}", "")
    ready, reconciling = condition(obj, "Ready"), condition(obj, "Reconciling")
    assert ready is not None
    assert ready.message == message
    assert message.endswith(f"set the annotation {ORPHAN_ANNOTATION}=true")
    assert reconciling is not None
    assert "trying again" in reconciling.message
    before = intent_key(obj)
    await orphan(world, name)
    assert intent_key(await world.get(name)) != before, "the annotation ends the wait for the next attempt"
    await world.run(Phase.FINALIZE, name)
    assert await is_gone(world, name)
    assert world.git.refs() == refs
    assert ("Warning", "GitContentOrphaned", 1) in await world.told(name)


async def test_a_deletion_goes_on_when_the_server_is_back(world: World, git_server: GitRepositories) -> None:
    name = await world.draft()
    await world.delete(await world.get(name))
    git_server.faults.refuse_auth = True
    await world.fails(Phase.FINALIZE, name, ErrorKind.TRANSIENT)
    git_server.faults.refuse_auth = False
    await world.run(Phase.FINALIZE, name)
    assert await is_gone(world, name)
    assert set(world.git.refs()) == {"refs/heads/main"}


async def test_a_branch_that_the_server_keeps_keeps_the_object(world: World) -> None:
    name = await world.draft()
    world.git.hook("update", 'case "$1" in refs/heads/drafts/*) echo "drafts are kept here" >&2; exit 1;; esac')
    await world.delete(await world.get(name))
    message = await world.fails(Phase.FINALIZE, name, ErrorKind.TRANSIENT)
    assert "drafts are kept here" in message
    world.git.remove_hook("update")
    await world.run(Phase.FINALIZE, name)
    assert await is_gone(world, name)


async def test_only_the_word_true_orphans(world: World) -> None:
    name = await world.draft()
    await orphan(world, name, "false")
    await world.delete(await world.get(name))
    await world.run(Phase.FINALIZE, name)
    assert set(world.git.refs()) == {"refs/heads/main"}


async def test_the_annotation_does_not_replace_the_consent_to_delete_a_published_revision(world: World) -> None:
    name = await world.published()
    refs = world.git.refs()
    await orphan(world, name)
    await world.delete(await world.get(name))
    message = await world.fails(Phase.FINALIZE, name, ErrorKind.STALLED)
    assert "DeletionProposed" in message
    await world.ask(name, "DeletionProposed")
    await world.run(Phase.FINALIZE, name)
    assert await is_gone(world, name)
    assert world.git.refs() == refs


async def test_the_annotation_means_nothing_while_nobody_deletes(world: World) -> None:
    name = await world.draft()
    await orphan(world, name)
    await world.ask(name, "Proposed")
    await world.run(Phase.LIFECYCLE, name)
    assert "refs/heads/proposed/web/v1" in world.git.refs()


async def test_a_deletion_takes_nothing_of_others(world: World) -> None:
    """Refs that look alike, and a branch of somebody else below the same package, stay."""
    name = await world.draft()
    commit = world.git.refs()["refs/heads/main"]
    others = ("refs/heads/drafts/web/v10", "refs/heads/drafts/website/v1", "refs/heads/web/v1", "refs/tags/web/v1")
    for ref in others:
        world.git.git("update-ref", ref, commit)
    await world.delete(await world.get(name))
    await world.run(Phase.FINALIZE, name)
    assert await is_gone(world, name)
    assert set(world.git.refs()) == {"refs/heads/main", *others}


async def test_deleting_the_latest_makes_the_one_before_it_the_latest(world: World) -> None:
    first, second = await world.published("v1"), await world.published("v2")
    await world.ask(second, "DeletionProposed")
    await world.run(Phase.LIFECYCLE, second)
    labels = [
        (await world.get(name))["metadata"]["labels"]["porch.kpt.dev/latest-revision"] for name in (first, second)
    ]
    assert labels == ["false", "true"], "it is the latest until it is gone"
    await world.delete(await world.get(second))
    await world.run(Phase.FINALIZE, second)
    assert (await world.get(first))["metadata"]["labels"]["porch.kpt.dev/latest-revision"] == "true"
    world.newest = first
    third = await world.published("v3")
    assert (await world.get(third))["status"]["revision"] == 3, "a number is never used twice"


async def test_a_draft_that_its_namespace_takes_along_stays_in_git(world: World) -> None:
    name = await world.draft()
    refs = world.git.refs()
    # The collector takes the objects of a Namespace in any order: the Repository is still there.
    await world.kube.delete(NAMESPACES, None, world.namespace)
    await world.delete(await world.get(name))
    await world.run(Phase.FINALIZE, name)
    assert await is_gone(world, name)
    assert world.git.refs() == refs
