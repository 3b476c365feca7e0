"""Clone and copy on a real API server and real Git."""

import asyncio
import itertools

import pytest

from porchflow.api.error_kinds import ErrorKind
from porchflow.api.work.needs import Phase
from porchflow.functions.function_errors import RunnerUnavailable
from porchflow.kpt.format.kptfile import parse
from porchflow.kpt.render.evaluation import Evaluation
from tests.activities.upstream import (
    BINARY,
    CONFIG,
    CONTEXT,
    FILES,
    clone_from_git,
    clone_of,
    create_clone,
    git_of,
    publish_upstream,
    raw,
    tree,
)
from tests.activities.world import World, reason
from tests.e2e.packages import KPTFILE, messages, push_content, show
from tests.e2e.rules import check_rules
from tests.servers.git import GitRepository


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
        workspace = f"w{write}"
        name = await world.create(
            workspace, name=f"blueprints.shop.{workspace}", packageName="shop", source=clone_of(upstream)
        )
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


async def test_clones_of_all_spellings_of_an_address_use_one_cache(
    world: World, deployments: GitRepository, catalog: GitRepository
) -> None:
    plain = catalog.url.removesuffix(".git")
    for number, url in enumerate([plain, f"{plain}.git", f"{plain}/", plain.replace("http://", "HTTP://me:word@")]):
        source = clone_from_git(url, "main", "apps/web")
        await world.run(Phase.SOURCE, name := await create_clone(world, source, workspace=f"v{number}"))
        assert git_of(await world.get(name), "upstreamLock")["repo"] == f"{plain}.git"
    caches = list(world.folder.glob("git-cache/*/*.git"))
    assert len(caches) == 2, "the catalog's, and the one of the Repository"


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
