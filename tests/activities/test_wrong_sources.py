"""Sources that cannot be used, or only with credentials, on a real API server and real Git."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from porchflow.api.error_kinds import ErrorKind
from porchflow.api.work.needs import Phase
from porchflow.devstack.git.gitserver import GitServer, create_bare_repository
from tests.activities.upstream import (
    clone_from_git,
    create_clone,
    create_secret,
    fill,
    git_of,
    push_tree,
    raw,
    tree,
)
from tests.activities.world import World, reason
from tests.e2e.packages import show
from tests.e2e.rules import check_rules
from tests.servers.faulty import FaultyGitServer
from tests.servers.git import GitRepository

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
    world: World, deployments: GitRepository, catalog: GitRepository, caplog: pytest.LogCaptureFixture
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
        assert words in await world.fails(Phase.SOURCE, name, ErrorKind.STALLED), wrong
        obj = await world.get(name)
        assert reason(obj, "Stalled") == f"True/{expected}", wrong
        check_rules(obj)
    assert list(deployments.refs()) == ["refs/heads/main"]
    assert "is made again" not in caplog.text, "the cache is not taken for damaged"


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
    async with FaultyGitServer(root, username="ada", password="the-right-word") as server:
        yield server


async def test_credentials_for_a_clone(world: World, deployments: GitRepository, private: GitServer) -> None:
    url = private.repository_url("private")
    bare = await create_clone(world, clone_from_git(url, "main", "web"), workspace="none")
    assert "create it again with" in await world.fails(Phase.SOURCE, bare, ErrorKind.STALLED)
    assert reason(await world.get(bare), "Stalled") == "True/GitAuthFailed"

    name = await create_clone(world, clone_from_git(url, "main", "web", "upstream"))
    assert "spec.source.cloneFrom.git.secretRef" in await world.fails(Phase.SOURCE, name, ErrorKind.WAITING)
    assert reason(await world.get(name), "Ready") == "False/SecretNotFound"
    await create_secret(world, "upstream", "ada", "the-wrong-word", hosts=private.url)
    said = await world.fails(Phase.SOURCE, name, ErrorKind.STALLED)
    assert "correct Secret 'upstream'" in said
    assert "word" not in said
    await create_secret(world, "right", "ada", "the-right-word", hosts=private.url)
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
