"""The label of the latest revision of a package."""

from typing import Any

import pytest

from porchflow.api.work.needs import Phase
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


@pytest.mark.parametrize("write", [1, 2, 3])
async def test_two_that_publish_at_once_agree_on_the_latest(world: World, other: World, write: int) -> None:
    """The second is published and labelled before the first is reported, before its label, or after both."""
    first = await world.draft("v1")
    for lifecycle in ("Proposed", "Published"):
        obj = await world.ask(first, lifecycle)
        if lifecycle == "Proposed":
            await world.run(Phase.LIFECYCLE, first)
    await other.draft("v2")
    await other.ask("blueprints.web.v2", "Proposed")
    await other.run(Phase.LIFECYCLE, "blueprints.web.v2")
    await other.ask("blueprints.web.v2", "Published")

    def meanwhile(number: int) -> Any:
        return other.run(Phase.LIFECYCLE, "blueprints.web.v2") if number == write else None

    world.worker.writes, world.worker.before_write = 0, meanwhile
    await world.run(Phase.LIFECYCLE, first, obj=obj)
    if world.worker.writes < write:
        await other.run(Phase.LIFECYCLE, "blueprints.web.v2")
    assert await _labels(world) == {first: "false", "blueprints.web.v2": "true"}
    assert (await world.get("blueprints.web.v2"))["status"]["revision"] == 2


async def test_the_first_revision_of_a_package_is_labelled_without_a_list(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The API server compares every object of a namespace for a list of one package."""
    name = await world.draft("v1")
    await world.ask(name, "Proposed")
    await world.run(Phase.LIFECYCLE, name)
    await world.ask(name, "Published")
    lists = []
    list_page = world.worker.list_page

    async def counted(*args: Any, **kwargs: Any) -> Any:
        lists.append(args)
        return await list_page(*args, **kwargs)

    monkeypatch.setattr(world.worker, "list_page", counted)
    await world.run(Phase.LIFECYCLE, name)
    assert (await _labels(world), lists) == ({name: "true"}, [])


async def _labels(world: World) -> dict[str, str]:
    found: list[Object] = [obj async for obj in world.kube.list_all(PACKAGEREVISIONS, world.namespace)]
    return {obj["metadata"]["name"]: obj["metadata"]["labels"][LATEST] for obj in found}
