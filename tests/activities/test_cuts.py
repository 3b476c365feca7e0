"""A phase whose process ends before any one of its writes: one more attempt ends where an attempt in one piece does."""

import asyncio
import itertools
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError

from porchflow.api.error_kinds import ErrorKind
from porchflow.api.needs import Phase
from porchflow.kube.errors import NotFound
from tests.activities.world import World
from tests.e2e.packages import DEPLOYMENT, KPTFILE
from tests.e2e.rules import check_rules

CONTENT: dict[str, str | bytes] = {"Kptfile": KPTFILE, "deployment.yaml": DEPLOYMENT}
BROKEN: dict[str, str | bytes] = {"Kptfile": KPTFILE.replace("set-namespace:v0.4.5", "example.com/none:v1")}
KEEP = {"porch.kpt.dev/push-on-render-failure": "true", "porchflow.dev/reconcile-now": "again"}


Prepare = Callable[[World, str], Awaitable[str]]
"""Brings a package revision of a workspace to where a phase has something to do; gives its name."""

Move = Callable[[World, str], Awaitable[object]]
"""Does something to a package revision of a name."""


def then(first: Prepare, *moves: Move) -> Prepare:
    async def prepare(world: World, workspace: str) -> str:
        name = await first(world, workspace)
        for move in moves:
            await move(world, name)
        return name

    return prepare


def asked(lifecycle: str) -> Move:
    return lambda world, name: world.ask(name, lifecycle)


async def done(world: World, name: str) -> None:
    await world.run(Phase.LIFECYCLE, name)


async def orphaned(world: World, name: str) -> None:
    await world.annotate(name, orphan_git_content="true")


async def deleted(world: World, name: str) -> None:
    await world.delete(await world.get(name))


async def render(world: World, workspace: str) -> str:
    name = await world.draft(workspace)
    await world.annotate(name, render_request=await world.push(CONTENT, f"drafts/web/{workspace}"))
    return name


async def failing_render_that_is_kept(world: World, workspace: str) -> str:
    name = await world.draft(workspace)
    await world.push(BROKEN, f"drafts/web/{workspace}")
    await world.patch(name, {"metadata": {"annotations": KEEP}})
    return name


PROPOSE = then(World.draft, asked("Proposed"))
PROPOSE_DELETION = then(World.published, asked("DeletionProposed"))
STEPS: dict[str, tuple[Phase, Prepare]] = {
    "source": (Phase.SOURCE, World.create),
    "render": (Phase.RENDER, render),
    "failing render that is kept": (Phase.RENDER, failing_render_that_is_kept),
    "render of a proposal": (Phase.RENDER, then(render, asked("Proposed"))),
    "reject": (Phase.LIFECYCLE, then(PROPOSE, done, asked("Draft"))),
    "publish": (Phase.LIFECYCLE, then(PROPOSE, done, asked("Published"))),
    "publish at once": (Phase.LIFECYCLE, then(PROPOSE, asked("Published"))),
    "propose deletion": (Phase.LIFECYCLE, PROPOSE_DELETION),
    "delete published": (Phase.FINALIZE, then(PROPOSE_DELETION, done, deleted)),
    "orphan": (Phase.FINALIZE, then(World.draft, orphaned, deleted)),
}


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


@pytest.mark.parametrize(("phase", "prepare"), STEPS.values(), ids=STEPS)
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
