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
from porchflow.api.work.needs import Phase
from porchflow.kube.errors import KubeUnavailable, NotFound
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
    await world.annotate(name, render_request=await world.push(CONTENT, f"drafts/{world.package}/{workspace}"))
    return name


async def render_that_changes_nothing(world: World, workspace: str) -> str:
    name = await world.draft(workspace)
    files: dict[str, str | bytes] = {"README.md": "web\n"}
    await world.annotate(name, render_request=await world.push(files, f"drafts/{world.package}/{workspace}"))
    return name


async def subpackage(world: World, workspace: str) -> str:
    """A draft that asks for a subpackage, and has content that was pushed meanwhile."""
    package, upstream = world.package, "blueprints.upstream.v1"
    if not await world.exists(upstream):
        world.package = "upstream"
        await world.published()
        world.package, world.newest = package, ""
    name = await render(world, workspace)
    operation = {"subpackageDir": "parts/db", "cloneFrom": {"upstreamRef": {"name": upstream}}}
    await world.patch(name, {"spec": {"subpackageOperation": operation}})
    return name


async def suspended(world: World, workspace: str) -> str:
    name = await world.draft(workspace)
    await world.annotate(name, suspend="the audit")
    return name


async def failing_render_that_is_kept(world: World, workspace: str) -> str:
    name = await world.draft(workspace)
    await world.push(BROKEN, f"drafts/{world.package}/{workspace}")
    await world.patch(name, {"metadata": {"annotations": KEEP}})
    return name


PROPOSE = then(World.draft, asked("Proposed"))
PROPOSE_DELETION = then(World.published, asked("DeletionProposed"))
STEPS: dict[str, tuple[Phase, Prepare]] = {
    "source": (Phase.SOURCE, World.create),
    "render": (Phase.RENDER, render),
    "render that changes nothing": (Phase.RENDER, render_that_changes_nothing),
    "failing render that is kept": (Phase.RENDER, failing_render_that_is_kept),
    "subpackage": (Phase.SUBPACKAGE, subpackage),
    "render of a proposal": (Phase.RENDER, then(render, asked("Proposed"))),
    "reject": (Phase.LIFECYCLE, then(PROPOSE, done, asked("Draft"))),
    "propose": (Phase.LIFECYCLE, PROPOSE),
    "publish": (Phase.LIFECYCLE, then(PROPOSE, done, asked("Published"))),
    "publish at once": (Phase.LIFECYCLE, then(PROPOSE, asked("Published"))),
    "propose deletion": (Phase.LIFECYCLE, PROPOSE_DELETION),
    "delete published": (Phase.FINALIZE, then(PROPOSE_DELETION, done, deleted)),
    "suspend": (Phase.SUSPEND, suspended),
    "orphan": (Phase.FINALIZE, then(World.draft, orphaned, deleted)),
}


async def _attempt(world: World, phase: Phase, name: str, attempt: int) -> None:
    """Run a phase; that a person must act is an end like others."""
    try:
        result = await world.run(phase, name, attempt=attempt)
        if phase in {Phase.SOURCE, Phase.SUBPACKAGE} and not result.rendered:
            await world.run(Phase.RENDER, name, commit=result.commit)
    except ApplicationError as error:
        if error.type != ErrorKind.STALLED:
            raise


async def _is_cut(world: World, phase: Phase, name: str) -> bool:
    """Make a first attempt, in which something may happen; say whether that ended it."""
    try:
        await _attempt(world, phase, name, 1)
    except (asyncio.CancelledError, ApplicationError):
        return True
    finally:
        world.worker.before_write, world.worker.loses = None, 0
    return False


async def _outcome(world: World, name: str, workspace: str) -> Any:
    """What is there afterwards, without what differs from one revision to the next."""
    own = f"/{world.package}/{workspace}"
    refs = {ref: oid for ref, oid in world.git.refs().items() if ref.startswith("refs/heads/") and ref.endswith(own)}
    # What is looked at once more may be rendered once more.
    history = {ref: [subject for subject, _ in itertools.groupby(world.git.log(ref))] for ref in refs}
    outcome: dict[str, Any] = {"history": history, "refs": refs}
    number = 0
    try:
        obj = await world.get(name)
    except NotFound:
        pass
    else:
        check_rules(obj)
        number = obj["status"].get("revision", 0)
        kept = {key: obj["metadata"].get(key) for key in ("generation", "labels", "finalizers")}
        # A proposal is recorded by the look that sees it: one that was over before that is not.
        status = {key: value for key, value in obj["status"].items() if key != "proposal"}
        if "resourcesSizeBytes" in status:
            # A second rendering reports other results in the Kptfile than the first.
            listed = world.git.git("ls-tree", "-r", "-l", status["selfLock"]["git"]["commit"], f"{world.package}/")
            assert status.pop("resourcesSizeBytes") == sum(int(line.split()[3]) for line in listed.splitlines())
        outcome |= {"metadata": kept, "spec": obj["spec"], "status": status}
    return json.loads(_plain(json.dumps(outcome, sort_keys=True), world.package, workspace, number))


def _plain(text: str, package: str, workspace: str, number: int) -> str:
    for pattern, instead in (
        (rf"\b{package}\b", "PACKAGE"),
        (rf"\b{workspace}\b", "WORKSPACE"),
        (rf"\bv{number}\b", "TAG"),
        (rf'"revision": {number}\b', '"revision": 1'),
        (r"\b(?:[0-9a-f]{40}|[0-9a-f]{12})\b", "COMMIT"),
        (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "TIME"),
    ):
        text = re.sub(pattern, instead, text)
    return text


async def _check_all_cuts(
    world: World,
    phase: Phase,
    prepare: Prepare,
    interrupt: Callable[[World, int], None],
    then: Callable[[str, str, bool], Awaitable[None]],
) -> int:
    """Cut a phase at each of its writes, and compare what comes of that with what comes of one in one piece.

    Args:
        world: Where.
        phase: The phase.
        prepare: Brings a package revision to where the phase has something to do.
        interrupt: What happens at a write of a number; nothing happens at 0, because the first one is 1.
        then: What follows, on a name, a workspace and whether the phase was cut.

    Returns:
        How many writes the phase has.
    """
    whole: Any = None
    for write in itertools.count():
        # A package of its own: what begins anew has to find nothing of the one before.
        workspace, world.package, world.newest = f"w{write}", f"web-{write}", ""
        name = await prepare(world, workspace)
        interrupt(world, write)
        cut = await _is_cut(world, phase, name)
        assert not (cut and write == 0)
        await then(name, workspace, cut)
        outcome = await _outcome(world, name, workspace)
        whole = whole or outcome
        assert outcome == whole, f"cut off at write {write}"
        if write and not cut:
            break
    return write - 1


def ends(world: World, write: int) -> None:
    world.worker.stop_at(write)


def finds_the_api_server_away(world: World, write: int) -> None:
    world.worker.stop_at(write, KubeUnavailable)


def loses_the_answer(world: World, write: int) -> None:
    world.worker.lose_answer(write)


OTHER_TROUBLE = [
    (step, interrupt)
    for step in (
        "source",
        "subpackage",
        "render",
        "render that changes nothing",
        "failing render that is kept",
        "delete published",
    )
    for interrupt in (finds_the_api_server_away, loses_the_answer)
]


@pytest.mark.parametrize(("step", "interrupt"), [*((step, ends) for step in STEPS), *OTHER_TROUBLE])
async def test_an_attempt_after_one_that_was_cut_off_ends_where_a_whole_one_does(
    world: World, step: str, interrupt: Callable[[World, int], None]
) -> None:
    phase, prepare = STEPS[step]

    async def then(name: str, workspace: str, cut: bool) -> None:
        if cut and await world.exists(name):
            await _attempt(world, phase, name, 2)

    assert await _check_all_cuts(world, phase, prepare, interrupt, then) > 0


Intent = Callable[[World, str, str], Awaitable[object]]
"""What a user asks of a package revision next; with its workspace."""


async def nothing(world: World, name: str, workspace: str) -> None:
    pass


async def propose(world: World, name: str, workspace: str) -> None:
    await world.ask(name, "Proposed")


async def publish(world: World, name: str, workspace: str) -> None:
    if (await world.get(name))["spec"]["lifecycle"] == "Draft":
        await world.ask(name, "Proposed")
    await world.ask(name, "Published")


async def push(world: World, name: str, workspace: str) -> None:
    content: dict[str, str | bytes] = {**CONTENT, "README.md": "more"}
    await world.annotate(name, render_request=await world.push(content, f"drafts/{world.package}/{workspace}"))


async def look(world: World, name: str, workspace: str) -> None:
    await world.annotate(name, reconcile_now="look")


async def delete(world: World, name: str, workspace: str) -> None:
    obj = await world.get(name)
    await world.delete(obj)
    if obj["spec"]["lifecycle"] == "Published":
        await world.ask(name, "DeletionProposed")


OF_NEW_CONTENT = (nothing, propose, publish, look, delete)
OF_A_DRAFT = (nothing, propose, publish, push, look, delete)
OF_A_PROPOSAL = (nothing, publish, look, delete)
OF_WHAT_IS_PUBLISHED = (nothing, look, delete)
INTENTS: dict[str, tuple[Intent, ...]] = {
    "source": OF_NEW_CONTENT,
    "render": OF_A_DRAFT,
    "render that changes nothing": OF_A_DRAFT,
    "failing render that is kept": OF_A_DRAFT,
    "subpackage": OF_NEW_CONTENT,
    "render of a proposal": OF_A_PROPOSAL,
    "reject": OF_A_DRAFT,
    "propose": OF_A_PROPOSAL,
    "publish": OF_WHAT_IS_PUBLISHED,
    "propose deletion": OF_WHAT_IS_PUBLISHED,
    "suspend": (nothing, look),
}


@pytest.mark.parametrize(
    ("step", "intent"),
    [(step, intent) for step, intents in INTENTS.items() for intent in intents],
)
async def test_whatever_is_asked_next_comes_to_the_same_after_a_phase_that_was_cut_off(
    world: World, step: str, intent: Intent
) -> None:
    """No other attempt is made, as after the end of its run: the next look finds what is left to do."""

    async def then(name: str, workspace: str, _: bool) -> None:
        await intent(world, name, workspace)
        if await world.exists(name):
            await world.settle(name)
        if step == "publish":
            # The label of the latest revision comes after the report, and is a sync's to mend.
            await world.sync()

    phase, prepare = STEPS[step]
    assert await _check_all_cuts(world, phase, prepare, ends, then) > 0
