"""Labels and annotations of a package: asked for in the spec of a draft, pushed in a Kptfile, and not lost between."""

import asyncio
import contextlib

import pytest

from porchflow.api.error_kinds import ErrorKind
from porchflow.api.work.needs import Phase, plan
from porchflow.kube.client import Object
from tests.activities.syncing import Syncs
from tests.activities.world import World, in_need, reason
from tests.kptfiles import kptfile_text

KPTFILE = """# ours
apiVersion: kpt.dev/v1
kind: Kptfile
metadata:
  name: web
  labels: # of the team
    team: net   # for now
    tier: "1"
  annotations:
    config.kubernetes.io/local-config: "true"
info:
  description:   a web app
"""


async def wish(world: World, name: str, **maps: Object | None) -> None:
    """Set maps in the spec, as `kubectl edit` does."""
    await world.patch(name, {"spec": {"packageMetadata": maps}})


async def kptfile(world: World, name: str, ref: str = "drafts/web/v1") -> str:
    """The Kptfile in Git, without the outcome of its rendering."""
    assert await world.exists(name)
    return world.git.git("show", f"{ref}:web/Kptfile").partition("status:\n")[0]


async def agrees(world: World, name: str, labels: Object, annotations: Object | None = None) -> None:
    """Spec, record and Kptfile have these labels and annotations; nothing is left to do."""
    obj = await world.get(name)
    local = {"config.kubernetes.io/local-config": "true"}
    wanted = {"labels": labels, "annotations": {**local, **(annotations or {})}}
    spec = obj["spec"].get("packageMetadata", {})
    assert {key: value for key, value in spec.items() if value} == {k: v for k, v in wanted.items() if v}
    assert {key: value for key, value in obj["status"]["packageMetadata"].items() if value} == {
        k: v for k, v in wanted.items() if v
    }
    assert not in_need(obj), plan(await world.facts(name))


async def pushed(world: World, name: str, text: str) -> None:
    commit = await world.push({"Kptfile": text})
    await world.annotate(name, render_request=commit)
    await world.settle(name)


@pytest.fixture
async def draft(world: World) -> str:
    name = await world.draft()
    await pushed(world, name, KPTFILE)
    await agrees(world, name, {"team": "net", "tier": "1"})
    return name


async def test_an_edit_of_the_spec_of_a_draft_changes_its_lines_of_the_kptfile(world: World, draft: str) -> None:
    await wish(world, draft, labels={"team": "data", "zone": "true"}, annotations={"example.com/owner": "ada"})
    assert in_need(await world.get(draft))
    assert plan(await world.facts(draft)) == [Phase.RENDER]
    await world.settle(draft)
    after = KPTFILE.replace("team: net ", "team: data ").replace('tier: "1"\n', 'tier: "1"\n    zone: "true"\n')
    after = after.replace('local-config: "true"\n', 'local-config: "true"\n    example.com/owner: ada\n')
    assert await kptfile(world, draft) == after
    await agrees(world, draft, {"team": "data", "tier": "1", "zone": "true"}, {"example.com/owner": "ada"})


async def test_removals_of_the_spec_reach_the_kptfile_and_empty_maps_take_all(world: World, draft: str) -> None:
    await wish(world, draft, labels={"tier": None})
    await world.settle(draft)
    assert "tier" not in await kptfile(world, draft)
    await agrees(world, draft, {"team": "net"})
    await wish(world, draft, labels={"team": None})
    assert (await world.get(draft))["spec"]["packageMetadata"]["labels"] == {}
    await world.settle(draft)
    assert "labels" not in await kptfile(world, draft)
    await agrees(world, draft, {})


async def test_nothing_at_all_is_recorded_too(world: World, draft: str) -> None:
    await pushed(world, draft, kptfile_text("web"))
    obj = await world.get(draft)
    assert obj["status"]["packageMetadata"] == {}
    assert not obj["spec"].get("packageMetadata")
    assert not in_need(obj)
    await wish(world, draft, labels={"zone": "a"})
    await world.settle(draft)
    assert (await world.get(draft))["status"]["packageMetadata"] == {"labels": {"zone": "a"}}


async def test_a_map_that_is_left_out_asks_for_nothing(world: World, draft: str) -> None:
    await world.patch(draft, {"spec": {"packageMetadata": None}})
    await world.settle(draft)
    assert await kptfile(world, draft) == KPTFILE
    await agrees(world, draft, {"team": "net", "tier": "1"})


async def test_a_push_wins_for_changes_and_removals_whoever_owns_the_key(world: World, draft: str) -> None:
    # By an update, so that the test owns both keys.
    await wish(world, draft, labels={"team": "data", "zone": "a"})
    await world.settle(draft)
    await pushed(world, draft, KPTFILE.replace("    team: net   # for now\n", "").replace('"1"', '"2"'))
    await agrees(world, draft, {"tier": "2"})
    # The last one too.
    await pushed(
        world,
        draft,
        KPTFILE.replace("  labels: # of the team\n    team: net   # for now\n", "").replace('    tier: "1"\n', ""),
    )
    await agrees(world, draft, {})


async def test_a_push_and_an_edit_of_other_keys_both_count(world: World, draft: str) -> None:
    await wish(world, draft, labels={"zone": "b", "tier": "9"})
    await pushed(world, draft, KPTFILE.replace("team: net", "team: data").replace('"1"', '"2"'))
    await agrees(world, draft, {"team": "data", "tier": "2", "zone": "b"})
    assert 'tier: "2"\n    zone: b\n' in await kptfile(world, draft)


async def test_what_is_given_at_the_creation_is_in_the_first_content(world: World) -> None:
    name = await world.create(packageMetadata={"labels": {"team": "net"}})
    await world.run(Phase.SOURCE, name)
    assert "labels:\n    team: net\n" in await kptfile(world, name)
    await agrees(world, name, {"team": "net"})
    assert len(world.git.log("drafts/web/v1")) == len(world.git.log("main")) + 1, "one commit"


async def test_a_copy_has_the_labels_that_its_creation_names_and_no_others(world: World, draft: str) -> None:
    for lifecycle in ("Proposed", "Published"):
        await world.ask(draft, lifecycle)
        await world.settle(draft)
    copy = await world.create("v2", source={"copyFrom": {"name": draft}}, packageMetadata={"labels": {"team": "x"}})
    await world.settle(copy)
    assert (await kptfile(world, copy, "drafts/web/v2")).count("team: x") == 1
    await agrees(world, copy, {"team": "x"})
    other = await world.create("v3", source={"copyFrom": {"name": draft}})
    await world.settle(other)
    await agrees(world, other, {"team": "net", "tier": "1"})


async def test_an_edit_while_the_draft_renders_is_kept_for_the_next_rendering(world: World, draft: str) -> None:
    async def edit(number: int) -> None:
        if number == 1:
            await wish(world, draft, labels={"zone": "late"})

    await wish(world, draft, labels={"team": "data"})
    world.worker.writes, world.worker.before_write = 0, edit
    await world.run(Phase.RENDER, draft)
    world.worker.before_write = None
    obj = await world.get(draft)
    assert obj["spec"]["packageMetadata"]["labels"]["zone"] == "late"
    assert in_need(obj)
    await world.settle(draft)
    await agrees(world, draft, {"team": "data", "tier": "1", "zone": "late"})


async def test_a_function_that_puts_a_label_back_is_no_endless_story(world: World) -> None:
    name = await world.draft()
    setter = "pipeline:\n  mutators:\n  - image: set-labels:v0.1\n    configMap: {app: web}\n"
    await pushed(world, name, KPTFILE + setter)
    assert (await world.get(name))["spec"]["packageMetadata"]["labels"]["app"] == "web"
    await wish(world, name, labels={"app": "other", "zone": "a"})
    await world.settle(name)
    await agrees(world, name, {"team": "net", "tier": "1", "app": "web", "zone": "a"})


async def test_a_wish_that_does_not_render_stalls_once_and_reaches_the_next_push(world: World, draft: str) -> None:
    broken = KPTFILE + "pipeline:\n  mutators:\n  - image: example.com/none:v1\n"
    commit = await world.push({"Kptfile": broken})
    await world.annotate(draft, render_request=commit)
    await world.fails(Phase.RENDER, draft, ErrorKind.STALLED)
    await wish(world, draft, labels={"zone": "a"})
    assert in_need(await world.get(draft))
    await world.fails(Phase.RENDER, draft, ErrorKind.STALLED)
    await pushed(world, draft, KPTFILE)
    await agrees(world, draft, {"team": "net", "tier": "1", "zone": "a"})


async def test_a_wish_that_makes_the_kptfile_too_large_is_refused(world: World, draft: str) -> None:
    await wish(world, draft, annotations={f"example.com/{number}": "x" * 2000 for number in range(600)})
    message = await world.fails(Phase.RENDER, draft, ErrorKind.STALLED)
    assert "spec.packageMetadata the Kptfile would have" in message
    assert reason(await world.get(draft), "Ready") == "False/InvalidSpec"


@pytest.mark.parametrize("lifecycle", ["Proposed", "Published"])
async def test_what_is_no_draft_gets_what_git_has_back(world: World, draft: str, lifecycle: str) -> None:
    """As the administrator, whom the admission policies let through."""
    for step in ("Proposed", "Published")[: 1 + (lifecycle == "Published")]:
        await world.ask(draft, step)
        await world.settle(draft)
    refs = world.git.refs()
    await wish(world, draft, labels={"team": "forged", "zone": "a", "tier": None})
    await world.settle(draft)
    await agrees(world, draft, {"team": "net", "tier": "1"})
    assert world.git.refs() == refs


async def test_an_edit_together_with_the_proposal_is_in_the_proposal(world: World, draft: str) -> None:
    await world.patch(draft, {"spec": {"lifecycle": "Proposed", "packageMetadata": {"labels": {"zone": "a"}}}})
    await world.settle(draft)
    assert "zone: a" in await kptfile(world, draft, "proposed/web/v1")
    await agrees(world, draft, {"team": "net", "tier": "1", "zone": "a"})


async def test_a_status_without_the_record_takes_git_for_what_was_copied(world: World, draft: str) -> None:
    """As Porch and older releases leave it."""
    await world.patch(draft, {"status": {"packageMetadata": None}}, subresource="status")
    await pushed(world, draft, KPTFILE.replace('"1"', '"2"'))
    await agrees(world, draft, {"team": "net", "tier": "2"})
    await world.patch(draft, {"status": {"packageMetadata": None}}, subresource="status")
    await wish(world, draft, labels={"zone": "a"})
    await world.settle(draft)
    await agrees(world, draft, {"team": "net", "tier": "2", "zone": "a"})


async def test_a_published_object_of_an_older_release_is_put_right(world: World, draft: str) -> None:
    for step in ("Proposed", "Published"):
        await world.ask(draft, step)
        await world.settle(draft)
    await wish(world, draft, labels={"team": "claimed"})
    gone = {"packageMetadata": None, "observedGeneration": (await world.get(draft))["metadata"]["generation"]}
    await world.patch(draft, {"status": gone}, subresource="status")
    await world.annotate(draft, reconcile_now="t")
    await world.settle(draft)
    await agrees(world, draft, {"team": "net", "tier": "1"})


async def test_a_sync_records_what_it_copies(syncs: Syncs) -> None:
    syncs.porch.publish("web", 1, "first", {"Kptfile": KPTFILE})
    syncs.porch.publish("odd", 1, "first", {"Kptfile": kptfile_text("odd")})
    await syncs.written()
    await syncs.sync()
    objects = await syncs.objects()
    assert objects["porch.web.first"]["status"]["packageMetadata"]["labels"] == {"team": "net", "tier": "1"}
    assert objects["porch.odd.first"]["status"]["packageMetadata"] == {}
    assert not any(map(in_need, objects.values()))


async def test_a_crash_at_any_write_loses_no_wish(world: World, draft: str) -> None:
    for number in range(1, 5):
        await wish(world, draft, labels={"zone": str(number)}, annotations={f"example.com/{number}": "x"})
        world.worker.stop_at(number)
        with contextlib.suppress(asyncio.CancelledError):
            await world.run(Phase.RENDER, draft)
        world.worker.before_write = None
        await world.settle(draft)
        obj = await world.get(draft)
        assert obj["spec"]["packageMetadata"]["labels"]["zone"] == str(number)
        assert f'zone: "{number}"' in await kptfile(world, draft)
        assert not in_need(obj)
