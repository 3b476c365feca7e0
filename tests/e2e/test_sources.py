"""Clone, copy and upgrade with kubectl, on everything: a clone that is asked for too early, edited, and upgraded."""

import asyncio
import json
from pathlib import Path
from typing import Any

import yaml
from temporalio.client import Client

from porchflow.kpt.format.kptfile import parse
from tests.e2e.conftest import register
from tests.e2e.packages import DEPLOYMENT, KPTFILE, messages, push_content, show
from tests.e2e.system import PR, System, condition, is_ready
from tests.servers.git import GitRepositories, GitRepository, commit_files
from tests.servers.waiting import eventually


def manifest(repository: str, package: str, workspace: str, source: dict[str, Any]) -> str:
    obj = {
        "apiVersion": PR,
        "kind": "PackageRevision",
        "metadata": {"name": f"{repository}.{package}.{workspace}"},
        "spec": {
            "repository": repository,
            "packageName": package,
            "workspaceName": workspace,
            "lifecycle": "Draft",
            "source": source,
        },
    }
    text: str = yaml.safe_dump(obj)
    return text


class Author:
    """Somebody with kubectl and git."""

    def __init__(self, system: System, work: Path) -> None:
        self._system = system
        self._work = work

    async def apply(self, repository: str, package: str, workspace: str, source: dict[str, Any]) -> str:
        await self._system.kubectl("apply", "-f", "-", stdin=manifest(repository, package, workspace, source))
        return f"{repository}.{package}.{workspace}"

    async def push(self, name: str, url: str, files: dict[str, str | bytes]) -> dict[str, Any]:
        """Push content to a draft and wait until it is rendered."""
        _, package, workspace = name.split(".")
        pushed = await push_content(url, f"drafts/{package}/{workspace}", package, files, self._work)
        await self._system.kubectl("annotate", "packagerevisions", name, f"porch.kpt.dev/render-request={pushed}")
        return await self._system.until(
            name,
            "is rendered as pushed",
            lambda obj: is_ready(obj) and obj["status"].get("observedPrrResourceVersion") == pushed,
        )

    async def publish(self, name: str) -> dict[str, Any]:
        for lifecycle in ("Proposed", "Published"):
            await self._system.lifecycle(name, lifecycle)
        return await self._system.until(
            name, "is published", lambda obj: is_ready(obj) and bool(obj["status"].get("revision"))
        )


async def test_a_clone_is_edited_and_upgraded(
    system: System,
    repository: str,
    git_repository: GitRepository,
    git_server: GitRepositories,
    temporal: Client,
    tmp_path: Path,
) -> None:
    deployments = git_server.create()
    await asyncio.to_thread(commit_files, deployments, "main", {"README.md": "live\n"})
    await register(system, "deployments", deployments.url)
    author = Author(system, tmp_path)

    upstream = await author.apply(repository, "web", "v1", {"init": {"description": "a web app"}})
    clone = await author.apply("deployments", "shop", "v1", {"cloneFrom": {"upstreamRef": {"name": upstream}}})
    await system.until(clone, "waits", lambda obj: condition(obj, "Ready").get("reason") == "SourceNotPublished")
    await system.ready(upstream)
    await author.push(upstream, git_repository.url, {"Kptfile": KPTFILE, "deployment.yaml": DEPLOYMENT})
    first = await author.publish(upstream)

    cloned = await system.ready(clone)
    assert cloned["status"]["creationSource"] == "clone"
    lock = first["status"]["selfLock"]["git"]
    assert cloned["status"]["upstreamLock"]["git"] == lock
    subjects = messages(deployments.path, "main..drafts/shop/v1")
    assert subjects == ["Creating new revision by cloning, rendered"]
    text = show(deployments.path, "drafts/shop/v1", "shop/Kptfile")
    assert parse(text).name == "shop"
    assert "# keep this comment" in text

    ours = show(deployments.path, "drafts/shop/v1", "shop/deployment.yaml").replace("{app: web}", "{app: shop}")
    await author.push(clone, deployments.url, {"deployment.yaml": ours, "notes.txt": "ours\n"})
    await author.publish(clone)

    second = await author.apply(repository, "web", "v2", {"copyFrom": {"name": upstream}})
    await system.ready(second)
    theirs = show(git_repository.path, "drafts/web/v2", "web/deployment.yaml")
    changed = theirs.replace("{app: web}", "{app: other}") + "  revisionHistoryLimit: 3\n"
    added = DEPLOYMENT.replace("name: web", "name: more")
    await author.push(second, git_repository.url, {"deployment.yaml": changed, "more.yaml": added})
    await author.publish(second)

    sources = {"oldUpstream": upstream, "newUpstream": second, "currentPackage": clone}
    source = {"upgrade": {field: {"name": name} for field, name in sources.items()}}
    upgraded = await author.apply("deployments", "shop", "v2", source)
    done = await system.ready(upgraded)
    assert done["status"]["upstreamLock"]["git"]["ref"] == "web/v2"
    bare, draft = deployments.path, "drafts/shop/v2"
    assert messages(bare, draft)[1] == "Upgrading revision"
    merged = show(bare, draft, "shop/deployment.yaml")
    assert merged == ours.replace("{app: shop}", "{app: other}") + "  revisionHistoryLimit: 3\n"
    assert show(bare, draft, "shop/notes.txt") == "ours\n"
    assert "name: more" in show(bare, draft, "shop/more.yaml")

    async def told() -> bool:
        said = [message for reason, message in await system.events(upgraded) if reason == "MergeConflict"]
        return len(said) == 1 and "spec.selector.matchLabels.app" in said[0] and "shop" in said[0]

    await eventually(told, what="an Event about the conflict")
    handle = temporal.get_workflow_handle(system.workflow_id(upgraded))
    assert "conflict: deployment.yaml" in str(await handle.query("__temporal_workflow_metadata"))


async def test_a_clone_from_git(
    system: System, repository: str, git_repository: GitRepository, git_server: GitRepositories, tmp_path: Path
) -> None:
    catalog = git_server.create()
    files = {"apps/web/Kptfile": KPTFILE, "apps/web/deployment.yaml": DEPLOYMENT}
    commit = await asyncio.to_thread(commit_files, catalog, "stable", files)
    place = {"repo": catalog.url, "ref": "stable", "directory": "apps/web"}
    name = await Author(system, tmp_path).apply(repository, "web", "v1", {"cloneFrom": {"type": "git", "git": place}})
    obj = await system.ready(name)
    assert obj["status"]["upstreamLock"]["git"] == place | {"commit": commit}
    assert "replicas: 3" in show(git_repository.path, "drafts/web/v1", "web/deployment.yaml")


async def test_a_subpackage_is_cloned_into_a_draft_and_upgraded(
    system: System, repository: str, git_repository: GitRepository, tmp_path: Path
) -> None:
    author = Author(system, tmp_path)
    upstream = await author.apply(repository, "db", "v1", {"init": {"description": "a database"}})
    shop = await author.apply(repository, "shop", "v1", {"init": {"description": "a shop"}})
    await system.ready(upstream)
    await system.ready(shop)

    async def operate(**operation: Any) -> None:
        patch = json.dumps({"spec": {"subpackageOperation": {"subpackageDir": "parts/db", **operation}}})
        await system.kubectl("patch", "packagerevisions", shop, "--type=merge", "-p", patch)

    await operate(cloneFrom={"upstreamRef": {"name": upstream}})
    await system.until(shop, "waits", lambda obj: condition(obj, "Ready").get("reason") == "SourceNotPublished")
    await author.push(upstream, git_repository.url, {"Kptfile": KPTFILE, "deployment.yaml": DEPLOYMENT})
    first = await author.publish(upstream)
    done = await system.until(shop, "has it", lambda obj: is_ready(obj) and "lastSubpackageChange" in obj["status"])
    assert done["status"]["lastSubpackageChange"]["upstream"]["commit"] == first["status"]["selfLock"]["git"]["commit"]
    kptfile = parse(show(git_repository.path, "drafts/shop/v1", "shop/parts/db/Kptfile"))
    assert kptfile.name == "parts.db"
    assert "replicas: 3" in show(git_repository.path, "drafts/shop/v1", "shop/parts/db/deployment.yaml")

    ours = {"parts/db/notes.txt": "ours\n"}
    await author.push(shop, git_repository.url, ours)
    second = await author.apply(repository, "db", "v2", {"copyFrom": {"name": upstream}})
    await system.ready(second)
    await author.push(second, git_repository.url, {"deployment.yaml": DEPLOYMENT + "  revisionHistoryLimit: 7\n"})
    await author.publish(second)
    await system.kubectl("patch", "packagerevisions", shop, "--type=json", "-p", _TAKEN_AWAY)
    await operate(upgrade={"oldUpstream": {"name": upstream}, "newUpstream": {"name": second}})
    done = await system.until(
        shop,
        "is upgraded",
        lambda obj: is_ready(obj) and obj["status"]["lastSubpackageChange"]["operation"] == "upgrade",
    )
    assert "revisionHistoryLimit: 7" in show(git_repository.path, "drafts/shop/v1", "shop/parts/db/deployment.yaml")
    assert show(git_repository.path, "drafts/shop/v1", "shop/parts/db/notes.txt") == "ours\n"
    await author.publish(shop)
    assert "ref: db/v2" in show(git_repository.path, "shop/v1", "shop/parts/db/Kptfile")


_TAKEN_AWAY = '[{"op": "remove", "path": "/spec/subpackageOperation"}]'
