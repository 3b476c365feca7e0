"""Syncs on a real API server and real Git."""

import asyncio

import pytest

from porchflow.kube.client import Object
from tests.activities.syncing import Syncs
from tests.activities.world import in_need
from tests.kptfiles import kptfile_text


def latest(objects: dict[str, Object]) -> list[str]:
    label = "porch.kpt.dev/latest-revision"
    return sorted(name for name, obj in objects.items() if obj["metadata"]["labels"][label] == "true")


async def test_what_porch_wrote_appears_with_full_status_and_needs_no_workflow(syncs: Syncs) -> None:
    gates = "info:\n  readinessGates:\n  - conditionType: tested\n"
    conditions = "status:\n  conditions:\n  - type: tested\n    status: 'True'\n"
    syncs.porch.publish("web", 1, "first")
    syncs.porch.publish("web", 2, "second", {"Kptfile": kptfile_text("web", gates + conditions)})
    syncs.porch.open("web", "third")
    syncs.porch.open("web", "fourth", "proposed")
    syncs.porch.ref("refs/heads/deletionProposed/web/v1")
    await syncs.written()

    result = await syncs.sync()

    objects = await syncs.objects()
    found = {name: (obj["spec"]["lifecycle"], obj["status"].get("revision")) for name, obj in objects.items()}
    assert found == {
        "porch.web.first": ("DeletionProposed", 1),
        "porch.web.second": ("Published", 2),
        "porch.web.main": ("Published", -1),
        "porch.web.third": ("Draft", None),
        "porch.web.fourth": ("Proposed", None),
    }
    assert (result.revisions, result.written, result.unsettled) == (5, 5, 0)
    assert latest(objects) == ["porch.web.second"]
    assert not any(map(in_need, objects.values()))
    second, refs = objects["porch.web.second"], syncs.world.git.refs()
    assert second["spec"]["readinessGates"] == [{"conditionType": "tested"}]
    assert second["status"]["packageConditions"] == [{"type": "tested", "status": "True"}]
    assert second["status"]["selfLock"] == {
        "type": "git",
        "git": {
            "repo": syncs.world.git.url,
            "directory": "web",
            "ref": "web/v2",
            "commit": refs["refs/tags/web/v2"],
        },
    }
    assert second["status"]["publishedBy"] == "porch@kpt.dev"
    assert second["metadata"]["finalizers"] == ["porch.kpt.dev/packagerevisions"]
    assert second["metadata"]["ownerReferences"][0]["uid"] == (await syncs.repository())["metadata"]["uid"]


async def test_what_porchflow_wrote_reads_back_as_the_same_objects(syncs: Syncs) -> None:
    world = syncs.world
    first = await world.published("v1")
    draft = await world.draft("v2")
    before = {name: await world.get(name) for name in (first, draft)}
    for name in before:
        await world.delete_whatever_it_takes(name)

    await syncs.sync("blueprints")

    for name, obj in before.items():
        again = await world.get(name)
        spec = {key: value for key, value in obj["spec"].items() if key != "source"}
        assert again["spec"] == spec
        for field in ("selfLock", "revision", "publishedAt"):
            assert again["status"].get(field) == obj["status"].get(field), field
        for field in ("labels", "finalizers", "ownerReferences"):
            assert again["metadata"][field] == obj["metadata"][field], field
        assert not in_need(again)
    assert latest(await syncs.objects()) == [first]


async def test_a_second_sync_writes_nothing_and_a_third_what_changed(syncs: Syncs) -> None:
    for number in range(5):
        syncs.porch.publish(f"app-{number}", 1, "v1")
    await syncs.written()
    await syncs.sync()

    unchanged = await syncs.sync()
    assert (unchanged.summary, syncs.kube.writes) == ("the refs have not moved", 0)

    syncs.porch.commit("by hand", {"app-3/Kptfile": kptfile_text("app-3"), "app-3/new.yaml": "kind: Odd\n"})
    await syncs.written()
    changed = await syncs.sync()
    assert changed.written == 1
    assert syncs.kube.patched == ["PackageRevision porch.app-3.main", "Repository porch"]


@pytest.mark.parametrize("writes", [1, 2, 5, 9])
async def test_a_sync_that_was_killed_is_finished_by_the_next(syncs: Syncs, writes: int) -> None:
    for number in range(3):
        syncs.porch.publish(f"app-{number}", 1, "v1")
    await syncs.written()
    syncs.kube.ends_after = writes
    with pytest.raises(asyncio.CancelledError):
        await syncs.sync(sync_writes=2)
    made = len(await syncs.objects())
    syncs.kube.ends_after = 0

    await syncs.sync()

    assert len(syncs.kube.created) == 6 - made, "what was made is found again"
    objects = await syncs.objects()
    assert len(objects) == 6
    assert not any(map(in_need, objects.values()))
    assert latest(objects) == [f"porch.app-{number}.v1" for number in range(3)]


async def test_what_a_sync_left_half_done_is_finished_by_the_next(syncs: Syncs) -> None:
    for number in range(3):
        syncs.porch.publish(f"app-{number}", 1, "v1")
    await syncs.written()
    await syncs.sync()
    objects = await syncs.objects()
    for name in ("porch.app-0.v1", "porch.app-1.main"):
        await syncs.world.delete_whatever_it_takes(name)
    await syncs.world.kube.create(syncs.packages, _without_status(objects["porch.app-1.main"]))
    await syncs.world.kube.merge_patch(
        syncs.repositories, syncs.world.namespace, "porch", {"metadata": {"annotations": {syncs.token: "again"}}}
    )

    result = await syncs.sync()

    assert result.written == 2
    again = await syncs.objects()
    assert {name: _said(obj) for name, obj in again.items()} == {name: _said(obj) for name, obj in objects.items()}
    assert not any(map(in_need, again.values()))


def _without_status(obj: Object) -> Object:
    kept = {key: obj["metadata"][key] for key in ("name", "namespace", "labels", "annotations", "finalizers")}
    kept["ownerReferences"] = obj["metadata"]["ownerReferences"]
    return {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "metadata": kept, "spec": obj["spec"]}


def _said(obj: Object) -> tuple[Object, Object]:
    status = {key: value for key, value in obj["status"].items() if key != "conditions"}
    return obj["spec"], status
