"""What is published stays in Git, unless an approver agreed that it goes."""

from typing import Any

import pytest

from porchflow.api.error_kinds import ErrorKind
from porchflow.api.names import DISCOVERED_ANNOTATION, FINALIZER
from porchflow.api.policies.deletion import CLEANERS
from porchflow.api.work.needs import Phase
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.errors import Forbidden
from porchflow.kube.kinds import CONFIGMAPS, NAMESPACES, PACKAGEREVISIONS
from tests.activities.test_finalize import is_gone
from tests.activities.world import reason
from tests.api.team import Team, refused
from tests.security.stage import NAME, Stage

TAG = "refs/tags/web/v1"
DANGLING = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "00000000-0000-0000-0000-000000000001"}]
LATEST = "porch.kpt.dev/latest-revision"


async def _metadata(team: Team, client: KubeClient, **fields: Any) -> Object:
    return await team.patch(client, {"metadata": fields})


# The annotation that says that a sync made an object


async def test_nobody_poses_as_found_in_git(team: Team) -> None:
    made = await team.create(annotations={DISCOVERED_ANNOTATION: "true", "kept": "yes"})
    assert made["metadata"]["annotations"] == {"kept": "yes"}
    for value in ("true", "again", None):
        changed = await team.annotate(team.author, discovered=value)
        assert DISCOVERED_ANNOTATION not in changed["metadata"]["annotations"]
    await team.annotate(team.worker, discovered="true")
    emptied = await _metadata(team, team.author, annotations=None)
    assert emptied["metadata"]["annotations"] == {DISCOVERED_ANNOTATION: "true"}
    gone = await team.annotate(team.worker, discovered=None)
    assert not gone["metadata"].get("annotations")


@pytest.mark.parametrize("lifecycle", ["Draft", "DeletionProposed"])
async def test_a_sync_writes_no_status_on_what_poses_as_found_in_git(stage: Stage, lifecycle: str) -> None:
    """As an author could make it before the annotation was guarded, and can where no policies are."""
    await stage.published()
    await stage.world.delete_whatever_it_takes(NAME)
    posing = {DISCOVERED_ANNOTATION: "true"}
    await stage.team.create(stage.team.admin, annotations=posing, lifecycle=lifecycle)
    await stage.sync()
    obj = await stage.world.get(NAME)
    assert "status" not in obj
    assert DISCOVERED_ANNOTATION not in (obj["metadata"].get("annotations") or {}), "its workflow looks at it now"
    if lifecycle == "Draft":
        await stage.team.delete(stage.team.author)
        await stage.run(Phase.FINALIZE)
        assert await is_gone(stage.world, NAME)
        assert TAG in stage.refs()


async def test_a_sync_writes_no_status_on_an_object_with_a_source_of_its_own(stage: Stage) -> None:
    await stage.draft()
    await stage.world.delete_whatever_it_takes(NAME)
    await stage.team.create(stage.team.admin, annotations={DISCOVERED_ANNOTATION: "true"}, source={"init": {}})
    await stage.sync()
    assert "status" not in await stage.world.get(NAME)


async def test_a_status_is_written_on_the_very_object_that_was_made(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody makes another one of its name in between."""
    await stage.published()
    await stage.world.delete_whatever_it_takes(NAME)
    create = stage.syncs.kube.create

    async def replaced(resource: Any, body: Any, **options: Any) -> Object:
        made = await create(resource, body, **options)
        if body["metadata"]["name"] == NAME:
            await stage.world.delete_whatever_it_takes(NAME)
            await stage.team.create()
        return made

    monkeypatch.setattr(stage.syncs.kube, "create", replaced)
    await stage.sync()
    obj = await stage.world.get(NAME)
    assert obj["spec"]["lifecycle"] == "Draft"
    assert "status" not in obj


async def test_a_sync_finishes_what_it_began(stage: Stage) -> None:
    await stage.published()
    await stage.world.delete_whatever_it_takes(NAME)
    await stage.team.create(stage.team.admin, annotations={DISCOVERED_ANNOTATION: "true"}, lifecycle="Published")
    await stage.sync()
    assert (await stage.world.get(NAME))["status"]["revision"] == 1


# The finalizer


async def test_the_finalizer_of_what_is_published_stays(stage: Stage) -> None:
    await stage.published()
    for finalizers in ([], ["example.com/mine"], None):
        words = await refused(_metadata(stage.team, stage.team.author, finalizers=finalizers), Forbidden)
        assert f"the finalizer {FINALIZER} keeps what is published: propose the deletion instead" in words
        await refused(_metadata(stage.team, stage.team.approver, finalizers=finalizers), Forbidden)
    await _metadata(stage.team, stage.team.author, finalizers=[FINALIZER, "example.com/mine"])
    await _metadata(stage.team, stage.team.author, finalizers=[FINALIZER])
    await stage.step(stage.team.author, "DeletionProposed")
    await refused(_metadata(stage.team, stage.team.author, finalizers=[]), Forbidden)
    await stage.team.delete(stage.team.approver)
    await stage.run(Phase.FINALIZE)
    assert await is_gone(stage.world, NAME)
    assert TAG not in stage.refs()


async def test_an_author_lets_her_own_draft_go(team: Team) -> None:
    await team.create()
    await _metadata(team, team.author, finalizers=[])


# Deletion in Git


@pytest.mark.parametrize("lifecycle", ["Draft", "Published", "DeletionProposed"])
async def test_nothing_goes_of_an_object_that_nobody_deletes(stage: Stage, lifecycle: str) -> None:
    """Who can start activities asks for it, with the intent that the workflow's history holds."""
    await (stage.draft() if lifecycle == "Draft" else stage.published())
    if lifecycle == "DeletionProposed":
        await stage.step(stage.team.author, "DeletionProposed")
    before = stage.refs()
    await stage.world.fails(Phase.FINALIZE, NAME, ErrorKind.SUPERSEDED)
    obj = await stage.world.get(NAME)
    assert FINALIZER in obj["metadata"]["finalizers"]
    assert reason(obj, "Ready") == "True/Ready"
    assert stage.refs() == before


@pytest.mark.parametrize("revision", [1, -1])
async def test_a_draft_takes_no_published_content_along_whatever_its_status_says(stage: Stage, revision: int) -> None:
    await stage.published()
    await stage.world.delete_whatever_it_takes(NAME)
    workspace = "v1" if revision > 0 else "main"
    name = f"blueprints.web.{workspace}"
    await stage.team.create(name=name, workspaceName=workspace)
    await stage.world.patch(name, {"status": {"revision": revision}}, subresource="status")
    before = stage.world.git.refs()
    await stage.team.author.delete(PACKAGEREVISIONS, stage.team.namespace, name)
    await stage.world.run(Phase.FINALIZE, name)
    assert await is_gone(stage.world, name)
    assert stage.world.git.refs() == before


# The garbage collector


async def test_the_owners_of_what_is_published_stay(stage: Stage) -> None:
    await stage.published()
    for client in (stage.team.author, stage.team.approver):
        for owners in (DANGLING, [], None):
            words = await refused(_metadata(stage.team, client, ownerReferences=owners), Forbidden)
            assert "the owners of what is published stay, because it is deleted with them" in words
    owners = (await stage.world.get(NAME))["metadata"]["ownerReferences"]
    await _metadata(stage.team, stage.team.worker, ownerReferences=[*owners, *DANGLING])
    collected = await _metadata(stage.team, stage.team.clients[CLEANERS[0]], ownerReferences=owners)
    assert collected["metadata"]["ownerReferences"] == owners, "it takes dead owners off"


async def test_who_deletes_already_does_not_agree_to_it_herself(stage: Stage) -> None:
    """The garbage collector deleted it, for whatever reason; then an author proposes its deletion."""
    await stage.published()
    await stage.team.delete(stage.team.clients[CLEANERS[0]])
    await stage.world.fails(Phase.FINALIZE, NAME, ErrorKind.STALLED)
    words = await refused(stage.team.ask(stage.team.author, "DeletionProposed"), Forbidden)
    assert "agreeing to the deletion of what is published is for approvers: ada@example.com" in words
    assert TAG in stage.refs()
    await stage.team.ask(stage.team.approver, "DeletionProposed")
    await stage.run(Phase.FINALIZE)
    assert TAG not in stage.refs()


async def test_what_is_deleted_for_want_of_its_owner_stays_in_git(stage: Stage) -> None:
    """However it lost its owner, and although its deletion was proposed: no approver agreed."""
    await stage.published()
    await stage.step(stage.team.author, "DeletionProposed")
    await _metadata(stage.team, stage.team.worker, ownerReferences=DANGLING)
    await stage.team.delete(stage.team.clients[CLEANERS[0]])
    await stage.run(Phase.FINALIZE)
    assert await is_gone(stage.world, NAME)
    assert TAG in stage.refs()
    assert ("Warning", "GitContentOrphaned", 1) in await stage.world.told(NAME)
    await stage.sync()
    assert (await stage.world.get(NAME))["status"]["revision"] == 1, "it is registered again"


async def test_what_is_deleted_with_its_namespace_stays_in_git(stage: Stage) -> None:
    await stage.published()
    await stage.step(stage.team.author, "DeletionProposed")
    await stage.team.admin.delete(NAMESPACES, None, stage.team.namespace)
    await stage.team.delete(stage.team.clients[CLEANERS[0]])
    await stage.run(Phase.FINALIZE)
    assert await is_gone(stage.world, NAME)
    assert TAG in stage.refs()


async def test_an_owner_that_came_while_it_was_a_draft_does_not_take_it_along(stage: Stage) -> None:
    """The worker sees to it that the Repository owns it before anything is published."""
    await stage.draft()
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "bait", "namespace": stage.team.namespace}}
    bait = await stage.team.admin.create(CONFIGMAPS, body)
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "bait", "uid": bait["metadata"]["uid"]}
    await _metadata(stage.team, stage.team.author, ownerReferences=[owner])
    await stage.step(stage.team.author, "Proposed")
    published = await stage.step(stage.team.approver, "Published")
    assert "Repository" in {each["kind"] for each in published["metadata"]["ownerReferences"]}


# The label of the newest revision


async def test_nobody_labels_a_draft_the_latest(team: Team) -> None:
    made = await team.create()
    labelled = await _metadata(team, team.author, labels={LATEST: "true", "team": "a"})
    assert labelled["metadata"]["labels"] == {"team": "a"}
    named = await _metadata(team, team.author, labels={LATEST: "false"})
    assert named["metadata"]["labels"] == {LATEST: "false", "team": "a"}, "as porchflow says of a new one"
    assert LATEST not in (made["metadata"].get("labels") or {})
    await _metadata(team, team.worker, labels={LATEST: "true"})
    for labels in ({LATEST: "false"}, {LATEST: None}, None):
        kept = await _metadata(team, team.author, labels=labels)
        assert kept["metadata"]["labels"][LATEST] == "true"
    born = await team.author.create(
        PACKAGEREVISIONS,
        {
            "apiVersion": "porch.kpt.dev/v1alpha2",
            "kind": "PackageRevision",
            "metadata": {"name": "blueprints.web.v2", "namespace": team.namespace, "labels": {LATEST: "true"}},
            "spec": {"repository": "blueprints", "packageName": "web", "workspaceName": "v2", "lifecycle": "Draft"},
        },
    )
    assert not born["metadata"].get("labels")
