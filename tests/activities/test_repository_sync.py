"""What a Repository says of its syncs: schedules, places, doubles, suspension, deletion."""

import asyncio
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from porchflow.api.error_kinds import ErrorKind
from porchflow.api.names import ADMISSION_LABEL, RECONCILE_NOW_ANNOTATION, REPOSITORY_FINALIZER
from porchflow.api.work.needs import Phase
from porchflow.kube.client import Object
from porchflow.kube.errors import NotFound
from porchflow.kube.kinds import REPOSITORIES
from porchflow.watcher.syncs import asks_for_sync
from tests.activities.syncing import Syncs
from tests.activities.world import condition, in_need, reason
from tests.conftest import create_namespace


async def change(syncs: Syncs, patch: Object, name: str = "porch") -> Object:
    return await syncs.world.kube.merge_patch(REPOSITORIES, syncs.world.namespace, name, patch)


async def refuses(syncs: Syncs, kind: ErrorKind, name: str = "porch") -> str:
    with pytest.raises(ApplicationError) as raised:
        await syncs.sync(name)
    assert raised.value.type == kind
    return raised.value.message


async def test_a_sync_answers_what_was_asked(syncs: Syncs) -> None:
    syncs.porch.publish("web", 1, "first")
    await syncs.written()
    assert asks_for_sync(await syncs.repository())
    await syncs.sync()
    repository = await syncs.repository()
    status = repository["status"]
    assert reason(repository, "Ready") == "True/Ready"
    assert status["packageCount"] == 2
    assert status["gitCommitHash"] == syncs.world.git.refs()["refs/heads/main"]
    assert repository["metadata"]["finalizers"] == [REPOSITORY_FINALIZER]
    last, following = (datetime.fromisoformat(status[name]) for name in ("lastFullSyncTime", "nextFullSyncTime"))
    assert following - last == timedelta(hours=1)
    assert not asks_for_sync(repository)

    await syncs.ask_now("token")
    assert asks_for_sync(await syncs.repository())
    await syncs.sync()
    assert (await syncs.repository())["status"]["observedReconcileNow"] == "token"
    assert not asks_for_sync(await syncs.repository())


async def test_objects_are_compared_after_a_while_though_no_ref_moved(syncs: Syncs) -> None:
    syncs.porch.publish("web", 1, "first")
    await syncs.written()
    await syncs.sync(full_sync_seconds=0)
    await syncs.world.delete_whatever_it_takes("porch.web.first")
    assert (await syncs.sync(full_sync_seconds=0)).written == 1
    assert not in_need(await syncs.world.get("porch.web.first"))


async def test_a_cron_schedule_says_when_objects_are_compared_next(syncs: Syncs) -> None:
    await change(syncs, {"spec": {"sync": {"schedule": "0 3 * * *"}}})
    await syncs.sync()
    following = datetime.fromisoformat((await syncs.repository())["status"]["nextFullSyncTime"])
    assert (following.hour, following.minute) == (3, 0)


async def test_a_bad_cron_schedule_is_told_and_the_repository_is_synced_all_the_same(syncs: Syncs) -> None:
    syncs.porch.publish("web", 1, "first")
    await syncs.written()
    await change(syncs, {"spec": {"sync": {"schedule": "every now and then"}}})
    result = await syncs.sync()
    repository = await syncs.repository()
    assert result.written == 2
    assert reason(repository, "Stalled") == "True/InvalidSchedule"
    told = condition(repository, "Ready")
    assert told is not None
    assert "'every now and then' is no cron expression" in told.message
    await change(syncs, {"spec": {"sync": {"schedule": "@hourly"}}})
    await syncs.sync()
    repository = await syncs.repository()
    assert (reason(repository, "Ready"), reason(repository, "Stalled")) == ("True/Ready", "")


async def test_a_sync_at_a_time_happens_once_and_leaves_the_spec(syncs: Syncs) -> None:
    await syncs.sync()
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert asks_for_sync(await change(syncs, {"spec": {"sync": {"runOnceAt": now}}}))
    await syncs.sync()
    repository = await syncs.repository()
    assert "runOnceAt" not in repository["spec"].get("sync", {})
    assert repository["status"]["observedRunOnceAt"] == now
    assert not asks_for_sync(repository)


async def test_a_sync_at_a_later_time_waits(syncs: Syncs) -> None:
    later = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    await change(syncs, {"spec": {"sync": {"runOnceAt": later}}})
    await syncs.sync()
    repository = await syncs.repository()
    assert repository["spec"]["sync"]["runOnceAt"] == later
    assert "observedRunOnceAt" not in repository["status"]
    assert not asks_for_sync(repository)


async def test_a_suspended_repository_is_left_alone_and_says_why(syncs: Syncs) -> None:
    syncs.porch.publish("web", 1, "first")
    await syncs.written()
    suspended = await change(syncs, {"metadata": {"annotations": {"porchflow.dev/suspend": "the audit"}}})
    assert asks_for_sync(suspended)
    assert (await syncs.sync()).summary == "suspended"
    repository = await syncs.repository()
    assert await syncs.objects() == {}
    assert (reason(repository, "Ready"), reason(repository, "Suspended")) == ("False/Suspended", "True/Suspended")
    assert not asks_for_sync(repository)

    resumed = await change(syncs, {"metadata": {"annotations": {"porchflow.dev/suspend": None}}})
    assert asks_for_sync(resumed)
    await syncs.sync()
    repository = await syncs.repository()
    assert (reason(repository, "Ready"), reason(repository, "Suspended")) == ("True/Ready", "")
    assert len(await syncs.objects()) == 2


@pytest.mark.parametrize("directory", ["/", "live", "live/eu"])
async def test_the_younger_of_two_repositories_for_one_place_is_refused(syncs: Syncs, directory: str) -> None:
    syncs.porch.publish("web", 1, "first")
    await syncs.written()
    await syncs.sync()
    first, second = "porch", "double"
    url = syncs.world.git.url.removesuffix(".git").replace("http://", "HTTP://")
    await syncs.world.register(second, f"{url}/", directory=directory)
    message = await refuses(syncs, ErrorKind.STALLED, second)
    assert f"Repository '{first}'" in message
    assert f"(/) and this one's (/{directory.strip('/')})" in message
    assert reason(await syncs.repository(second), "Stalled") == "True/DuplicateRepository"
    assert len(syncs.cached()) == 1

    await change(syncs, {"metadata": {"finalizers": []}}, first)
    await syncs.world.kube.delete(REPOSITORIES, syncs.world.namespace, first)
    await syncs.sync(second)
    assert reason(await syncs.repository(second), "Ready") == "True/Ready"


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [("a", "a/b", True), ("a/b", "a", True), ("a", "ab", False), ("a", "b", False), ("a/b", "a/c", False)],
)
async def test_directories_overlap_by_whole_names(syncs: Syncs, one: str, other: str, overlap: bool) -> None:
    url = syncs.world.git.url
    syncs.porch.publish("web", 1, "first")
    await syncs.written()
    await syncs.world.register("one", url, directory=one)
    await syncs.world.register("other", url, directory=other)
    await syncs.sync("one")
    if overlap:
        assert f"(/{one}) and this one's (/{other})" in await refuses(syncs, ErrorKind.STALLED, "other")
    else:
        await syncs.sync("other")


async def test_who_never_worked_is_in_nobodys_way(syncs: Syncs) -> None:
    """Else whoever knows an address could keep its owner from registering it."""
    world = syncs.world
    await world.register("squatter", f"{world.git.url}?x", branch="main", secretRef={"name": "none"})
    await refuses(syncs, ErrorKind.WAITING, "squatter")
    await world.register("owner", world.git.url)
    syncs.porch.publish("web", 1, "first")
    await syncs.written()
    await syncs.sync("owner")
    assert reason(await syncs.repository("owner"), "Ready") == "True/Ready"
    patch = {"spec": {"git": {"secretRef": None}}}
    await world.kube.merge_patch(REPOSITORIES, world.namespace, "squatter", patch)
    assert "'owner'" in await refuses(syncs, ErrorKind.STALLED, "squatter"), "who worked first was there first"


async def test_of_two_new_ones_one_gives_way(syncs: Syncs) -> None:
    """Both begin before either has worked."""
    world = syncs.world
    syncs.porch.publish("web", 1, "first")
    await syncs.written()
    await world.register("twin", world.git.url)
    await asyncio.gather(syncs.sync(), syncs.another().sync("twin"), return_exceptions=True)
    for name in ("porch", "twin"):
        await change(syncs, {"metadata": {"annotations": {RECONCILE_NOW_ANNOTATION: "again"}}}, name)
    results = await asyncio.gather(syncs.sync(), syncs.another().sync("twin"), return_exceptions=True)
    assert sorted(isinstance(result, ApplicationError) for result in results) == [False, True]


async def test_two_namespaces_may_register_one_repository(syncs: Syncs) -> None:
    world = syncs.world
    syncs.porch.publish("web", 1, "first")
    await syncs.written()
    await syncs.sync()
    theirs = replace(world, namespace=await create_namespace(world.kube, {ADMISSION_LABEL: "disabled"}))
    await theirs.register("catalog", world.git.url.removesuffix(".git"), directory="/")
    others = replace(syncs, world=theirs)
    assert (await others.sync("catalog")).revisions == 2
    await change(syncs, {"metadata": {"annotations": {RECONCILE_NOW_ANNOTATION: "now"}}})
    await syncs.sync()
    syncs.porch.publish("web", 2, "second")
    await syncs.written()
    await syncs.sync()
    for repository in (await syncs.repository(), await others.repository("catalog")):
        assert (reason(repository, "Ready"), reason(repository, "Shared")) == ("True/Ready", "True/RegisteredElsewhere")
        text = str(repository["status"]["conditions"])
        assert not {"catalog", "porch", world.namespace, theirs.namespace} & set(re.split(r"[^a-z0-9-]+", text.lower()))


@pytest.mark.parametrize("repo", ["https://me:s3cret@h:port/x", "file:///etc", "h:../x", "git.example.com/x"])
async def test_an_address_that_is_none_is_named_where_it_stands(syncs: Syncs, repo: str) -> None:
    await syncs.world.register("bad", repo)
    message = await refuses(syncs, ErrorKind.STALLED, "bad")
    assert message.startswith("spec.git.repo: the address ")
    assert "s3cret" not in message
    assert reason(await syncs.repository("bad"), "Stalled") == "True/InvalidRepository"


async def test_packages_of_a_refused_repository_wait(syncs: Syncs) -> None:
    stalled = {"type": "Stalled", "status": "True", "reason": "DuplicateRepository", "message": "m"}
    stalled |= {"lastTransitionTime": "2026-01-01T00:00:00Z"}
    status = {"status": {"conditions": [stalled]}}
    await syncs.world.kube.merge_patch(REPOSITORIES, syncs.world.namespace, "blueprints", status, subresource="status")
    name = await syncs.world.create()
    assert "is not used" in await syncs.world.fails(Phase.SOURCE, name, ErrorKind.WAITING)


@pytest.mark.parametrize(
    ("git", "told"),
    [
        ({"branch": "../main"}, "'../main'"),
        ({"branch": "missing"}, "missing"),
        ({"directory": "a/../../etc"}, "a/../../etc"),
    ],
)
async def test_a_place_that_cannot_be_is_told(syncs: Syncs, git: dict[str, Any], told: str) -> None:
    syncs.porch.publish("web", 1, "first")
    await syncs.written()
    await syncs.world.register("odd", syncs.world.git.url, **git)
    assert told in await refuses(syncs, ErrorKind.STALLED, "odd")
    repository = await syncs.repository("odd")
    assert repository["status"]["observedGeneration"] == repository["metadata"]["generation"]
    assert not asks_for_sync(repository)
    before = repository["metadata"]["resourceVersion"]
    await refuses(syncs, ErrorKind.STALLED, "odd")
    assert (await syncs.repository("odd"))["metadata"]["resourceVersion"] == before, "said once"


async def test_an_empty_repository_gets_its_branch_when_asked(syncs: Syncs) -> None:
    await syncs.sync()
    assert reason(await syncs.repository(), "Ready") == "True/Ready"
    assert syncs.world.git.refs() == {}
    await syncs.world.register("initialised", syncs.world.git.url, branch="trunk", createBranch=True)
    await syncs.sync("initialised")
    assert list(syncs.world.git.refs()) == ["refs/heads/trunk"]


async def test_a_deployment_repository_shows_in_its_objects(syncs: Syncs) -> None:
    syncs.porch.publish("web", 1, "first")
    await syncs.written()
    await change(syncs, {"spec": {"deployment": True}})
    await syncs.sync()
    assert [obj["status"]["deployment"] for obj in (await syncs.objects()).values()] == [True, True]
    await change(syncs, {"spec": {"deployment": False}})
    await syncs.sync()
    objects = await syncs.objects()
    assert [obj["status"].get("deployment", False) for obj in objects.values()] == [False, False]
    assert all(obj["status"]["selfLock"]["git"]["commit"] for obj in objects.values())
    await syncs.ask_now("again")
    assert (await syncs.sync()).written == 0


async def test_what_cannot_be_an_object_is_told_and_the_rest_appears(syncs: Syncs) -> None:
    syncs.porch.publish("web", 1, "first")
    syncs.porch.publish("Big_Name", 1, "first")
    syncs.porch.publish("a/b.c", 1, "v1")
    syncs.porch.publish("a/b/c", 1, "v1")
    syncs.porch.publish("broken", 1, "first", {"Kptfile": "metadata: [\n"})
    await syncs.written()
    await syncs.sync()
    assert {"porch.web.first", "porch.web.main", "porch.broken.first", "porch.broken.main"} < set(await syncs.objects())
    repository = await syncs.repository()
    assert reason(repository, "Ready") == "True/RegisteredInPart"
    told = condition(repository, "Ready")
    assert told is not None
    left_out, _, shown = told.message.partition(". 2 shown without what the Kptfile says: ")
    assert left_out.startswith("4 left out: ")
    assert "Big_Name" in left_out
    assert "broken" not in left_out
    assert shown.count("broken/Kptfile: error reading Kptfile: yaml: line 2") == 2, (
        "once for the tag, once for the branch"
    )
    assert repository["status"]["packageCount"] == len(await syncs.objects())
    before = repository["metadata"]["resourceVersion"]
    await syncs.sync()
    assert (await syncs.repository())["metadata"]["resourceVersion"] == before, "nothing moved: nothing is written"


async def test_packages_on_a_branch_whose_name_no_object_can_have(syncs: Syncs) -> None:
    syncs.porch.branch = "release/V_2"
    syncs.porch.publish("web", 1, "first")
    await syncs.written()
    await syncs.world.register("release", syncs.world.git.url, branch="release/V_2")
    await syncs.sync("release")
    name = "release.web.release-v-2"
    objects = await syncs.objects()
    assert set(objects) == {"release.web.first", name}
    assert objects[name]["status"]["selfLock"]["git"]["ref"] == "release/V_2"
    assert objects[name]["spec"]["workspaceName"] == "release-v-2"
    assert reason(await syncs.repository("release"), "Ready") == "True/Ready"

    await syncs.world.ask(name, "DeletionProposed")
    await syncs.world.settle(name)
    await syncs.world.delete(await syncs.world.get(name))
    await syncs.world.settle(name)
    assert syncs.world.git.git("ls-tree", "--name-only", "release/V_2", "web") == ""
    assert "refs/tags/web/v1" in syncs.world.git.refs()


async def test_a_deleted_repository_takes_its_objects_along_and_leaves_git(syncs: Syncs) -> None:
    syncs.porch.publish("web", 1, "first")
    syncs.porch.open("web", "draft")
    syncs.porch.open("web", "next", "proposed")
    await syncs.written()
    await syncs.sync()
    refs = syncs.world.git.refs()
    await syncs.world.kube.delete(REPOSITORIES, syncs.world.namespace, "porch")
    assert asks_for_sync(await syncs.repository()).endswith("deleting")

    name = "porch.web.draft"
    await syncs.world.patch(name, {"metadata": {"finalizers": ["porch.kpt.dev/packagerevisions", "example.com/keep"]}})
    message = await refuses(syncs, ErrorKind.WAITING)
    assert "porch.web.draft by example.com/keep" in message
    assert reason(await syncs.repository(), "Ready") == "False/Deleting"

    await syncs.world.patch(name, {"metadata": {"finalizers": []}})
    assert syncs.cached()
    result = await syncs.sync()
    assert "Git keeps what it holds" in result.summary
    assert not syncs.cached(), "its cache is gone"
    assert await syncs.objects() == {}
    assert syncs.world.git.refs() == refs
    with pytest.raises(NotFound):
        await syncs.repository()
    assert (await syncs.sync()).summary == "the Repository is gone"


async def test_an_object_of_a_repository_that_goes_takes_nothing_from_git(syncs: Syncs) -> None:
    syncs.porch.publish("web", 1, "first")
    syncs.porch.open("web", "draft")
    await syncs.written()
    await syncs.sync()
    refs = syncs.world.git.refs()
    await syncs.world.kube.delete(REPOSITORIES, syncs.world.namespace, "porch")
    for name in ("porch.web.draft", "porch.web.first"):
        await syncs.world.delete(await syncs.world.get(name))
        await syncs.world.run(Phase.FINALIZE, name)
    assert syncs.world.git.refs() == refs
    assert set(await syncs.objects()) == {"porch.web.main"}


async def test_a_repository_of_porch_is_left_to_it(syncs: Syncs) -> None:
    syncs.porch.publish("web", 1, "first")
    await syncs.written()
    assert "left to Porch" in (await syncs.sync(annotated_only=True)).summary
    assert (await syncs.objects(), (await syncs.repository()).get("status")) == ({}, None)
    await change(syncs, {"metadata": {"annotations": {"porch.kpt.dev/v1alpha2-migration": "true"}}})
    assert (await syncs.sync(annotated_only=True)).written == 2


async def test_several_workers_that_sync_at_once_make_each_object_once(syncs: Syncs) -> None:
    for number in range(20):
        syncs.porch.publish(f"app-{number}", 1, "v1")
    await syncs.written()
    results = await asyncio.gather(*(syncs.another().sync() for _ in range(3)))
    objects = await syncs.objects()
    assert len(objects) == 40
    assert not any(map(in_need, objects.values()))
    assert {result.revisions for result in results} == {40}
    await syncs.ask_now("again")
    assert (await syncs.sync()).written == 0
