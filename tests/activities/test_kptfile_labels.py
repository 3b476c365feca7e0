"""Labels of the Kptfile on the object, and the size of the package in its status."""

import asyncio
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from porchflow.activities.rendering.kptfile_labels import kptfile_labels
from porchflow.api.work.needs import Phase
from porchflow.kube.client import Object
from porchflow.kube.kinds import PACKAGEREVISIONS
from tests.activities.syncing import Syncs
from tests.activities.world import World
from tests.kptfiles import kptfile_text
from tests.servers.git import commit_files

PREFIX = "porch.kpt.dev/kptfile-label__"
NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


def labelled(**labels: str) -> str:
    return kptfile_text("web").replace("metadata:\n", f"metadata:\n  labels: {labels}\n", 1)


def shown(obj: Object) -> dict[str, str]:
    labels = obj["metadata"].get("labels") or {}
    return {key.removeprefix(PREFIX): value for key, value in labels.items() if key.startswith(PREFIX)}


def managers(obj: Object, key: str) -> list[str]:
    return [
        each["manager"]
        for each in obj["metadata"]["managedFields"]
        if f"f:{key}" in each["fieldsV1"].get("f:metadata", {}).get("f:labels", {})
    ]


@given(st.dictionaries(st.text(max_size=80), st.text(max_size=80), max_size=8))
def test_any_labels_become_valid_ones_or_are_named(labels: dict[str, str]) -> None:
    made = kptfile_labels(labels)
    assert len(made.labels) + len(made.problems) == len(labels)
    for key, value in made.labels.items():
        assert key.startswith(PREFIX)
        assert NAME.fullmatch(key.partition("/")[2])
        assert not value or NAME.fullmatch(value)


@given(
    st.dictionaries(
        st.from_regex(r"[a-z]([a-z.]{0,20}[a-z])?(/[a-z]([-a-z0-9._]{0,20}[a-z0-9])?)?", fullmatch=True),
        st.from_regex(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?", fullmatch=True),
    )
)
def test_labels_that_kubernetes_takes_are_shown_as_they_are(labels: dict[str, str]) -> None:
    # Fewer than 64 characters with the prefix, and no two underscores of their own.
    assert kptfile_labels(labels).labels == {PREFIX + key.replace("/", "__"): value for key, value in labels.items()}


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("a" * 49, "x", "has 64 characters; shorten the key by 1"),
        ("a" * 48, "x" * 64, "its value has 64 characters"),
        ("ä", "x", "a label's name has letters"),
        ("a b", "x", "a label's name has letters"),
        ("a-", "x", "ends with a letter or digit"),
        ("", "x", "ends with a letter or digit"),
        ("team", "net work", "its value 'net work' is none of a label"),
        ("team", "-net", "at both ends"),
        ("team", "x\n", "is none of a label"),
    ],
)
def test_a_label_that_cannot_be_shown_is_named_with_the_reason(key: str, value: str, why: str) -> None:
    made = kptfile_labels({key: value, "kept": "1.2"})
    assert made.labels == {f"{PREFIX}kept": "1.2"}
    [problem] = made.problems
    assert why in problem
    assert repr(key) in problem


def test_two_keys_of_one_name_are_told() -> None:
    made = kptfile_labels({"a/b": "1", "a__b": "2"})
    assert made.labels == {f"{PREFIX}a__b": "1"}
    assert "label 'a__b' is not shown" in made.problems[0]


async def test_a_pushed_label_is_selected_by_until_the_kptfile_drops_it(world: World) -> None:
    name = await world.draft()
    assert shown(await world.get(name)) == {}
    await _rendered(world, name, {"Kptfile": labelled(**{"team": "net", "example.com/tier": "1.2"})})
    obj = await world.get(name)
    assert shown(obj) == {"team": "net", "example.com__tier": "1.2"}
    assert managers(obj, f"{PREFIX}team") == ["packagerev-controller-labels"]
    assert managers(obj, "porch.kpt.dev/repository") != ["packagerev-controller-labels"], "only its own are applied"
    selector = f"{PREFIX}team=net,{PREFIX}example.com__tier=1.2"
    selected = [each async for each in world.kube.list_all(PACKAGEREVISIONS, world.namespace, label_selector=selector)]
    assert [each["metadata"]["name"] for each in selected] == [name]

    await _rendered(world, name, {"Kptfile": labelled(team="data")})
    assert shown(await world.get(name)) == {"team": "data"}
    await _rendered(world, name, {"Kptfile": kptfile_text("web")})
    obj = await world.get(name)
    assert shown(obj) == {}
    assert obj["metadata"]["labels"]["porch.kpt.dev/repository"] == "blueprints"


async def test_labels_that_others_set_go_with_the_next_rendering_and_users_keep_theirs(world: World) -> None:
    name = await world.draft()
    await world.patch(name, {"metadata": {"labels": {f"{PREFIX}forged": "yes", "mine": "yes"}}})
    await _rendered(world, name, {"Kptfile": labelled(team="net")})
    obj = await world.get(name)
    assert shown(obj) == {"team": "net"}
    assert obj["metadata"]["labels"]["mine"] == "yes"


async def test_a_label_that_cannot_be_shown_hinders_nothing_and_is_told(world: World) -> None:
    name = await world.draft()
    await _rendered(world, name, {"Kptfile": labelled(**{"k" * 60: "x", "team": "net"})})
    assert shown(await world.get(name)) == {"team": "net"}
    assert ("Warning", "LabelNotShown", 1) in await world.told(name)


async def test_what_a_sync_finds_shows_its_labels(syncs: Syncs) -> None:
    syncs.porch.publish("web", 1, "first", {"Kptfile": labelled(team="net", odd="a b"), "big.txt": "x" * 1000})
    await syncs.written()
    await syncs.sync()
    found = (await syncs.objects())["porch.web.first"]
    assert shown(found) == {"team": "net"}
    assert managers(found, f"{PREFIX}team") == ["packagerev-controller-labels"]
    assert found["status"]["resourcesSizeBytes"] == len(labelled(team="net", odd="a b")) + 1000
    [ready] = [each for each in (await syncs.repository())["status"]["conditions"] if each["type"] == "Ready"]
    assert "porch.web.first: the Kptfile's label 'odd' is not shown" in ready["message"]


async def test_a_sync_gives_published_objects_of_older_releases_their_labels(world: World) -> None:
    name = await world.draft()
    await _rendered(world, name, {"Kptfile": labelled(team="net")})
    for lifecycle in ("Proposed", "Published"):
        await world.ask(name, lifecycle)
        await world.run(Phase.LIFECYCLE, name)
    await world.patch(name, {"metadata": {"labels": {f"{PREFIX}team": None, f"{PREFIX}forged": "yes"}}})
    await world.sync()
    assert shown(await world.get(name)) == {"team": "net"}


# The size


async def test_the_size_is_that_of_all_files_in_git(world: World) -> None:
    name = await world.draft()
    await _is_in_git(world, name, "drafts/web/v1")
    await _rendered(world, name, {"Kptfile": kptfile_text("web"), "deep/er.bin": b"\x00" * 5000})
    assert await _is_in_git(world, name, "drafts/web/v1") > 5000
    for lifecycle in ("Proposed", "Published"):
        await world.ask(name, lifecycle)
        await world.run(Phase.LIFECYCLE, name)
    await _is_in_git(world, name, "main")
    world.newest = name
    copy = await world.draft("v2")
    await _is_in_git(world, copy, "drafts/web/v2")


async def test_a_draft_that_was_pushed_before_its_report_has_its_size(world: World) -> None:
    name = await world.create()
    world.worker.stop_at(2)
    with pytest.raises(asyncio.CancelledError):
        await world.run(Phase.SOURCE, name)
    world.worker.before_write = None
    await world.settle(name)
    await _is_in_git(world, name, "drafts/web/v1")


async def test_the_lifecycle_adds_a_size_that_the_status_lacks(world: World) -> None:
    name = await world.published()
    await world.patch(name, {"status": {"resourcesSizeBytes": None}}, subresource="status")
    assert "resourcesSizeBytes" not in (await world.get(name))["status"]
    await world.annotate(name, reconcile_now="t1")
    await world.settle(name)
    await _is_in_git(world, name, "main")


async def test_what_the_branch_holds_gets_the_size_of_its_newest_content(syncs: Syncs) -> None:
    syncs.porch.publish("web", 1, "first")
    await syncs.written()
    await syncs.sync()
    before = (await syncs.objects())["porch.web.main"]["status"]["resourcesSizeBytes"]
    syncs.porch.commit("by hand", {"web/Kptfile": kptfile_text("web"), "web/new.yaml": "kind: Odd\n"})
    await syncs.written()
    await syncs.sync()
    after = (await syncs.objects())["porch.web.main"]["status"]["resourcesSizeBytes"]
    assert after == len(kptfile_text("web")) + len("kind: Odd\n") != before


# Proposed at its creation


async def test_what_is_created_as_a_proposal_is_rendered_first(world: World) -> None:
    name = await world.create(lifecycle="Proposed")
    await world.settle(name)
    obj = await world.get(name)
    rendered = [each["status"] for each in obj["status"]["conditions"] if each["type"] == "Rendered"]
    assert (rendered, obj["status"]["selfLock"]["git"]["ref"]) == (["True"], "proposed/web/v1")
    assert "Rendered" in world.git.git("show", "proposed/web/v1:web/Kptfile")


async def test_so_is_a_draft_that_was_in_git_before(world: World) -> None:
    await asyncio.to_thread(commit_files, world.git, "drafts/web/v1", {"web/Kptfile": kptfile_text("web")}, "by hand")
    name = await world.create(source=None, lifecycle="Proposed")
    await world.settle(name)
    assert (await world.get(name))["status"]["selfLock"]["git"]["ref"] == "proposed/web/v1"
    assert "Rendered" in world.git.git("show", "proposed/web/v1:web/Kptfile")


async def test_a_proposal_that_does_not_render_is_not_made(world: World) -> None:
    broken = kptfile_text("web", "pipeline:\n  mutators:\n  - image: example.com/none:v1\n")
    await asyncio.to_thread(commit_files, world.git, "drafts/web/v1", {"web/Kptfile": broken}, "by hand")
    name = await world.create(source=None, lifecycle="Proposed")
    await world.settle(name)
    obj = await world.get(name)
    assert [each["reason"] for each in obj["status"]["conditions"] if each["type"] == "Stalled"] == ["RenderFailed"]
    assert "refs/heads/proposed/web/v1" not in world.git.refs()


async def _rendered(world: World, name: str, files: dict[str, str | bytes]) -> None:
    pushed = await world.push(files)
    await world.annotate(name, render_request=pushed)
    await world.run(Phase.RENDER, name)


async def _is_in_git(world: World, name: str, ref: str) -> int:
    listed = world.git.git("ls-tree", "-r", "-l", ref, "web/").splitlines()
    size = sum(int(line.split()[3]) for line in listed)
    assert (await world.get(name))["status"]["resourcesSizeBytes"] == size
    return size
