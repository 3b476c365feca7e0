"""Clone and copy on a real API server and real Git."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from activities.definitions import ErrorKind, Phase
from cli.stack.gitserver import GitServer, create_bare_repository
from functions.errors import RunnerUnavailable
from kpt.evaluation import Evaluation
from kpt.kptfile import parse
from kube.client import Object
from tests.activities.upstream import (
    BINARY,
    CONFIG,
    CONTEXT,
    FILES,
    clone_from_git,
    clone_of,
    create_secret,
    fill,
    push_tree,
    raw,
    tree,
)
from tests.activities.world import World, reason
from tests.e2e.packages import KPTFILE, messages, push_content, show
from tests.e2e.rules import check_rules
from tests.servers.git import GitRepositories, GitRepository


@pytest.fixture
async def catalog(git_server: GitRepositories, world: World) -> GitRepository:
    """A repository that is not registered: a package at `apps/web`, and the same at the root."""
    repository = git_server.create()

    def content(clone: Path) -> None:
        fill(clone / "apps/web")
        fill(clone)

    await push_tree(repository.url, "main", content, world.folder, tag="apps/web/v1")
    return repository


async def publish_upstream(world: World, workspace: str = "v1", fill: Callable[[Path], object] = fill) -> str:
    """Publish `blueprints.web.<workspace>` with the content of `fill`."""
    name = await world.draft(workspace)
    await publish(world, name, world.git.url, f"drafts/web/{workspace}", lambda clone: fill(clone / "web"))
    return name


async def publish(
    world: World, name: str, url: str, branch: str, change: Callable[[Path], object] | None = None
) -> None:
    """Change a draft in Git, render, propose and publish it."""
    if change is not None:
        pushed = await push_tree(url, branch, change, world.folder)
        await world.annotate(name, render_request=pushed)
        await world.run(Phase.RENDER, name)
    for lifecycle in ("Proposed", "Published"):
        await world.ask(name, lifecycle)
        await world.run(Phase.LIFECYCLE, name)


async def create_clone(world: World, source: dict[str, Any], package: str = "shop/web", workspace: str = "v1") -> str:
    name = f"deployments.{package.replace('/', '.')}.{workspace}"
    return await world.create(workspace, name=name, repository="deployments", packageName=package, source=source)


def git_of(obj: Object, lock: str) -> dict[str, str]:
    found: dict[str, str] = obj["status"][lock]["git"]
    return found


async def test_a_clone_of_a_package_revision(world: World, deployments: GitRepository) -> None:
    upstream = await publish_upstream(world)
    lock = git_of(await world.get(upstream), "selfLock")
    name = await create_clone(world, clone_of(upstream))
    result = await world.run(Phase.SOURCE, name)
    assert (result.rendered, result.summary[:5]) == (True, "clone")
    obj = await world.get(name)
    assert obj["status"]["creationSource"] == "clone"
    assert reason(obj, "Ready") == "True/Ready"
    check_rules(obj)
    branch = "drafts/live/shop/web/v1"
    assert messages(deployments.path, branch) == ["Creating new revision by cloning", "content"]
    annotation = 'kpt:{"package":"live/shop/web","workspaceName":"v1","revision":"0","task":{"type":"clone"}}'
    assert annotation in deployments.git("log", "-1", "--format=%B", branch)

    text = show(deployments.path, branch, "live/shop/web/Kptfile")
    kptfile = parse(text)
    assert kptfile.name == "shop/web"
    assert kptfile.upstream is not None
    assert kptfile.upstream.git is not None
    place = {"repo": world.git.url, "directory": "web", "ref": "web/v1"}
    assert world.git.url.endswith(".git")
    assert kptfile.upstream.git.model_dump() == place
    assert git_of(obj, "upstreamLock") == place | {"commit": lock["commit"]}
    assert kptfile.upstream_lock is not None
    assert kptfile.upstream_lock.git is not None
    assert kptfile.upstream_lock.git.model_dump() == git_of(obj, "upstreamLock")
    assert "# What a web app needs." in text
    assert "name: shop/web   # upstream's name\n" in text

    marked = (await world.get(upstream))["metadata"]["annotations"]["porchflow.dev/upstream-of"]
    assert marked == name
    second = await create_clone(world, clone_of(upstream), workspace="v2")
    before = await world.get(upstream)
    await world.run(Phase.SOURCE, second)
    assert await world.get(upstream) == before, "marked once"

    new, old = tree(deployments.path, f"{branch}:live/shop/web"), tree(world.git.path, "web/v1:web")
    changed = {"Kptfile", "package-context.yaml"}
    assert {path for path in new if new[path] != old[path]} == changed
    assert new.keys() == old.keys() == {*FILES, "README.md", "run.sh", "start"}
    assert new["run.sh"].startswith("100755")
    assert new["start"].startswith("120000")
    assert raw(deployments.path, branch, "live/shop/web/logo.png") == BINARY
    context = show(deployments.path, branch, "live/shop/web/package-context.yaml")
    assert context == CONTEXT.replace("name: example", "name: shop/web")


async def test_an_upstream_is_marked_wherever_the_source_is_cut_off(world: World) -> None:
    upstream = await world.published()
    for write in itertools.count(1):
        name = await world.create(f"w{write}", source=clone_of(upstream))
        await world.annotate(upstream, upstream_of=None)
        world.worker.stop_at(write)
        try:
            await world.run(Phase.SOURCE, name)
        except asyncio.CancelledError:
            world.worker.before_write = None
            await world.run(Phase.SOURCE, name, attempt=2)
        else:
            break
        assert (await world.get(upstream))["metadata"]["annotations"]["porchflow.dev/upstream-of"] == name
    assert write > 3


REFS = {"branch": "main", "tag": "apps/web/v1", "tag below the directory": "v1", "commit": ""}


async def test_a_clone_from_git(world: World, deployments: GitRepository, catalog: GitRepository) -> None:
    commit = catalog.refs()["refs/heads/main"]
    for number, (kind, ref) in enumerate(REFS.items()):
        wanted, workspace = ref or commit, f"v{number}"
        source = clone_from_git(catalog.url.removesuffix(".git"), wanted, "/apps/web/")
        name = await create_clone(world, source, workspace=workspace)
        await world.run(Phase.SOURCE, name)
        lock = git_of(await world.get(name), "upstreamLock")
        assert lock == {"repo": catalog.url, "directory": "apps/web", "ref": wanted, "commit": commit}, kind
        new = tree(deployments.path, f"drafts/live/shop/web/{workspace}:live/shop/web")
        old = tree(catalog.path, "main:apps/web")
        assert {path for path in new if new[path] != old[path]} == {"Kptfile", "package-context.yaml"}, kind


async def test_a_package_at_the_root_of_a_repository_is_cloned(
    world: World, deployments: GitRepository, catalog: GitRepository
) -> None:
    name = await create_clone(world, clone_from_git(catalog.url, "main", "/"))
    await world.run(Phase.SOURCE, name)
    assert git_of(await world.get(name), "upstreamLock")["directory"] == ""
    assert show(deployments.path, "drafts/live/shop/web/v1", "live/shop/web/apps/web/settings.yaml") == CONFIG


async def test_a_clone_with_builtin_functions_is_rendered_at_once(
    world: World, deployments: GitRepository, catalog: GitRepository
) -> None:
    await push_content(catalog.url, "main", "apps/web", {"Kptfile": KPTFILE}, world.folder)
    name = await create_clone(world, clone_from_git(catalog.url, "main", "apps/web"))
    result = await world.run(Phase.SOURCE, name)
    assert result.rendered
    obj = await world.get(name)
    check_rules(obj)
    assert (reason(obj, "Ready"), reason(obj, "Rendered")) == ("True/Ready", "True/Rendered")
    assert git_of(obj, "upstreamLock")["ref"] == "main", "kept"
    branch = "drafts/live/shop/web/v1"
    assert messages(deployments.path, branch)[0] == "Creating new revision by cloning, rendered"
    assert "RenderSuccess" in show(deployments.path, branch, "live/shop/web/Kptfile")
    await world.run(Phase.RENDER, name)
    assert git_of(await world.get(name), "selfLock")["commit"] == result.commit, "it was rendered like any other"


@pytest.mark.parametrize("trouble", ["image", "constraint", "size", "failure", "runner"])
async def test_a_clone_whose_functions_may_take_long_or_fail_is_left_to_the_render_queue(
    world: World, deployments: GitRepository, catalog: GitRepository, trouble: str
) -> None:
    files = {"Kptfile": KPTFILE}
    if trouble == "image":
        files["Kptfile"] = KPTFILE.replace("set-namespace:v0.4.5", "example.com/set-namespace:v0.4.5")
    if trouble == "constraint":
        files["Kptfile"] = KPTFILE.replace("set-namespace:v0.4.5", 'set-namespace\n      tag: "~0.4"')
    if trouble == "size":
        files["large.yaml"] = CONFIG + "# " + "x" * 64 * 1024 + "\n"
    if trouble == "failure":
        files["Kptfile"] = KPTFILE.replace("namespace:", "no-namespace:")
    if trouble == "runner":
        world.evaluator = away
    await push_content(catalog.url, "main", "apps/web", files, world.folder)
    name = await create_clone(world, clone_from_git(catalog.url, "main", "apps/web"))
    result = await world.run(Phase.SOURCE, name)
    assert not result.rendered
    obj = await world.get(name)
    assert reason(obj, "Rendered") == "Unknown/Pending"
    assert messages(deployments.path, "drafts/live/shop/web/v1")[0] == "Creating new revision by cloning"
    assert git_of(obj, "upstreamLock")["ref"] == "main"
    if trouble == "size":
        await world.run(Phase.RENDER, name, commit=result.commit)
        assert reason(await world.get(name), "Ready") == "True/Ready"
    elif trouble == "runner":
        await world.fails(Phase.RENDER, name, ErrorKind.TRANSIENT, commit=result.commit)
    else:
        await world.fails(Phase.RENDER, name, ErrorKind.STALLED, commit=result.commit)
        assert reason(await world.get(name), "Rendered").startswith("False/")


async def away(image: str, resource_list: bytes) -> Evaluation:
    raise RunnerUnavailable("runner:9445", image, "nobody answers")


@pytest.mark.parametrize("upstream", ["there", "gone"])
async def test_functions_are_not_run_again_on_what_an_interrupted_attempt_made_by_them(
    world: World, deployments: GitRepository, catalog: GitRepository, upstream: str
) -> None:
    growing = KPTFILE.partition("pipeline:")[0] + GROWING
    await push_content(catalog.url, "main", "apps/web", {"Kptfile": growing}, world.folder)
    name = await create_clone(world, clone_from_git(catalog.url, "main", "apps/web"))
    obj = await world.get(name)
    for write in range(1, 20):
        world.worker.stop_at(write)
        try:
            result = await world.run(Phase.SOURCE, name, attempt=write, obj=obj)
        except asyncio.CancelledError:
            made = deployments.refs().get("refs/heads/drafts/live/shop/web/v1")
            if made and upstream == "gone" and catalog.path.exists():
                catalog.path.rename(catalog.path.with_suffix(".gone"))
            continue
        break
    world.worker.before_write = None
    assert write > 2
    assert result.rendered
    branch = "drafts/live/shop/web/v1"
    grown = show(deployments.path, branch, "live/shop/web/settings.yaml")
    assert grown.count("more-") == 1
    assert deployments.refs()[f"refs/heads/{branch}"] == made == git_of(await world.get(name), "selfLock")["commit"]


GROWING = """\
pipeline:
  mutators:
    - image: search-replace:v0.2.0
      configMap:
        by-path: metadata.name
        by-value-regex: (.*)
        put-value: more-${1}
"""


async def test_a_copy_is_the_same_byte_for_byte(world: World) -> None:
    first = await publish_upstream(world)
    name = await world.create("v2", source={"copyFrom": {"name": first}})
    result = await world.run(Phase.SOURCE, name)
    assert result.rendered
    obj = await world.get(name)
    assert obj["status"]["creationSource"] == "copy"
    assert "upstreamLock" not in obj["status"]
    assert tree(world.git.path, "drafts/web/v2:web") == tree(world.git.path, "web/v1:web")
    assert messages(world.git.path, "drafts/web/v2")[0] == "Creating new revision by copying previous revision"
    for lifecycle in ("Proposed", "Published"):
        await world.ask(name, lifecycle)
        await world.run(Phase.LIFECYCLE, name)
    assert (await world.get(name))["status"]["revision"] == 2


async def test_a_copy_of_a_clone_keeps_its_upstream(world: World, catalog: GitRepository) -> None:
    first = await world.create(source=clone_from_git(catalog.url, "main", "apps/web"))
    await world.run(Phase.SOURCE, first)
    for lifecycle in ("Proposed", "Published"):
        await world.ask(first, lifecycle)
        await world.run(Phase.LIFECYCLE, first)
    name = await world.create("v2", source={"copyFrom": {"name": first}})
    await world.run(Phase.SOURCE, name)
    assert git_of(await world.get(name), "upstreamLock") == git_of(await world.get(first), "upstreamLock")


@pytest.mark.parametrize("kind", ["clone", "git", "copy"])
async def test_a_source_that_ends_at_any_of_its_writes_is_finished_by_the_next_attempt(
    world: World, deployments: GitRepository, catalog: GitRepository, kind: str
) -> None:
    upstream = await publish_upstream(world)
    if kind == "copy":
        name = await world.create("v2", source={"copyFrom": {"name": upstream}})
    else:
        sources = {"clone": clone_of(upstream), "git": clone_from_git(catalog.url, "main", "apps/web")}
        name = await create_clone(world, sources[kind])
    obj = await world.get(name)
    for write in range(1, 20):
        world.worker.stop_at(write)
        try:
            await world.run(Phase.SOURCE, name, attempt=write, obj=obj)
        except asyncio.CancelledError:
            # What upstream does meanwhile changes nothing about what was made.
            if kind == "git":
                await push_content(catalog.url, "main", "apps/web", {"more.txt": str(write)}, world.folder)
            continue
        break
    assert write > 2
    world.worker.before_write = None
    bare, branch = (
        (world.git.path, "drafts/web/v2") if kind == "copy" else (deployments.path, "drafts/live/shop/web/v1")
    )
    subject = "Creating new revision by c"
    assert [message.startswith(subject) for message in messages(bare, branch)][:2] == [True, False]
    done = await world.get(name)
    check_rules(done)
    if kind != "copy":
        kptfile = parse(show(bare, branch, "live/shop/web/Kptfile"))
        assert kptfile.upstream_lock is not None
        assert kptfile.upstream_lock.git is not None
        assert git_of(done, "upstreamLock") == kptfile.upstream_lock.git.model_dump()


async def test_a_draft_that_was_made_counts_even_if_its_upstream_has_gone(
    world: World, deployments: GitRepository, catalog: GitRepository
) -> None:
    name = await create_clone(world, clone_from_git(catalog.url, "main", "apps/web"))
    obj = await world.get(name)
    world.worker.stop_at(3)
    with pytest.raises(asyncio.CancelledError):
        await world.run(Phase.SOURCE, name, obj=obj)
    world.worker.before_write = None
    made = deployments.refs()["refs/heads/drafts/live/shop/web/v1"]
    catalog.path.rename(catalog.path.with_suffix(".gone"))
    result = await world.run(Phase.SOURCE, name, attempt=2)
    assert result.commit == made
    assert (await world.get(name))["status"]["creationSource"] == "clone"


async def test_a_clone_waits_for_its_upstream_and_hears_when_it_is_published(
    world: World, deployments: GitRepository
) -> None:
    name = await create_clone(world, clone_of("blueprints.web.v1"))
    assert "there is none in namespace" in await world.fails(Phase.SOURCE, name, ErrorKind.WAITING)
    assert reason(await world.get(name), "Ready") == "False/SourceNotFound"
    before = (await world.facts(name)).context
    upstream = await world.draft()
    drafted = (await world.facts(name)).context
    assert "is Draft and not published" in await world.fails(Phase.SOURCE, name, ErrorKind.WAITING)
    assert reason(await world.get(name), "Ready") == "False/SourceNotPublished"
    check_rules(await world.get(name))
    await world.ask(upstream, "Proposed")
    await world.run(Phase.LIFECYCLE, upstream)
    assert (await world.facts(name)).context == drafted, "nothing that ends the wait"
    await world.ask(upstream, "Published")
    await world.run(Phase.LIFECYCLE, upstream)
    assert len({before, drafted, (await world.facts(name)).context}) == 3
    await world.run(Phase.SOURCE, name)
    assert (await world.get(name))["status"]["creationSource"] == "clone"


WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "no directory": (clone_from_git("URL", "main", "apps/none"), "GitNotFound", "has no directory 'apps/none'"),
    "no package": (clone_from_git("URL", "main", "apps"), "InvalidPackage", "is no package: it has no Kptfile"),
    "out of the repository": (
        clone_from_git("URL", "main", "apps/../.."),
        "InvalidSpec",
        "leads out of the repository",
    ),
    "no such branch": (clone_from_git("URL", "nine", "apps/web"), "GitNotFound", "no branch, tag or commit 'nine'"),
    "no such commit": (clone_from_git("URL", "a" * 40, "apps/web"), "GitNotFound", "aaaaaaaa"),
    "not a commit": (clone_from_git("URL", "TREE", "apps/web"), "GitNotFound", "is no commit"),
    "upstream gone": (clone_from_git("URLgone", "main", "apps/web"), "GitNotFound", "spec.source.cloneFrom.git"),
    "no address": (clone_from_git("file:///etc", "main", "apps/web"), "InvalidSpec", "http"),
    "nothing to clone": ({"cloneFrom": {"type": "git"}}, "InvalidSpec", "says not what to clone"),
    "copy of another package": ({"copyFrom": {"name": "blueprints.web.v1"}}, "InvalidSpec", "use cloneFrom"),
}


async def test_a_wrong_source_stalls_with_a_reason_of_its_own(
    world: World, deployments: GitRepository, catalog: GitRepository
) -> None:
    await world.published()
    for number, (wrong, (source, expected, words)) in enumerate(WRONG.items()):
        git = source.get("cloneFrom", {}).get("git")
        asked = source
        if git:
            ref = git["ref"].replace("TREE", catalog.git("rev-parse", "main^{tree}"))
            url = git["repo"].replace("URL", catalog.url.removesuffix(".git"))
            asked = clone_from_git(url, ref, git["directory"])
        name = await create_clone(world, asked, workspace=f"v{number}")
        fetches = world.store.stats.fetches
        assert words in await world.fails(Phase.SOURCE, name, ErrorKind.STALLED), wrong
        obj = await world.get(name)
        assert reason(obj, "Stalled") == f"True/{expected}", wrong
        check_rules(obj)
        assert world.store.stats.fetches - fetches <= 2, "the cache is not taken for damaged"
    assert list(deployments.refs()) == ["refs/heads/main"]


async def test_a_submodule_is_refused_and_a_link_that_leads_out_is_never_followed(
    world: World, deployments: GitRepository, catalog: GitRepository
) -> None:
    def leave(clone: Path) -> None:
        (clone / "apps/web/passwords").symlink_to("../../../../etc/passwd")
        (clone / "apps/web/out.yaml").symlink_to("/etc/passwd")

    await push_tree(catalog.url, "main", leave, world.folder)
    name = await create_clone(world, clone_from_git(catalog.url, "main", "apps/web"))
    await world.run(Phase.SOURCE, name)
    assert reason(await world.get(name), "Ready") == "True/Ready"
    files = tree(deployments.path, "drafts/live/shop/web/v1:live/shop/web")
    assert files["passwords"] == tree(catalog.path, "main:apps/web")["passwords"]
    assert raw(deployments.path, "drafts/live/shop/web/v1", "live/shop/web/out.yaml") == b"/etc/passwd"

    commit = catalog.refs()["refs/heads/main"]
    catalog.git("read-tree", "main")
    catalog.git("update-index", "--add", "--cacheinfo", f"160000,{commit},apps/web/module")
    made = catalog.git("commit-tree", catalog.git("write-tree"), "-p", commit, "-m", "a submodule")
    catalog.git("update-ref", "refs/heads/modules", made)
    name = await create_clone(world, clone_from_git(catalog.url, "modules", "apps/web"), workspace="v2")
    assert "module: is a submodule" in await world.fails(Phase.SOURCE, name, ErrorKind.STALLED)
    assert reason(await world.get(name), "Stalled") == "True/InvalidPackage"


@pytest.fixture
async def private(tmp_path: Path) -> AsyncIterator[GitServer]:
    """A server that asks for a password, with a package at `web` in the repository `private`."""
    root = tmp_path / "private"
    root.mkdir()
    create_bare_repository(root, "private", durable=False)
    async with GitServer(root) as seed:
        await push_tree(seed.repository_url("private"), "main", lambda clone: fill(clone / "web"), tmp_path)
    async with GitServer(root, username="ada", password="the-right-word") as server:
        yield server


async def test_credentials_for_a_clone(world: World, deployments: GitRepository, private: GitServer) -> None:
    url = private.repository_url("private")
    bare = await create_clone(world, clone_from_git(url, "main", "web"), workspace="none")
    assert "create it again with" in await world.fails(Phase.SOURCE, bare, ErrorKind.STALLED)
    assert reason(await world.get(bare), "Stalled") == "True/GitAuthFailed"

    name = await create_clone(world, clone_from_git(url, "main", "web", "upstream"))
    assert "spec.source.cloneFrom.git.secretRef" in await world.fails(Phase.SOURCE, name, ErrorKind.WAITING)
    assert reason(await world.get(name), "Ready") == "False/SecretNotFound"
    await create_secret(world, "upstream", "ada", "the-wrong-word")
    said = await world.fails(Phase.SOURCE, name, ErrorKind.STALLED)
    assert "correct Secret 'upstream'" in said
    assert "word" not in said
    await create_secret(world, "right", "ada", "the-right-word")
    good = await create_clone(world, clone_from_git(url, "main", "web", "right"), workspace="v2")
    await world.run(Phase.SOURCE, good)
    assert git_of(await world.get(good), "upstreamLock")["repo"] == url


async def test_a_password_in_the_address_is_told_to_nobody(
    world: World, deployments: GitRepository, private: GitServer
) -> None:
    url = private.repository_url("private")
    secret = url.replace("://", "://ada:the-right-word@")
    name = await create_clone(world, clone_from_git(secret, "main", "web"))
    await world.run(Phase.SOURCE, name)
    obj = await world.get(name)
    assert git_of(obj, "upstreamLock")["repo"] == url
    assert "the-right-word" not in str(obj["status"])
    assert "the-right-word" not in show(deployments.path, "drafts/live/shop/web/v1", "live/shop/web/Kptfile")


async def test_of_two_objects_that_mean_one_branch_the_second_is_refused(
    world: World, deployments: GitRepository
) -> None:
    """Two Repositories of one Git repository: `live` below the root, and the folder `live`."""
    await world.register("everything", deployments.url)
    first = await create_clone(world, {"init": {}}, package="web")
    await world.run(Phase.SOURCE, first)
    tip = deployments.refs()["refs/heads/drafts/live/web/v1"]
    second = await world.create(name="everything.live.web.v1", repository="everything", packageName="live/web")
    assert f"belongs to PackageRevision {first!r}" in await world.fails(Phase.SOURCE, second, ErrorKind.STALLED)
    assert reason(await world.get(second), "Stalled") == "True/GitConflict"
    assert deployments.refs()["refs/heads/drafts/live/web/v1"] == tip
    assert "creationSource" not in (await world.get(second))["status"]


async def test_init_takes_everything_it_is_given(world: World) -> None:
    init = {"subpackage": "db", "description": "a store", "keywords": ["a", "b"], "site": "https://example.com"}
    name = await world.create(source={"init": init})
    await world.run(Phase.SOURCE, name)
    files = set(tree(world.git.path, "drafts/web/v1:web"))
    assert files == {"db/Kptfile", "db/README.md", "db/package-context.yaml"}
    info = parse(show(world.git.path, "drafts/web/v1", "web/db/Kptfile")).info
    assert info is not None
    assert (info.description, info.keywords, info.site) == ("a store", ["a", "b"], "https://example.com")
    assert "  name: web\n" in show(world.git.path, "drafts/web/v1", "web/db/package-context.yaml")
