"""Upgrades on a real API server and real Git: a clone of `blueprints.web.v1` brought to `v2` of its upstream."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from porchflow.api.error_kinds import ErrorKind
from porchflow.api.models.packagerevision import UpdateStrategy
from porchflow.api.work.needs import Phase
from porchflow.kpt.format.kptfile import parse
from tests.activities.upstream import clone_of, create_clone, fill, git_of, publish, publish_upstream, raw, tree
from tests.activities.world import World, reason
from tests.e2e.packages import messages, show
from tests.e2e.rules import check_rules
from tests.servers.git import GitRepository

BRANCH = "drafts/live/shop/web/v2"
ROOT = "live/shop/web"

OLD_CONFIG = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata:\n  color: blue\n  size: small\n"
OUR_CONFIG = OLD_CONFIG.replace("size: small", "size: large # ours")
NEW_CONFIG = OLD_CONFIG.replace("color: blue", "color: green")
MERGED_CONFIG = OUR_CONFIG.replace("color: blue", "color: green")


def upgrade(strategy: str = "", **changed: str) -> dict[str, Any]:
    names = {
        "oldUpstream": "blueprints.web.v1",
        "newUpstream": "blueprints.web.v2",
        "currentPackage": "deployments.shop.web.v1",
    } | changed
    source: dict[str, Any] = {field: {"name": name} for field, name in names.items()}
    return {"upgrade": source | ({"strategy": strategy} if strategy else {})}


def first(folder: Path) -> None:
    fill(folder)
    (folder / "settings.yaml").write_text(OLD_CONFIG)
    (folder / "gone.bin").write_bytes(b"\0old")
    (folder / "link.yaml").symlink_to("run.sh")


def ours(folder: Path) -> None:
    """What the owner of the clone changes."""
    (folder / "settings.yaml").write_text(OUR_CONFIG)
    (folder / "own.bin").write_bytes(b"\0own")
    (folder / "both.yaml").symlink_to("ours")


def second(folder: Path) -> None:
    """What upstream changes."""
    (folder / "settings.yaml").write_text(NEW_CONFIG)
    (folder / "logo.png").write_bytes(b"\0new")
    (folder / "gone.bin").unlink()
    (folder / "more.bin").write_bytes(b"\0more")
    (folder / "more.bin").chmod(0o755)
    (folder / "start").unlink()
    (folder / "start").symlink_to("more.bin")
    (folder / "link.yaml").unlink()
    (folder / "link.yaml").symlink_to("more.bin")
    (folder / "settings.yaml").chmod(0o755)


@pytest.fixture
async def clone(world: World, deployments: GitRepository) -> GitRepository:
    """`blueprints.web` v1 and v2, and a clone of v1 that its owner changed, all published."""
    await publish_all(world, deployments, first, ours, second)
    return deployments


async def publish_all(world: World, deployments: GitRepository, *fill: Callable[[Path], None]) -> None:
    """Publish three packages, each filled or changed by a function: upstream v1, a clone of it, upstream v2."""
    first, ours, second = fill
    upstream = await publish_upstream(world, fill=first)
    name = await create_clone(world, clone_of(upstream))
    await world.run(Phase.SOURCE, name)
    await publish(world, name, deployments.url, "drafts/live/shop/web/v1", lambda folder: ours(folder / ROOT))
    await world.create("v2", source={"copyFrom": {"name": upstream}})
    await world.run(Phase.SOURCE, "blueprints.web.v2")
    await publish(world, "blueprints.web.v2", world.git.url, "drafts/web/v2", lambda folder: second(folder / "web"))


async def test_an_upgrade_brings_upstreams_changes_and_keeps_ours(world: World, clone: GitRepository) -> None:
    name = await create_clone(world, upgrade(), workspace="v2")
    result = await world.run(Phase.SOURCE, name)
    assert (result.rendered, result.notes) == (True, [])
    obj = await world.get(name)
    assert obj["status"]["creationSource"] == "upgrade"
    assert reason(obj, "Ready") == "True/Ready"
    check_rules(obj)
    assert messages(clone.path, BRANCH)[0] == "Upgrading revision"
    assert show(clone.path, BRANCH, f"{ROOT}/settings.yaml") == MERGED_CONFIG
    kptfile = parse(show(clone.path, BRANCH, f"{ROOT}/Kptfile"))
    assert kptfile.name == "shop/web"
    assert kptfile.upstream is not None
    assert kptfile.upstream.git is not None
    assert kptfile.upstream.git.ref == "web/v2"
    lock = git_of(await world.get("blueprints.web.v2"), "selfLock")
    assert git_of(obj, "upstreamLock") == lock | {"repo": world.git.url}
    assert "name: shop/web" in show(clone.path, BRANCH, f"{ROOT}/package-context.yaml")

    merged, new = tree(clone.path, f"{BRANCH}:{ROOT}"), tree(world.git.path, "web/v2:web")
    assert merged.keys() == {*new, "own.bin", "both.yaml"}
    for path in ("logo.png", "more.bin", "start", "run.sh", "link.yaml", "db/Kptfile"):
        assert merged[path] == new[path], path
    assert merged["more.bin"].startswith("100755")
    assert raw(clone.path, BRANCH, f"{ROOT}/own.bin") == b"\0own"


async def test_a_conflict_is_told_in_an_event_and_in_the_result(world: World, clone: GitRepository) -> None:
    await world.create("v3", source={"copyFrom": {"name": "blueprints.web.v2"}})
    await world.run(Phase.SOURCE, "blueprints.web.v3")

    def third(folder: Path) -> None:
        (folder / "web/settings.yaml").write_text(NEW_CONFIG.replace("size: small", "size: medium"))
        (folder / "web/both.yaml").symlink_to("theirs")

    await publish(world, "blueprints.web.v3", world.git.url, "drafts/web/v3", third)
    name = await create_clone(world, upgrade(newUpstream="blueprints.web.v3"), workspace="v2")
    result = await world.run(Phase.SOURCE, name)
    assert result.summary.endswith(", 2 conflicts")
    note, link = result.notes
    assert "both.yaml: a symbolic link that local and upstream both changed; kept local" in link
    assert raw(clone.path, BRANCH, f"{ROOT}/both.yaml") == b"ours"
    for word in ("settings.yaml", "data.size", "large", "medium"):
        assert word in note
    assert [kind for _, kind, _ in await world.told(name)].count("MergeConflict") == 2
    assert reason(await world.get(name), "Ready") == "True/Ready"


async def test_what_a_krmignore_names_need_not_be_yaml(world: World, deployments: GitRepository) -> None:
    def first(folder: Path) -> None:
        fill(folder)
        (folder / ".krmignore").write_text("*.tpl.yaml\n")

    def template(text: str) -> Callable[[Path], None]:
        def write(folder: Path) -> None:
            (folder / "app.tpl.yaml").write_text(text)

        return write

    await publish_all(world, deployments, first, template("{{ ours }\n"), template("{{ new }\n"))
    name = await create_clone(world, upgrade(), workspace="v2")
    result = await world.run(Phase.SOURCE, name)
    assert result.notes == ["conflict: app.tpl.yaml: local is added, upstream is added; kept local"]
    assert show(deployments.path, BRANCH, f"{ROOT}/app.tpl.yaml") == "{{ ours }\n"


async def test_many_conflicts_are_counted_and_the_first_told(world: World, clone: GitRepository) -> None:
    """Files of the same name that both sides added."""

    def added(text: str, root: str) -> Any:
        def write(folder: Path) -> None:
            for number in range(40):
                (folder / root / f"f{number:02}.txt").write_text(text)

        return write

    await world.create("v3", source={"copyFrom": {"name": "blueprints.web.v2"}})
    await world.run(Phase.SOURCE, "blueprints.web.v3")
    await publish(world, "blueprints.web.v3", world.git.url, "drafts/web/v3", added("theirs", "web"))
    current = await create_clone(world, {"copyFrom": {"name": "deployments.shop.web.v1"}}, workspace="edited")
    await world.run(Phase.SOURCE, current)
    await publish(world, current, clone.url, "drafts/live/shop/web/edited", added("ours", ROOT))
    source = upgrade(newUpstream="blueprints.web.v3", currentPackage=current)
    result = await world.run(Phase.SOURCE, await create_clone(world, source, workspace="v2"))
    assert result.summary.endswith(", 40 conflicts")
    assert len(result.notes) == 11
    assert "and 30 more" in result.notes[-1]
    assert len(result.model_dump_json()) < 8000
    told = await world.told("deployments.shop.web.v2")
    assert sum(count for _, kind, count in told if kind == "MergeConflict") == 11


STRATEGIES = {
    "copy-merge": (NEW_CONFIG, {"own.bin", "more.bin"}, {"gone.bin"}),
    "force-delete-replace": (NEW_CONFIG, {"more.bin"}, {"gone.bin", "own.bin"}),
    "resource-merge": (MERGED_CONFIG, {"own.bin", "more.bin"}, {"gone.bin"}),
}


async def test_strategies(world: World, clone: GitRepository) -> None:
    for strategy, (config, there, gone) in STRATEGIES.items():
        name = await create_clone(world, upgrade(strategy), workspace=strategy)
        await world.run(Phase.SOURCE, name)
        branch = f"drafts/live/shop/web/{strategy}"
        files, new = tree(clone.path, f"{branch}:{ROOT}"), tree(world.git.path, "web/v2:web")
        assert show(clone.path, branch, f"{ROOT}/settings.yaml") == config, strategy
        assert there <= files.keys(), strategy
        assert not gone & files.keys(), strategy
        for path in ("logo.png", "start", "link.yaml"):
            assert files[path] == new[path], (strategy, path)
        assert files["settings.yaml"].startswith("100755"), strategy
        assert git_of(await world.get(name), "upstreamLock")["ref"] == "web/v2", strategy


async def test_fast_forward_takes_a_package_that_nobody_changed(world: World, clone: GitRepository) -> None:
    name = await create_clone(world, upgrade(UpdateStrategy.FAST_FORWARD), workspace="v2")
    said = await world.fails(Phase.SOURCE, name, ErrorKind.STALLED)
    assert "own.bin" in said
    assert "settings.yaml" in said
    assert reason(await world.get(name), "Stalled") == "True/LocalChanges"
    unchanged = await create_clone(world, clone_of("blueprints.web.v1"), package="plain")
    await world.run(Phase.SOURCE, unchanged)
    await publish(world, unchanged, clone.url, "drafts/live/plain/v1")
    source = upgrade(UpdateStrategy.FAST_FORWARD, currentPackage=unchanged)
    done = await create_clone(world, source, package="plain", workspace="v2")
    await world.run(Phase.SOURCE, done)
    new = tree(world.git.path, "web/v2:web")
    merged = tree(clone.path, "drafts/live/plain/v2:live/plain")
    assert {path for path in merged if merged[path] != new.get(path)} == {"Kptfile", "package-context.yaml"}


async def test_an_upgrade_that_ends_at_any_of_its_writes_is_finished_by_the_next_attempt(
    world: World, clone: GitRepository
) -> None:
    name = await create_clone(world, upgrade(), workspace="v2")
    obj = await world.get(name)
    for write in range(1, 20):
        world.worker.stop_at(write)
        try:
            await world.run(Phase.SOURCE, name, attempt=write, obj=obj)
        except asyncio.CancelledError:
            continue
        break
    assert write > 2
    subjects = messages(clone.path, BRANCH)
    assert [subject for subject in subjects if subject == "Upgrading revision"] == subjects[:1]
    assert show(clone.path, BRANCH, f"{ROOT}/settings.yaml") == MERGED_CONFIG
    check_rules(await world.get(name))


WRONG = {
    "current package of another": ({"currentPackage": "blueprints.web.v1"}, "currentPackage names 'blueprints.web.v1'"),
    "upstreams of two packages": ({"newUpstream": "deployments.shop.web.v1"}, "must be revisions of one package"),
    "no name": ({"newUpstream": ""}, "upgrade.newUpstream names no PackageRevision"),
}


async def test_an_upgrade_across_packages_is_refused(world: World, clone: GitRepository) -> None:
    for number, (wrong, (changed, words)) in enumerate(WRONG.items()):
        name = await create_clone(world, upgrade(**changed), workspace=f"w{number}")
        assert words in await world.fails(Phase.SOURCE, name, ErrorKind.STALLED), wrong
        assert reason(await world.get(name), "Stalled") == "True/InvalidSpec", wrong
    assert not [ref for ref in clone.refs() if "/drafts/" in ref]


async def test_an_upgrade_waits_for_what_is_not_published(world: World, clone: GitRepository) -> None:
    await world.create("v3", source={"copyFrom": {"name": "blueprints.web.v2"}})
    name = await create_clone(world, upgrade(newUpstream="blueprints.web.v3"), workspace="v2")
    assert "upgrade.newUpstream names" in await world.fails(Phase.SOURCE, name, ErrorKind.WAITING)
    assert reason(await world.get(name), "Ready") == "False/SourceNotPublished"


async def remove_upstream(world: World) -> None:
    """Remove object and tag of the first upstream. Its commit stays in the history of the branch."""
    await world.delete_whatever_it_takes("blueprints.web.v1")
    world.git.git("update-ref", "-d", "refs/tags/web/v1")


async def test_an_upgrade_whose_old_upstream_is_gone_starts_from_the_commit_in_the_lock(
    world: World, clone: GitRepository
) -> None:
    await remove_upstream(world)
    name = await create_clone(world, upgrade(), workspace="v2")
    result = await world.run(Phase.SOURCE, name)
    assert show(clone.path, BRANCH, f"{ROOT}/settings.yaml") == MERGED_CONFIG
    assert git_of(await world.get(name), "upstreamLock")["ref"] == "web/v2"
    assert ("Warning", "UpstreamFromLock", 1) in await world.told(name)
    assert "'blueprints.web.v1', which is not there" in result.notes[0]


async def test_a_lock_of_another_package_is_no_old_upstream(world: World, clone: GitRepository) -> None:
    other = await world.create("v1", name="blueprints.other.v1", packageName="other")
    await world.run(Phase.SOURCE, other)
    await publish(world, other, world.git.url, "drafts/other/v1")
    name = await create_clone(world, upgrade(oldUpstream="blueprints.other.v0", newUpstream=other), workspace="v2")
    said = await world.fails(Phase.SOURCE, name, ErrorKind.WAITING)
    assert "'blueprints.other.v0', which spec.source.upgrade.oldUpstream names: there is none" in said
    assert not [ref for ref in clone.refs() if "/drafts/" in ref]


@pytest.mark.parametrize("commit", ["main", "0" * 40, "../x", "a" * 39])
async def test_a_lock_that_names_no_commit_is_no_old_upstream(world: World, clone: GitRepository, commit: str) -> None:
    spoilt = await create_clone(world, {"copyFrom": {"name": "deployments.shop.web.v1"}}, workspace="spoilt")
    await world.run(Phase.SOURCE, spoilt)
    lock = git_of(await world.get("deployments.shop.web.v1"), "upstreamLock")["commit"]

    def spoil(folder: Path) -> None:
        kptfile = folder / ROOT / "Kptfile"
        kptfile.write_text(kptfile.read_text().replace(lock, commit))

    await publish(world, spoilt, clone.url, "drafts/live/shop/web/spoilt", spoil)
    await remove_upstream(world)
    name = await create_clone(world, upgrade(currentPackage=spoilt), workspace="v2")
    await world.fails(Phase.SOURCE, name, ErrorKind.WAITING)
    assert reason(await world.get(name), "Ready") == "False/SourceNotFound"


async def test_a_source_without_a_number_is_taken_and_told(world: World, clone: GitRepository) -> None:
    """What the branch holds, revision -1: catalogs without numbered tags have nothing else."""
    await world.sync()
    upstream = await world.get("blueprints.web.main")
    assert upstream["status"]["revision"] == -1
    name = await create_clone(world, clone_of("blueprints.web.main"), package="fresh")
    await world.run(Phase.SOURCE, name)
    lock = git_of(await world.get(name), "upstreamLock")
    assert (lock["ref"], lock["commit"]) == ("main", git_of(upstream, "selfLock")["commit"])
    assert ("Warning", "SourceMoves", 1) in await world.told(name)
    source = upgrade(newUpstream="blueprints.web.main")
    name = await create_clone(world, source, workspace="v2")
    await world.run(Phase.SOURCE, name)
    assert show(clone.path, BRANCH, f"{ROOT}/settings.yaml") == MERGED_CONFIG
    assert ("Warning", "SourceMoves", 1) in await world.told(name)
