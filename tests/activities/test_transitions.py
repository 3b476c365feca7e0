"""All ways through the lifecycle, there and back: what Git holds and what the status says after each step."""

import asyncio

from porchflow.api.error_kinds import ErrorKind
from porchflow.api.names import LATEST_REVISION_LABEL
from porchflow.api.work.needs import Phase, plan
from porchflow.kube.client import Object
from tests.activities.world import World, condition, in_need, reason
from tests.kptfiles import kptfile_text

BROKEN = {"Kptfile": kptfile_text("web", "pipeline: [\n")}
DRAFT, PROPOSED = "refs/heads/drafts/web/v1", "refs/heads/proposed/web/v1"
TAG, MARK = "refs/tags/web/v1", "refs/heads/deletionProposed/web/v1"


async def move(world: World, name: str, lifecycle: str) -> Object:
    await world.ask(name, lifecycle)
    await world.run(Phase.LIFECYCLE, name)
    return await world.get(name)


def refs(world: World) -> set[str]:
    return set(world.git.refs()) - {"refs/heads/main"}


async def test_all_the_way_and_back(world: World) -> None:
    name = await world.draft()
    published: set[str] = set()
    for lifecycle, held, ref in (
        ("Proposed", {PROPOSED}, "proposed/web/v1"),
        ("Draft", {DRAFT}, "drafts/web/v1"),
        ("Proposed", {PROPOSED}, "proposed/web/v1"),
        ("Published", {TAG}, "web/v1"),
        ("DeletionProposed", {TAG, MARK}, "web/v1"),
        ("Published", {TAG}, "web/v1"),
        ("DeletionProposed", {TAG, MARK}, "web/v1"),
    ):
        obj = await move(world, name, lifecycle)
        status, lock = obj["status"], obj["status"]["selfLock"]["git"]
        assert refs(world) == held, lifecycle
        assert reason(obj, "Ready") == "True/Ready"
        assert status["observedGeneration"] == obj["metadata"]["generation"]
        assert (lock["ref"], lock["directory"], lock["repo"]) == (ref, "web", world.git.url)
        assert lock["commit"] == world.git.git("rev-parse", TAG if TAG in held else min(held))
        is_published = TAG in held
        assert status.get("revision", 0) == int(is_published)
        assert obj["metadata"]["labels"][LATEST_REVISION_LABEL] == str(is_published).lower()
        published |= {status["publishedAt"]} if is_published else set()
    assert len(published) == 1, "the time of the publish stays what it was"
    assert len(world.git.log("main")) == 3, "first commit, content, approval: nothing is merged twice"


async def test_a_proposal_waits_for_the_render_that_is_due(world: World) -> None:
    name = await world.draft()
    await world.push({"Kptfile": kptfile_text("web")})
    await world.annotate(name, render_request="7")
    await world.ask(name, "Proposed")
    phases = plan(await world.facts(name))
    assert phases == [Phase.RENDER, Phase.LIFECYCLE]
    for phase in phases:
        await world.run(phase, name)
    assert refs(world) == {PROPOSED}
    obj = await world.get(name)
    assert (obj["status"]["observedPrrResourceVersion"], reason(obj, "Ready")) == ("7", "True/Ready")


async def test_a_token_that_was_taken_back_renders_nothing(world: World) -> None:
    name = await world.draft()
    await world.annotate(name, reconcile_now="t1")
    await world.run(Phase.RENDER, name)
    await world.annotate(name, reconcile_now=None)
    assert not in_need(await world.get(name))
    await world.ask(name, "Proposed")
    assert plan(await world.facts(name)) == [Phase.LIFECYCLE]


async def test_a_failed_render_keeps_the_proposal_a_draft_and_says_why(world: World) -> None:
    name = await world.draft()
    pushed = await world.push(dict(BROKEN))
    await world.annotate(name, render_request="7")
    await world.ask(name, "Proposed")
    message = await world.fails(Phase.RENDER, name, ErrorKind.STALLED)
    again = await world.fails(Phase.LIFECYCLE, name, ErrorKind.STALLED)
    assert "not Proposed: the last render failed" in again
    assert world.git.refs()[DRAFT] == pushed
    assert refs(world) == {DRAFT}
    obj = await world.get(name)
    rendered = condition(obj, "Rendered")
    assert rendered is not None
    assert rendered.message == message
    assert (reason(obj, "Ready"), reason(obj, "Stalled")) == ("False/RenderFailed", "True/RenderFailed")


async def test_several_that_publish_at_once_get_all_numbers_and_one_label(world: World, other: World) -> None:
    names = [await world.draft(f"w{number}") for number in range(6)]
    for name in names:
        await move(world, name, "Proposed")
        await world.ask(name, "Published")
    await asyncio.gather(*((world, other)[i % 2].run(Phase.LIFECYCLE, name) for i, name in enumerate(names)))
    found = [await world.get(name) for name in names]
    numbers = {obj["status"]["revision"]: obj for obj in found}
    assert sorted(numbers) == [1, 2, 3, 4, 5, 6]
    labels = {number: obj["metadata"]["labels"][LATEST_REVISION_LABEL] for number, obj in numbers.items()}
    assert labels == dict.fromkeys(range(1, 6), "false") | {6: "true"}
    for number, obj in numbers.items():
        assert world.git.refs()[f"refs/tags/web/v{number}"] == obj["status"]["selfLock"]["git"]["commit"]
