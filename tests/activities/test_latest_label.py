"""The label of the latest revision of a package."""

from typing import Any

from porchflow.api.needs import Phase
from porchflow.kube.client import Object
from porchflow.kube.kinds import PACKAGEREVISIONS
from tests.activities.world import World

LATEST = "porch.kpt.dev/latest-revision"


async def test_the_latest_label_moves_on_and_back(world: World) -> None:
    first, second = await world.published("v1"), await world.published("v2")
    draft = await world.draft("v3")
    assert await _labels(world) == {first: "false", second: "true", draft: "false"}
    await world.ask(second, "DeletionProposed")
    await world.run(Phase.LIFECYCLE, second)
    assert (await _labels(world))[second] == "true", "it is published until it is gone"
    await world.delete(await world.get(second))
    await world.run(Phase.FINALIZE, second)
    assert await _labels(world) == {first: "true", draft: "false"}


async def test_two_that_publish_at_once_agree_on_the_latest(world: World, other: World) -> None:
    first = await world.draft("v1")
    for lifecycle in ("Proposed", "Published"):
        obj = await world.ask(first, lifecycle)
        if lifecycle == "Proposed":
            await world.run(Phase.LIFECYCLE, first)
    # Writes of a publish: the report, then the label. Before its label the other revision is published and labelled.
    await other.draft("v2")
    await other.ask("blueprints.web.v2", "Proposed")
    await other.run(Phase.LIFECYCLE, "blueprints.web.v2")
    await other.ask("blueprints.web.v2", "Published")

    def meanwhile(write: int) -> Any:
        return other.run(Phase.LIFECYCLE, "blueprints.web.v2") if write == 2 else None

    world.worker.writes, world.worker.before_write = 0, meanwhile
    await world.run(Phase.LIFECYCLE, first, obj=obj)
    assert world.worker.writes > 2
    assert await _labels(world) == {first: "false", "blueprints.web.v2": "true"}


async def _labels(world: World) -> dict[str, str]:
    found: list[Object] = [obj async for obj in world.kube.list_all(PACKAGEREVISIONS, world.namespace)]
    return {obj["metadata"]["name"]: obj["metadata"]["labels"][LATEST] for obj in found}
