"""A phase whose process ends before any one of its writes: one more attempt ends where an attempt in one piece does."""

import asyncio
import itertools
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from activities.definitions import ErrorKind, Phase
from kube.errors import NotFound
from tests.activities.world import World
from tests.e2e.packages import DEPLOYMENT, KPTFILE
from tests.e2e.rules import check_rules

CONTENT: dict[str, str | bytes] = {"Kptfile": KPTFILE, "deployment.yaml": DEPLOYMENT}
BROKEN: dict[str, str | bytes] = {"Kptfile": KPTFILE.replace("set-namespace:v0.4.5", "example.com/none:v1")}
KEEP = {"porch.kpt.dev/push-on-render-failure": "true", "porchflow.dev/reconcile-now": "again"}


async def source(world: World, workspace: str) -> str:
    return await world.create(workspace)


async def render(world: World, workspace: str) -> str:
    name = await world.draft(workspace)
    await world.annotate(name, render_request=await world.push(CONTENT, f"drafts/web/{workspace}"))
    return name


async def failing_render_that_is_kept(world: World, workspace: str) -> str:
    name = await world.draft(workspace)
    await world.push(BROKEN, f"drafts/web/{workspace}")
    await world.patch(name, {"metadata": {"annotations": KEEP}})
    return name


async def render_of_a_proposal(world: World, workspace: str) -> str:
    name = await render(world, workspace)
    await world.ask(name, "Proposed")
    return name


async def propose(world: World, workspace: str) -> str:
    name = await world.draft(workspace)
    await world.ask(name, "Proposed")
    return name


async def reject(world: World, workspace: str) -> str:
    name = await propose(world, workspace)
    await world.run(Phase.LIFECYCLE, name)
    await world.ask(name, "Draft")
    return name


async def publish(world: World, workspace: str) -> str:
    name = await propose(world, workspace)
    await world.run(Phase.LIFECYCLE, name)
    await world.ask(name, "Published")
    return name


async def publish_at_once(world: World, workspace: str) -> str:
    name = await propose(world, workspace)
    await world.ask(name, "Published")
    return name


async def propose_deletion(world: World, workspace: str) -> str:
    name = await world.published(workspace)
    await world.ask(name, "DeletionProposed")
    return name


async def delete_published(world: World, workspace: str) -> str:
    name = await propose_deletion(world, workspace)
    await world.run(Phase.LIFECYCLE, name)
    await world.delete(await world.get(name))
    return name


async def orphan(world: World, workspace: str) -> str:
    name = await world.draft(workspace)
    await world.annotate(name, orphan_git_content="true")
    await world.delete(await world.get(name))
    return name


Prepare = Callable[[World, str], Awaitable[str]]
STEPS: list[tuple[Phase, Prepare]] = [
    (Phase.SOURCE, source),
    (Phase.RENDER, render),
    (Phase.RENDER, failing_render_that_is_kept),
    (Phase.RENDER, render_of_a_proposal),
    (Phase.LIFECYCLE, reject),
    (Phase.LIFECYCLE, publish),
    (Phase.LIFECYCLE, publish_at_once),
    (Phase.LIFECYCLE, propose_deletion),
    (Phase.FINALIZE, delete_published),
    (Phase.FINALIZE, orphan),
]


async def _attempt(world: World, phase: Phase, name: str, attempt: int) -> None:
    """Run a phase; that a person must act is an end like others."""
    try:
        result = await world.run(phase, name, attempt=attempt)
        if phase is Phase.SOURCE and not result.rendered:
            await world.run(Phase.RENDER, name, commit=result.commit)
    except ApplicationError as error:
        if error.type != ErrorKind.STALLED:
            raise


async def _outcome(world: World, name: str, workspace: str) -> Any:
    """What is there afterwards, without what differs from one revision to the next."""
    refs = {ref: oid for ref, oid in world.git.refs().items() if ref.startswith("refs/heads/") and workspace in ref}
    outcome: dict[str, Any] = {"history": {ref: world.git.log(ref) for ref in refs}, "refs": refs}
    number = 0
    try:
        obj = await world.get(name)
    except NotFound:
        pass
    else:
        check_rules(obj)
        number = obj["status"].get("revision", 0)
        kept = {key: obj["metadata"].get(key) for key in ("generation", "labels", "finalizers")}
        outcome |= {"metadata": kept, "spec": obj["spec"], "status": obj["status"]}
    return json.loads(_plain(json.dumps(outcome, sort_keys=True), workspace, number))


def _plain(text: str, workspace: str, number: int) -> str:
    for pattern, instead in (
        (rf"\b{workspace}\b", "WORKSPACE"),
        (rf"\bv{number}\b", "TAG"),
        (rf'"revision": {number}\b', '"revision": 1'),
        (r"\b(?:[0-9a-f]{40}|[0-9a-f]{12})\b", "COMMIT"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME"),
    ):
        text = re.sub(pattern, instead, text)
    return text


@pytest.mark.parametrize(("phase", "prepare"), STEPS, ids=[prepare.__name__ for _, prepare in STEPS])
async def test_an_attempt_after_one_that_was_cut_off_ends_where_a_whole_one_does(
    world: World, phase: Phase, prepare: Prepare
) -> None:
    whole: Any = None
    for write in itertools.count():
        name = await prepare(world, f"w{write}")
        world.worker.stop_at(write)
        cut = False
        try:
            await _attempt(world, phase, name, 1)
        except asyncio.CancelledError:
            cut = True
            world.worker.before_write = None
            await _attempt(world, phase, name, 2)
        world.worker.before_write = None
        outcome = await _outcome(world, name, f"w{write}")
        whole = whole or outcome
        assert outcome == whole, f"cut off at write {write}"
        if write and not cut:
            break
    assert write > 1
