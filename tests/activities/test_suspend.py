"""What a suspended object says, and that nothing is done for it."""

import pytest

from porchflow.api.error_kinds import ErrorKind
from porchflow.api.work.needs import Phase, plan
from tests.activities.world import World, condition, reason


@pytest.mark.parametrize("lifecycle", ["Draft", "Proposed"])
async def test_a_suspended_object_says_so_and_is_ready_again_afterwards(world: World, lifecycle: str) -> None:
    name = await world.draft()
    if lifecycle == "Proposed":
        await world.ask(name, lifecycle)
        await world.run(Phase.LIFECYCLE, name)
    before = await world.get(name)
    await world.annotate(name, suspend="the audit", suspend_until="2100-01-01T00:00:00Z")
    facts = await world.facts(name)
    assert (facts.suspended, facts.suspension_told) == (True, False)
    await world.run(Phase.SUSPEND, name)
    obj = await world.get(name)
    told = condition(obj, "Suspended")
    assert told is not None
    assert told.message.startswith("suspended by porchflow-admin until 2100-01-01T00:00:00+00:00: the audit;")
    assert (reason(obj, "Ready"), reason(obj, "Suspended")) == ("False/Suspended", "True/Suspended")
    assert {**obj["status"], "conditions": [], "lastRun": {}} == {**before["status"], "conditions": [], "lastRun": {}}
    assert (await world.facts(name)).suspension_told
    await world.annotate(name, suspend=None, suspend_until=None)
    facts = await world.facts(name)
    assert (facts.suspended, plan(facts)) == (False, [Phase.LIFECYCLE])
    await world.run(Phase.LIFECYCLE, name)
    obj = await world.get(name)
    assert (reason(obj, "Ready"), reason(obj, "Suspended")) == ("True/Ready", "")


async def test_a_suspension_that_is_over_is_none(world: World) -> None:
    name = await world.draft()
    await world.annotate(name, suspend="the audit", suspend_until="2020-01-01T00:00:00Z")
    assert not (await world.facts(name)).suspended
    await world.fails(Phase.SUSPEND, name, ErrorKind.SUPERSEDED)


async def test_an_end_that_is_no_time_is_told(world: World) -> None:
    name = await world.create(source=None)
    body = {"metadata": {"annotations": {"porchflow.dev/suspend-until": "2100-13-01T00:00:00Z"}}}
    await world.patch(name, body)
    await world.run(Phase.SUSPEND, name)
    obj = await world.get(name)
    assert reason(obj, "Suspended") == "True/InvalidSuspension"
    assert "2100-13-01T00:00:00Z" in str(condition(obj, "Ready"))
    assert ("Warning", "InvalidSuspension", 1) in await world.told(name)


async def test_nothing_is_done_for_an_object_that_is_suspended_meanwhile(world: World) -> None:
    name = await world.draft()
    obj = await world.ask(name, "Proposed")
    await world.annotate(name, suspend="the audit")
    await world.fails(Phase.LIFECYCLE, name, ErrorKind.SUPERSEDED, obj=obj)
    assert "refs/heads/drafts/web/v1" in world.git.refs()
