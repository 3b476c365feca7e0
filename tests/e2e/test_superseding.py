"""Edits race with the phases; what was asked last is what comes out, and every status on the way keeps the rules."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from porchflow.kube.errors import Invalid
from porchflow.kube.kinds import PACKAGEREVISIONS
from porchflow.kube.watching import Changed, WatchState, watch_objects
from tests.e2e.packages import DEPLOYMENT, KPTFILE, messages, push_content, refs
from tests.e2e.rules import check_rules
from tests.e2e.system import System, condition, is_ready
from tests.servers.git import GitRepository

REQUEST, NOW = "porch.kpt.dev/render-request", "porchflow.dev/reconcile-now"


@asynccontextmanager
async def every_status_keeps_the_rules(system: System) -> AsyncIterator[list[dict[str, Any]]]:
    """Check each status that anybody could see, not only the last one."""
    seen: list[dict[str, Any]] = []
    broken: list[str] = []

    async def look() -> None:
        state = WatchState("the test")
        async for event in watch_objects(system.kube, PACKAGEREVISIONS, system.namespace, state=state):
            if isinstance(event, Changed) and (event.object.get("status") or {}).get("conditions"):
                seen.append(event.object)
                try:
                    check_rules(event.object)
                except AssertionError as error:
                    broken.append(str(error))

    watching = asyncio.create_task(look())
    try:
        yield seen
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    assert not broken, "\n".join(broken)
    assert seen


def settled(obj: dict[str, Any]) -> bool:
    annotations = obj["metadata"].get("annotations") or {}
    status = obj.get("status") or {}
    answered = annotations.get(NOW, "") == status.get("observedReconcileNow", "")
    rendered = obj["spec"]["lifecycle"] != "Draft" or annotations.get(REQUEST, "") == status.get(
        "observedPrrResourceVersion", ""
    )
    return is_ready(obj) and answered and rendered and not condition(obj, "Reconciling")


def branch(repository: GitRepository) -> list[str]:
    return [ref for ref in refs(repository.path) if ref.endswith("web/v1")]


@pytest.mark.parametrize("seed", range(3))
async def test_thirty_quick_edits_end_where_the_last_one_says(
    system: System, repository: str, git_repository: GitRepository, seed: int
) -> None:
    system.start_worker("second")
    dice = random.Random(seed)
    name = await system.create_draft(repository, "web")
    await system.ready(name)
    async with every_status_keeps_the_rules(system):
        for number in range(30):
            edit = dice.choice(["lifecycle", "lifecycle", "request", "now"])
            if edit == "lifecycle":
                await system.lifecycle(name, dice.choice(["Draft", "Proposed"]))
            else:
                key = REQUEST if edit == "request" else NOW
                await system.patch(name, {"metadata": {"annotations": {key: f"{number}"}}})
            # How far the phases come before the next edit is what differs from round to round.
            for _ in range(dice.choice([0, 0, 1, 10, 40, 100])):
                await system.get(name)
        last = dice.choice(["Draft", "Proposed"])
        await system.lifecycle(name, last)
        obj = await system.until(name, f"settles as {last}", settled, timeout=90)
    wanted = "drafts/web/v1" if last == "Draft" else "proposed/web/v1"
    assert branch(git_repository) == [f"refs/heads/{wanted}"]
    assert obj["status"]["selfLock"]["git"]["ref"] == wanted
    assert obj["status"]["selfLock"]["git"]["commit"] == refs(git_repository.path)[f"refs/heads/{wanted}"]
    assert condition(obj, "Rendered")["status"] == "True"


async def test_the_newest_of_many_pushes_is_what_is_rendered_and_published(
    system: System, repository: str, git_repository: GitRepository, tmp_path: Path
) -> None:
    name = await system.create_draft(repository, "web")
    await system.ready(name)
    async with every_status_keeps_the_rules(system):
        for number in range(8):
            files = {"Kptfile": KPTFILE, "deployment.yaml": DEPLOYMENT.replace("name: web", f"name: web-{number}", 1)}
            pushed = await _push(git_repository, files, tmp_path)
            await system.patch(name, {"metadata": {"annotations": {REQUEST: pushed}}})
        for lifecycle in ("Proposed", "Published"):
            await system.lifecycle(name, lifecycle)
        obj = await system.until(
            name, "is published", lambda obj: is_ready(obj) and obj["status"].get("revision") == 1, timeout=90
        )
    published = git_repository.read("web/v1", "web/deployment.yaml")
    assert "name: web-7" in published
    assert "namespace: shop" in published, "what is published is rendered"
    assert [ref for ref in refs(git_repository.path) if ref.startswith("refs/tags/")] == ["refs/tags/web/v1"]
    assert messages(git_repository.path, "main")[0] == "Approving package revision web/1"
    assert obj["status"]["selfLock"]["git"]["commit"] == refs(git_repository.path)["refs/tags/web/v1"]


async def _push(repository: GitRepository, files: dict[str, str], work: Path) -> str:
    """Push on top of whatever is there; who is refused because a rendering came first pulls and pushes again."""
    for _ in range(20):
        try:
            return await push_content(repository.url, "drafts/web/v1", "web", files, work)
        except AssertionError as error:
            if "rejected" not in str(error) and "failed to push" not in str(error):
                raise
    raise AssertionError("every push was refused")


async def test_deletions_race_with_everything(system: System, repository: str, git_repository: GitRepository) -> None:
    system.start_worker("second")
    dice = random.Random(7)
    for round_ in range(6):
        name = await system.create_draft(repository, "web")
        for _ in range(dice.choice([0, 3, 10, 40, 80])):
            await system.get(name)
        if round_ % 2:
            await system.lifecycle(name, "Proposed")
        await system.kubectl("delete", "packagerevisions", name, "--timeout=60s")
        assert branch(git_repository) == [], "a phase that was superseded left nothing behind"


async def test_skipping_back_is_refused_by_the_api_server(system: System, repository: str) -> None:
    name = await system.create_draft(repository, "web")
    with pytest.raises(Invalid, match="lifecycle cannot go from Draft to Published"):
        await system.lifecycle(name, "Published")
