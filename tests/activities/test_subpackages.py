"""Subpackage operations on a real API server and real Git: clones into a draft and upgrades in it, and each refusal."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from porchflow.api.error_kinds import ErrorKind
from porchflow.api.work.needs import Phase, plan
from porchflow.api.work.subpackage import operation_hash
from porchflow.kpt.format.kptfile import parse
from tests.activities.upstream import CONFIG, create_secret, fill, git_of, publish, publish_upstream, push_tree, tree
from tests.activities.world import World, condition, reason
from tests.e2e.packages import messages, show
from tests.e2e.rules import check_rules
from tests.servers.git import GitRepository

SHOP = "blueprints.shop.v1"
BRANCH = "drafts/shop/v1"
DIR = "parts/db"
LOCAL = "\n# ours\n"


def clone(name: str = "blueprints.web.v1", folder: str = DIR) -> dict[str, Any]:
    return {"subpackageDir": folder, "cloneFrom": {"upstreamRef": {"name": name}}}


def clone_of_git(url: str, ref: str = "main", directory: str = "apps/web", **more: Any) -> dict[str, Any]:
    git = {"repo": url, "ref": ref, "directory": directory, **more}
    return {"subpackageDir": DIR, "cloneFrom": {"type": "git", "git": git}}


def upgrade(old: str = "blueprints.web.v1", new: str = "blueprints.web.v2", **more: Any) -> dict[str, Any]:
    named = {"oldUpstream": {"name": old}, "newUpstream": {"name": new}, "currentPackage": {"name": SHOP}, **more}
    return {"subpackageDir": DIR, "upgrade": {key: value for key, value in named.items() if value is not None}}


async def ask(world: World, operation: dict[str, Any] | None, name: str = SHOP) -> None:
    await world.patch(name, {"spec": {"subpackageOperation": None}})
    if operation is not None:
        await world.patch(name, {"spec": {"subpackageOperation": operation}})


async def do(world: World, operation: dict[str, Any], name: str = SHOP) -> None:
    """Ask for an operation, and reconcile until nothing is left to do."""
    await ask(world, operation, name)
    await world.settle(name)
    obj = await world.get(name)
    assert reason(obj, "Ready") == "True/Ready", condition(obj, "Ready")
    check_rules(obj)


async def refused(world: World, operation: dict[str, Any]) -> str:
    """Ask for an operation that must stall; what it says. Nothing is committed."""
    await ask(world, operation)
    before = world.git.refs()
    said = await world.fails(Phase.SUBPACKAGE, SHOP, ErrorKind.STALLED)
    assert world.git.refs() == before
    obj = await world.get(SHOP)
    assert "lastSubpackageOperationHash" not in obj["status"]
    found = condition(obj, "Ready")
    assert found is not None
    assert found.status == "False"
    assert found.message == said
    return said


async def draft(world: World, **files: str | bytes) -> str:
    """Make the draft of another package, with files of its own."""
    name = await world.create("v1", name=SHOP, packageName="shop")
    await world.run(Phase.SOURCE, name)
    if files:
        await pushed(
            world, lambda folder: fill(folder, {path.replace("__", "/"): text for path, text in files.items()})
        )
    return name


async def pushed(world: World, change: Callable[[Path], object], branch: str = BRANCH) -> None:
    commit = await push_tree(world.git.url, branch, lambda folder: change(folder / "shop"), world.folder)
    await world.annotate(SHOP, render_request=commit)


async def second(world: World, text: str = CONFIG.replace("blue", "green")) -> None:
    """Publish the second revision of the upstream."""
    await world.create("v2", source={"copyFrom": {"name": "blueprints.web.v1"}})
    await world.run(Phase.SOURCE, "blueprints.web.v2")

    def change(folder: Path) -> None:
        (folder / "web/settings.yaml").write_text(text)
        (folder / "web/more.bin").write_bytes(b"\0more")

    await publish(world, "blueprints.web.v2", world.git.url, "drafts/web/v2", change)


@pytest.fixture
async def shop(world: World) -> World:
    """A published upstream `web`, and a draft of `shop`."""
    await publish_upstream(world)
    await draft(world)
    return world


# Clones


@pytest.mark.parametrize("folder", [DIR, ".hidden/x..y/my_db"])
async def test_a_clone_is_a_subpackage_that_knows_its_upstream(shop: World, folder: str) -> None:
    before = tree(shop.git.path, f"{BRANCH}:shop")
    await do(shop, clone(folder=folder))
    after, upstream = tree(shop.git.path, f"{BRANCH}:shop"), tree(shop.git.path, "web/v1:web")
    own = {path.removeprefix(f"{folder}/"): entry for path, entry in after.items() if path.startswith(f"{folder}/")}
    assert own.keys() == upstream.keys()
    assert {path for path in own if own[path] != upstream[path]} == {"Kptfile", "package-context.yaml"}
    rest = {path: entry for path, entry in after.items() if not path.startswith(f"{folder}/")}
    assert {path for path in rest if rest[path] != before.get(path)} <= {"Kptfile"}
    text = show(shop.git.path, BRANCH, f"shop/{folder}/Kptfile")
    assert text.startswith("# What a web app needs.\n")
    kptfile = parse(text)
    assert kptfile.name == folder.replace("/", ".")
    lock = git_of(await shop.get("blueprints.web.v1"), "selfLock")
    assert kptfile.upstream_lock is not None
    assert kptfile.upstream_lock.git is not None
    assert (kptfile.upstream_lock.git.ref, kptfile.upstream_lock.git.commit) == ("web/v1", lock["commit"])
    obj = await shop.get(SHOP)
    change = obj["status"]["lastSubpackageChange"]
    assert (change["subpackageDir"], change["operation"]) == (folder, "clone")
    assert change["upstream"]["commit"] == lock["commit"]
    assert obj["status"]["lastSubpackageOperationHash"] == operation_hash(obj["spec"]["subpackageOperation"])
    assert obj["status"]["selfLock"]["git"]["commit"] == shop.git.refs()[f"refs/heads/{BRANCH}"]
    assert "upstreamLock" not in obj["status"]


async def test_a_clone_has_no_status_of_its_upstream(world: World) -> None:
    await publish_upstream(world)
    assert "status:" in show(world.git.path, "web/v1", "web/Kptfile")
    await draft(world)
    await ask(world, clone())
    await world.run(Phase.SUBPACKAGE, SHOP)
    assert "status:" not in show(world.git.path, BRANCH, f"shop/{DIR}/Kptfile")


async def test_the_same_operation_is_done_once(shop: World) -> None:
    await do(shop, clone())
    commit = shop.git.refs()[f"refs/heads/{BRANCH}"]
    await shop.patch(SHOP, {"spec": {"subpackageOperation": clone()}})
    assert not plan(await shop.facts(SHOP))
    await shop.annotate(SHOP, reconcile_now="git-of-a-sync")
    assert Phase.SUBPACKAGE not in plan(await shop.facts(SHOP))
    await shop.annotate(SHOP, reconcile_now="again")
    await shop.settle(SHOP)
    assert shop.git.git("diff", "--stat", commit, BRANCH, "--", f"shop/{DIR}") == ""
    assert messages(shop.git.path, BRANCH).count("Changing subpackage") == 1


async def test_a_clone_of_an_address_keeps_the_commit_that_its_branch_had(shop: World, catalog: GitRepository) -> None:
    await do(shop, clone_of_git(catalog.url))
    first = (await shop.get(SHOP))["status"]["lastSubpackageChange"]["upstream"]
    assert (first["ref"], first["directory"]) == ("main", "apps/web")
    assert first["commit"] == catalog.refs()["refs/heads/main"]


async def test_a_branch_that_moved_is_asked_for_again(shop: World, catalog: GitRepository) -> None:
    """By a new token or by taking the operation away and setting it again; what both sides changed is merged."""
    await do(shop, clone_of_git(catalog.url))
    await pushed(shop, lambda folder: (folder / DIR / "own.txt").write_text("ours\n"))
    await shop.settle(SHOP)

    def move(color: str) -> Callable[[Path], object]:
        return lambda folder: (folder / "apps/web/settings.yaml").write_text(CONFIG.replace("blue", color))

    tip = await push_tree(catalog.url, "main", move("green"), shop.folder)
    await shop.settle(SHOP)
    assert "blue" in show(shop.git.path, BRANCH, f"shop/{DIR}/settings.yaml")
    await shop.annotate(SHOP, reconcile_now="again")
    await shop.settle(SHOP)
    assert "green" in show(shop.git.path, BRANCH, f"shop/{DIR}/settings.yaml")
    assert show(shop.git.path, BRANCH, f"shop/{DIR}/own.txt") == "ours\n"
    assert (await shop.get(SHOP))["status"]["lastSubpackageChange"]["upstream"]["commit"] == tip

    tip = await push_tree(catalog.url, "main", move("red"), shop.folder)
    await shop.patch(SHOP, {"spec": {"subpackageOperation": None}})
    await shop.settle(SHOP)
    status = (await shop.get(SHOP))["status"]
    assert "lastSubpackageOperationHash" not in status
    assert status["lastSubpackageChange"]["operation"] == "clone"
    await do(shop, clone_of_git(catalog.url))
    assert "red" in show(shop.git.path, BRANCH, f"shop/{DIR}/settings.yaml")
    assert (await shop.get(SHOP))["status"]["lastSubpackageChange"]["upstream"]["commit"] == tip


async def test_a_subpackage_that_was_removed_is_cloned_anew_where_that_is_asked(shop: World) -> None:
    await do(shop, clone())
    await pushed(shop, lambda folder: [path.unlink() for path in (folder / DIR).rglob("*") if not path.is_dir()])
    await shop.settle(SHOP)
    assert not [path for path in tree(shop.git.path, f"{BRANCH}:shop") if path.startswith(DIR)]
    await ask(shop, None)
    await shop.settle(SHOP)
    await do(shop, clone())
    assert f"{DIR}/Kptfile" in tree(shop.git.path, f"{BRANCH}:shop")


async def test_a_reconcile_for_another_reason_does_not_need_the_upstream_of_what_was_done(shop: World) -> None:
    await do(shop, clone())
    await shop.delete_whatever_it_takes("blueprints.web.v1")
    await shop.annotate(SHOP, reconcile_now="again")
    await shop.settle(SHOP)
    assert reason(await shop.get(SHOP), "Ready") == "True/Ready"
    (event,) = [each for each in await shop.events_on(SHOP) if each["reason"] == "SourceNotFound"]
    assert event["message"].startswith("not done again: waiting for PackageRevision 'blueprints.web.v1'")


async def test_several_subpackages_side_by_side(shop: World) -> None:
    await second(shop)
    folders = ["a/b/c/one", "a/b/c/two", "a/three", "a/b/four"]
    for folder in folders:
        await do(shop, clone(folder=folder))
    for folder in folders:
        await do(shop, {**upgrade(), "subpackageDir": folder})
        assert "ref: web/v2" in show(shop.git.path, BRANCH, f"shop/{folder}/Kptfile")
        assert "green" in show(shop.git.path, BRANCH, f"shop/{folder}/settings.yaml")


async def test_an_operation_in_a_new_object_comes_after_its_source(world: World) -> None:
    """Where no policy refuses it."""
    await publish_upstream(world)
    await world.create("v1", name=SHOP, packageName="shop", subpackageOperation=clone())
    await world.settle(SHOP)
    assert reason(await world.get(SHOP), "Ready") == "True/Ready"
    assert f"{DIR}/Kptfile" in tree(world.git.path, f"{BRANCH}:shop")


# Upgrades


async def test_an_upgrade_merges_what_upstream_and_the_draft_changed(shop: World) -> None:
    await second(shop)
    await do(shop, clone())
    await pushed(shop, lambda folder: (folder / DIR / "own.txt").write_text("ours\n"))
    await do(shop, upgrade())
    assert "green" in show(shop.git.path, BRANCH, f"shop/{DIR}/settings.yaml")
    assert show(shop.git.path, BRANCH, f"shop/{DIR}/own.txt") == "ours\n"
    assert f"{DIR}/more.bin" in tree(shop.git.path, f"{BRANCH}:shop")
    kptfile = parse(show(shop.git.path, BRANCH, f"shop/{DIR}/Kptfile"))
    assert kptfile.name == "parts.db"
    assert kptfile.upstream is not None
    assert kptfile.upstream.git is not None
    assert kptfile.upstream.git.ref == "web/v2"
    change = (await shop.get(SHOP))["status"]["lastSubpackageChange"]
    assert (change["operation"], change["upstream"]["ref"]) == ("upgrade", "web/v2")


@pytest.mark.parametrize("current", [None, {"name": SHOP}])
async def test_the_current_package_is_this_one_or_left_out(shop: World, current: Any) -> None:
    await second(shop)
    await do(shop, clone())
    await do(shop, upgrade(currentPackage=current))
    assert "green" in show(shop.git.path, BRANCH, f"shop/{DIR}/settings.yaml")


async def test_a_conflict_is_told_and_does_not_stop_the_upgrade(shop: World) -> None:
    await second(shop)
    await do(shop, clone())
    await pushed(shop, lambda folder: (folder / DIR / "settings.yaml").write_text(CONFIG.replace("blue", "red")))
    await shop.settle(SHOP)
    await ask(shop, upgrade())
    result = await shop.run(Phase.SUBPACKAGE, SHOP)
    assert result.summary.endswith(", 1 conflict")
    assert "green" in show(shop.git.path, BRANCH, f"shop/{DIR}/settings.yaml")
    assert ("Warning", "MergeConflict", 1) in await shop.told(SHOP)


async def test_fast_forward_takes_a_subpackage_that_nobody_changed(shop: World) -> None:
    await second(shop)
    await do(shop, clone())
    await do(shop, upgrade(strategy="fast-forward"))
    assert "green" in show(shop.git.path, BRANCH, f"shop/{DIR}/settings.yaml")


async def test_fast_forward_refuses_local_changes_and_another_strategy_overwrites_them(shop: World) -> None:
    await second(shop)
    await do(shop, clone())
    await pushed(shop, lambda folder: (folder / DIR / "settings.yaml").write_text(CONFIG + LOCAL))
    await shop.settle(SHOP)
    await ask(shop, upgrade(strategy="fast-forward"))
    assert "settings.yaml" in await shop.fails(Phase.SUBPACKAGE, SHOP, ErrorKind.STALLED)
    await do(shop, upgrade(strategy="force-delete-replace"))
    assert LOCAL not in show(shop.git.path, BRANCH, f"shop/{DIR}/settings.yaml")
    await pushed(shop, lambda folder: (folder / DIR / "settings.yaml").write_text(CONFIG + LOCAL))
    await shop.settle(SHOP)
    await do(shop, upgrade("blueprints.web.v2", strategy="force-delete-replace"))
    assert "green" in show(shop.git.path, BRANCH, f"shop/{DIR}/settings.yaml")


# Refusals


async def refusal(world: World, operation: dict[str, Any], why: str) -> str:
    said = await refused(world, operation)
    obj = await world.get(SHOP)
    assert reason(obj, "Stalled") == f"True/{why}"
    assert reason(obj, "Rendered") == "True/Rendered"
    return said


async def test_a_folder_that_is_taken_is_refused(world: World) -> None:
    await publish_upstream(world)
    await draft(world, **{"taken__notes.txt": "x\n", "file": "x\n", "deep__er__Kptfile": "apiVersion: kpt.dev/v1\n"})
    await pushed(world, lambda folder: (folder / "deep/er/Kptfile").unlink())
    await world.settle(SHOP)
    for folder, words in {
        "taken": "cannot clone a subpackage into 'taken' of this package: it holds files already",
        "file": "cannot clone a subpackage into 'file' of this package: it holds files already",
        "Kptfile": "cannot clone a subpackage into 'Kptfile'",
    }.items():
        assert words in await refusal(world, clone(folder=folder), "PackageExists")
    assert "'file' is a file" in await refusal(world, clone(folder="file/below"), "InvalidSpec")


async def test_a_subpackage_of_another_upstream_is_not_replaced(shop: World) -> None:
    await second(shop)
    await do(shop, clone())
    await shop.patch(SHOP, {"spec": {"subpackageOperation": clone("blueprints.web.v2")}})
    said = await shop.fails(Phase.SUBPACKAGE, SHOP, ErrorKind.STALLED)
    assert "it holds a subpackage from web of" in said
    assert "'web/v1'" in said
    await do(shop, clone())


async def test_a_folder_in_or_around_another_subpackage_is_refused(shop: World) -> None:
    await do(shop, clone(folder="a/b"))
    for folder, words, why in (
        ("a/b/c", "'a/b/c' lies in another subpackage, 'a/b'", "PackageOverlap"),
        ("a", "into 'a' of this package: it holds files already", "PackageExists"),
    ):
        await ask(shop, clone(folder=folder))
        assert words in await shop.fails(Phase.SUBPACKAGE, SHOP, ErrorKind.STALLED)
        assert reason(await shop.get(SHOP), "Stalled") == f"True/{why}"
    await ask(shop, {**upgrade(), "subpackageDir": "a/b/db"})
    assert "lies in another subpackage, 'a/b'" in await shop.fails(Phase.SUBPACKAGE, SHOP, ErrorKind.STALLED)


async def test_a_folder_of_another_package_of_the_repository_is_refused(shop: World) -> None:
    """One that lies below, published before there was anything that refused this."""
    await push_tree(
        shop.git.url,
        "main",
        lambda at: fill(at / "shop/edge/db", {"Kptfile": "apiVersion: kpt.dev/v1\nkind: Kptfile\n"}),
        shop.folder,
        tag="shop/edge/db/v1",
    )
    for folder in ("edge/db", "edge", "edge/db/more"):
        await ask(shop, clone(folder=folder))
        said = await shop.fails(Phase.SUBPACKAGE, SHOP, ErrorKind.STALLED)
        assert "'edge/db' is a package of its own in this repository" in said
    await do(shop, clone(folder="edge/other"))


async def test_an_upgrade_of_no_subpackage_is_refused(world: World) -> None:
    await publish_upstream(world)
    await second(world)
    await draft(world, **{"plain__notes.txt": "x\n"})
    await world.settle(SHOP)
    for folder, words in {"none": "it is not found in the package", "plain": "it has no Kptfile"}.items():
        assert words in await refusal(world, {**upgrade(), "subpackageDir": folder}, "InvalidSpec")


async def test_the_subpackage_of_another_object_is_not_upgraded(shop: World) -> None:
    await do(shop, clone())
    await ask(shop, upgrade(currentPackage={"name": "blueprints.web.v1"}))
    said = await shop.fails(Phase.SUBPACKAGE, SHOP, ErrorKind.STALLED)
    assert f"it has to be '{SHOP}' or left out" in said


@pytest.mark.parametrize(
    ("operation", "words"),
    [
        (clone(""), "cloneFrom.upstreamRef names no PackageRevision; set the field again"),
        ({"subpackageDir": DIR, "cloneFrom": {}}, "cloneFrom says not what to clone: set the field again"),
        (clone(folder=".git"), "is no folder below the package"),
        (clone(folder="a\u0007"), "control character"),
        (clone_of_git("https://git.example.com/x", directory="../up"), "leads out of the repository; set the field"),
        (clone_of_git("ftp://git.example.com/x"), "with the right address"),
    ],
)
async def test_an_operation_that_says_nothing_usable_is_refused(shop: World, operation: Any, words: str) -> None:
    assert words in await refusal(shop, operation, "InvalidSpec")


async def test_a_package_without_a_kptfile_gets_no_subpackage(world: World) -> None:
    await publish_upstream(world)
    await world.create("v1", name=SHOP, packageName="shop", source={"init": {"subpackage": "deep"}})
    await world.run(Phase.SOURCE, SHOP)
    assert "no Kptfile at its root" in await refused(world, clone())


async def test_an_upstream_that_is_no_package_is_refused(shop: World, catalog: GitRepository) -> None:
    assert "is no package" in await refusal(shop, clone_of_git(catalog.url, directory="apps"), "InvalidPackage")


@pytest.mark.parametrize("field", ["old", "new", "clone"])
async def test_an_upstream_that_is_not_published_is_waited_for(shop: World, field: str) -> None:
    await do(shop, clone())
    await shop.create("v2", source={"copyFrom": {"name": "blueprints.web.v1"}})
    await shop.run(Phase.SOURCE, "blueprints.web.v2")
    operation = {
        "old": upgrade("blueprints.web.v2", "blueprints.web.v1"),
        "new": upgrade(),
        "clone": clone("blueprints.web.v2", "other"),
    }[field]
    if field == "old":
        # Else it is as it was asked for.
        operation["upgrade"]["strategy"] = "copy-merge"
    await ask(shop, operation)
    context = (await shop.facts(SHOP)).context
    said = await shop.fails(Phase.SUBPACKAGE, SHOP, ErrorKind.WAITING)
    assert "which spec.subpackageOperation." in said
    assert reason(await shop.get(SHOP), "Ready") == "False/SourceNotPublished"
    await publish(shop, "blueprints.web.v2", shop.git.url, "drafts/web/v2")
    assert (await shop.facts(SHOP)).context != context
    await shop.settle(SHOP)
    assert reason(await shop.get(SHOP), "Ready") == "True/Ready"


async def test_a_cause_that_was_mended_is_asked_for_again(world: World) -> None:
    await publish_upstream(world)
    await draft(world, **{"parts__db__notes.txt": "x\n"})
    await world.settle(SHOP)
    await refused(world, clone())
    await pushed(world, lambda folder: (folder / DIR / "notes.txt").unlink())
    await world.settle(SHOP)
    obj = await world.get(SHOP)
    assert reason(obj, "Ready") == "True/Ready"
    assert f"{DIR}/Kptfile" in tree(world.git.path, f"{BRANCH}:shop")


async def test_content_that_is_pushed_while_an_operation_is_refused_is_rendered_without_it(world: World) -> None:
    await publish_upstream(world)
    await draft(world, **{"parts__db__notes.txt": "x\n"})
    await world.settle(SHOP)
    await refused(world, clone())
    await pushed(world, lambda folder: (folder / "more.txt").write_text("x\n"))
    await world.fails(Phase.SUBPACKAGE, SHOP, ErrorKind.STALLED)
    obj = await world.get(SHOP)
    assert reason(obj, "Rendered") == "False/Pending"
    await ask(world, None)
    await world.settle(SHOP)
    obj = await world.get(SHOP)
    assert (reason(obj, "Ready"), reason(obj, "Rendered")) == ("True/Ready", "True/Rendered")


@pytest.mark.parametrize("lifecycle", ["Proposed", "Published"])
async def test_what_is_no_draft_is_not_changed(shop: World, lifecycle: str) -> None:
    for step in ("Proposed", "Published")[: 1 if lifecycle == "Proposed" else 2]:
        await shop.ask(SHOP, step)
        await shop.settle(SHOP)
    refs = shop.git.refs()
    await ask(shop, clone())
    said = await shop.fails(Phase.SUBPACKAGE, SHOP, ErrorKind.STALLED)
    assert f"changes the content of a Draft, and this is {lifecycle}" in said
    assert shop.git.refs() == refs
    await ask(shop, None)
    await shop.settle(SHOP)
    assert reason(await shop.get(SHOP), "Ready") == "True/Ready"


async def test_a_published_revision_whose_status_was_lost_has_its_subpackage(shop: World) -> None:
    await do(shop, clone())
    for step in ("Proposed", "Published"):
        await shop.ask(SHOP, step)
        await shop.settle(SHOP)
    obj = await shop.get(SHOP)
    digest = obj["status"]["lastSubpackageOperationHash"]
    await shop.patch(SHOP, {"status": {"lastSubpackageOperationHash": None}}, "status")
    await shop.settle(SHOP)
    obj = await shop.get(SHOP)
    assert obj["status"]["lastSubpackageOperationHash"] == digest
    assert reason(obj, "Ready") == "True/Ready"


async def test_a_proposal_that_is_taken_back_can_ask(shop: World) -> None:
    await shop.ask(SHOP, "Proposed")
    await shop.settle(SHOP)
    await shop.patch(SHOP, {"spec": {"lifecycle": "Draft", "subpackageOperation": clone()}})
    await shop.settle(SHOP)
    assert reason(await shop.get(SHOP), "Ready") == "True/Ready"
    assert f"{DIR}/Kptfile" in tree(shop.git.path, f"{BRANCH}:shop")


async def test_a_draft_is_proposed_with_the_subpackage_that_it_asked_for(shop: World) -> None:
    await shop.patch(SHOP, {"spec": {"lifecycle": "Proposed", "subpackageOperation": clone()}})
    await shop.settle(SHOP)
    assert reason(await shop.get(SHOP), "Ready") == "True/Ready"
    assert f"{DIR}/Kptfile" in tree(shop.git.path, "proposed/shop/v1:shop")


async def test_a_secret_of_others_is_sent_nowhere_without_the_policy(shop: World, catalog: GitRepository) -> None:
    await create_secret(shop, "theirs", "user", "secret", hosts="elsewhere.example.com")
    said = await refusal(shop, clone_of_git(catalog.url, secretRef={"name": "theirs"}), "InvalidSecret")
    assert "theirs" in said


# Interruptions


async def test_a_push_meanwhile_is_not_lost(shop: World, other: World) -> None:
    await ask(shop, clone())
    real = other.store.commit_on_draft
    pushes = iter([True])

    async def slow(*args: Any, **kwargs: Any) -> str:
        if next(pushes, False):
            await pushed(shop, lambda folder: (folder / "meanwhile.txt").write_text("x\n"))
        return await real(*args, **kwargs)

    other.store.commit_on_draft = slow  # type: ignore[method-assign]
    obj = await shop.get(SHOP)
    await other.fails(Phase.SUBPACKAGE, SHOP, ErrorKind.SUPERSEDED, obj=obj)
    await other.settle(SHOP)
    files = tree(shop.git.path, f"{BRANCH}:shop")
    assert {"meanwhile.txt", f"{DIR}/Kptfile"} <= files.keys()
    assert messages(shop.git.path, BRANCH).count("Changing subpackage") == 1


@pytest.mark.parametrize("operation", [clone(), upgrade(strategy="fast-forward")])
async def test_an_operation_that_ends_at_any_of_its_writes_is_finished_by_the_next_attempt(
    shop: World, operation: dict[str, Any]
) -> None:
    if "upgrade" in operation:
        await second(shop)
        await do(shop, clone())
    await ask(shop, operation)
    obj = await shop.get(SHOP)
    for write in range(1, 10):
        shop.worker.stop_at(write)
        try:
            await shop.run(Phase.SUBPACKAGE, SHOP, attempt=write, obj=obj)
        except asyncio.CancelledError:
            if write == 1:
                # Newer content on top of what was done hides nothing.
                await push_tree(shop.git.url, BRANCH, lambda at: (at / "shop/top.txt").write_text("x"), shop.folder)
            continue
        break
    assert write > 1
    shop.worker.before_write = None
    await shop.settle(SHOP)
    assert reason(await shop.get(SHOP), "Ready") == "True/Ready"
    wanted = 2 if "upgrade" in operation else 1
    assert messages(shop.git.path, BRANCH).count("Changing subpackage") == wanted
    assert {"top.txt", f"{DIR}/Kptfile"} <= tree(shop.git.path, f"{BRANCH}:shop").keys()


async def test_a_migrated_object_with_porchs_digest_is_left_alone(shop: World) -> None:
    """What Porch did is not done again: its digest is ours."""
    await shop.patch(SHOP, {"status": {"lastSubpackageOperationHash": operation_hash(clone())}}, "status")
    await shop.patch(SHOP, {"spec": {"subpackageOperation": clone()}})
    assert Phase.SUBPACKAGE not in plan(await shop.facts(SHOP))
