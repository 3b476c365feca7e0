"""Content as users push it: with kubectl, through the API server, rendered at once."""

import json
from typing import Any

import pytest

from tests.e2e.packages import DEPLOYMENT, KPTFILE, RENDERED_DEPLOYMENT, messages
from tests.e2e.system import System, condition, is_ready
from tests.servers.git import GitRepository

PRR = "packagerevisionresources"

pytestmark = pytest.mark.usefixtures("content_api")


async def _content(system: System, name: str) -> dict[str, Any]:
    return dict(json.loads(await system.kubectl("get", PRR, name, "-o", "json")))


def _rendered(version: str) -> Any:
    def holds(obj: dict[str, Any]) -> bool:
        requested = obj["metadata"].get("annotations", {}).get("porch.kpt.dev/render-request")
        observed = obj["status"].get("observedPrrResourceVersion")
        return requested == observed == version and condition(obj, "Rendered").get("status") != "Unknown"

    return holds


async def test_pushed_content_is_rendered_and_published(
    system: System, repository: str, git_repository: GitRepository
) -> None:
    name = await system.create_draft(repository, "web")
    await system.ready(name)

    obj = await _content(system, name)
    obj["spec"]["resources"] = {"Kptfile": KPTFILE, "deployment.yaml": DEPLOYMENT}
    pushed = json.loads(await system.kubectl("replace", "-f", "-", "-o", "json", stdin=json.dumps(obj)))
    version = pushed["metadata"]["resourceVersion"]
    draft = await system.until(name, "is rendered as pushed", _rendered(version))
    assert condition(draft, "Rendered")["status"] == "True"
    assert messages(git_repository.path, "main..drafts/web/v1")[:2] == ["Rendering package", "Changing package content"]

    shown = await _content(system, name)
    rendering = shown["metadata"]["resourceVersion"]
    assert rendering != version
    await system.until(name, "names the rendering", lambda obj: obj["status"]["selfLock"]["git"]["commit"] == rendering)
    assert shown["spec"]["resources"]["deployment.yaml"] == RENDERED_DEPLOYMENT
    refused = await system.control_plane.kubectl(
        "-n", system.namespace, "replace", "-f", "-", stdin=json.dumps(pushed), check=False
    )
    assert "Conflict" in refused, "the rendering is newer than what was pushed"

    broken = KPTFILE.replace("apply-setters:v0.2.2", "no-such-function:v1")
    patch = json.dumps({"spec": {"resources": {"Kptfile": broken}}})
    version = json.loads(await system.kubectl("patch", PRR, name, "--type=merge", "-p", patch, "-o", "json"))[
        "metadata"
    ]["resourceVersion"]
    failed = await system.until(name, "says that the rendering failed", _rendered(version))
    assert condition(failed, "Rendered")["status"] == "False"
    patch = json.dumps({"spec": {"resources": {"Kptfile": KPTFILE}}})
    await system.kubectl("patch", PRR, name, "--type=merge", "-p", patch)
    await system.until(name, "is mended", is_ready)

    for lifecycle in ("Proposed", "Published"):
        await system.lifecycle(name, lifecycle)
        await system.ready(name)
    published = await _content(system, name)
    assert published["spec"]["revision"] == 1
    assert published["spec"]["resources"]["deployment.yaml"] == RENDERED_DEPLOYMENT
    refused = await system.control_plane.kubectl(
        "-n", system.namespace, "patch", PRR, name, "--type=merge", "-p", patch, check=False
    )
    assert "package must be Draft: copy it to a new revision" in refused
