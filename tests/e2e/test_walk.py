"""The main job, as a user does it: kubectl for intent, git for content."""

import json
from pathlib import Path

from temporalio.client import Client

from tests.e2e.conftest import register
from tests.e2e.packages import DEPLOYMENT, KPTFILE, RENDERED_DEPLOYMENT, messages, push_content, refs, show
from tests.e2e.system import System, condition, is_ready
from tests.servers.git import GitRepository

PACKAGE = """\
apiVersion: porch.kpt.dev/v1alpha2
kind: PackageRevision
metadata:
  name: blueprints.web.v1
spec:
  packageName: web
  repository: blueprints
  workspaceName: v1
  lifecycle: Draft
  source:
    init:
      description: a web app
      keywords: [shop]
"""


async def test_from_nothing_to_published(
    system: System, repository: str, git_repository: GitRepository, temporal: Client, tmp_path: Path
) -> None:
    name, bare = "blueprints.web.v1", git_repository.path
    await system.kubectl("apply", "-f", "-", stdin=PACKAGE)
    draft = await system.ready(name)
    assert draft["status"]["creationSource"] == "init"
    assert draft["status"]["selfLock"]["git"]["ref"] == "drafts/web/v1"
    assert draft["status"]["selfLock"]["git"]["commit"] == refs(bare)["refs/heads/drafts/web/v1"]
    assert messages(bare, "main..drafts/web/v1") == ["Creating new empty revision"], "an empty pipeline needs no render"
    assert condition(draft, "Rendered")["status"] == "True"
    assert "porch.kpt.dev/packagerevisions" in draft["metadata"]["finalizers"]
    assert draft["metadata"]["ownerReferences"][0]["name"] == repository

    pushed = await push_content(
        git_repository.url, "drafts/web/v1", "web", {"Kptfile": KPTFILE, "deployment.yaml": DEPLOYMENT}, tmp_path
    )
    await system.kubectl("annotate", "packagerevisions", name, f"porch.kpt.dev/render-request={pushed}")
    rendered = await system.until(
        name,
        "is rendered as pushed",
        lambda obj: is_ready(obj) and obj["status"].get("observedPrrResourceVersion") == pushed,
    )
    assert condition(rendered, "Rendered")["status"] == "True"
    assert rendered["spec"]["packageMetadata"]["annotations"] == {"config.kubernetes.io/local-config": "true"}
    assert show(bare, "drafts/web/v1", "web/deployment.yaml") == RENDERED_DEPLOYMENT
    assert show(bare, "drafts/web/v1", "web/Kptfile").startswith(KPTFILE.rstrip("\n"))

    for lifecycle, ref in (
        ("Proposed", "proposed/web/v1"),
        ("Draft", "drafts/web/v1"),
        ("Proposed", "proposed/web/v1"),
    ):
        patch = json.dumps({"spec": {"lifecycle": lifecycle}})
        await system.kubectl("patch", "packagerevisions", name, "--type=merge", "-p", patch)
        moved = await system.ready(name)
        assert moved["status"]["selfLock"]["git"]["ref"] == ref
        assert [r for r in refs(bare) if r.endswith("web/v1")] == [f"refs/heads/{ref}"]

    await system.lifecycle(name, "Published")
    published = await system.until(name, "is labelled latest", _is_latest)
    assert is_ready(published)
    assert published["status"]["revision"] == 1
    assert published["status"]["publishedAt"]
    lock = published["status"]["selfLock"]["git"]
    assert lock == {
        "repo": git_repository.url,
        "directory": "web",
        "ref": "web/v1",
        "commit": refs(bare)["refs/tags/web/v1"],
    }
    assert not [ref for ref in refs(bare) if "/drafts/" in ref or "/proposed/" in ref]
    assert refs(bare)["refs/heads/main"] == refs(bare)["refs/tags/web/v1"]
    assert messages(bare, "main")[0] == "Approving package revision web/1"
    assert show(bare, "main", "web/deployment.yaml") == RENDERED_DEPLOYMENT

    await system.told(name, "Rendered", "Rendered")
    await system.told(name, "Ready", "moved from Proposed to Published")
    handle = temporal.get_workflow_handle(system.workflow_id(name))
    described = await handle.describe()
    assert published["status"]["lastRun"]["runID"] == described.run_id


def _is_latest(obj: dict) -> bool:
    return obj["metadata"].get("labels", {}).get("porch.kpt.dev/latest-revision") == "true"


async def test_deleting_a_draft_removes_its_branch_and_nothing_else(
    system: System, repository: str, git_repository: GitRepository
) -> None:
    gone = await system.create_draft(repository, "web", "v1")
    kept = await system.create_draft(repository, "web", "v2")
    await system.ready(gone)
    await system.ready(kept)
    before = refs(git_repository.path)
    await system.kubectl("delete", "packagerevisions", gone, "--timeout=60s")
    del before["refs/heads/drafts/web/v1"]
    assert refs(git_repository.path) == before


async def test_a_second_revision_takes_the_next_number_and_the_label(system: System, repository: str) -> None:
    first, second = f"{repository}.web.v1", f"{repository}.web.v2"
    copy = {"source": {"copyFrom": {"name": first}}}
    for name, spec in ((first, {}), (second, copy)):
        await system.create_draft(repository, "web", name[-2:], **spec)
        await system.ready(name)
        await system.lifecycle(name, "Proposed")
        await system.ready(name)
        await system.lifecycle(name, "Published")
        await system.until(name, "is labelled latest", lambda obj: is_ready(obj) and _is_latest(obj))
    older = await system.until(first, "is not the latest any more", lambda obj: not _is_latest(obj))
    newer = await system.get(second)
    assert newer is not None
    assert (older["status"]["revision"], newer["status"]["revision"]) == (1, 2)


async def test_a_revision_created_as_proposed_is_rendered_first(
    system: System, repository: str, git_repository: GitRepository
) -> None:
    name = await system.create_draft(repository, "web", "v1", lifecycle="Proposed")
    obj = await system.ready(name)
    assert obj["status"]["selfLock"]["git"]["ref"] == "proposed/web/v1"
    assert condition(obj, "Rendered")["status"] == "True"
    assert messages(git_repository.path, "proposed/web/v1")[0] == "Creating new empty revision"


async def test_a_package_in_a_directory_of_the_repository(idle_system: System, git_repository: GitRepository) -> None:
    idle_system.start_watcher()
    idle_system.start_worker()
    await register(idle_system, "apps", git_repository.url, directory="/teams/a")
    name = await idle_system.create_draft("apps", "site/web", "v1")
    obj = await idle_system.ready(name)
    assert obj["status"]["selfLock"]["git"]["directory"] == "teams/a/site/web"
    assert "refs/heads/drafts/teams/a/site/web/v1" in refs(git_repository.path)
