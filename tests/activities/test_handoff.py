"""What a pass has read before its phase begins is not read a second time, nor believed for long."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from porchflow.activities.definitions import ObjectKey, PhaseInput
from porchflow.activities.reconcile import PhaseActivities
from porchflow.api.error_kinds import ErrorKind
from porchflow.api.work.intent import intent_key
from porchflow.kube.client import Object
from porchflow.kube.kinds import REPOSITORIES, Resource
from tests.activities.world import Interrupted, World
from tests.servers.control_plane import ControlPlane


class Reading(Interrupted):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.read: list[str] = []

    async def get(self, resource: Resource, *args: Any, **kwargs: Any) -> Object:
        # Whether the policies hold is looked up once for many passes.
        if resource.group != "admissionregistration.k8s.io":
            self.read.append(resource.plural)
        return await super().get(resource, *args, **kwargs)


@pytest.fixture
async def reading(control_plane: ControlPlane) -> AsyncIterator[Reading]:
    async with await Reading.connect(control_plane.kubeconfig) as client:
        yield client


async def propose(world: World, activities: PhaseActivities, name: str, *, is_local: bool = True) -> None:
    """Look at an object that asks to be proposed, and move it, as one pass does."""
    obj = await world.ask(name, "Proposed")
    await look(world, activities, name)
    await move(activities, obj, is_local=is_local)


async def look(world: World, activities: PhaseActivities, name: str) -> None:
    await ActivityEnvironment().run(activities.observe, ObjectKey(namespace=world.namespace, name=name))


async def move(activities: PhaseActivities, obj: Object, *, is_local: bool = True, is_first: bool = True) -> None:
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, is_local=is_local, workflow_run_id="run-1")
    metadata = obj["metadata"]
    version = metadata["resourceVersion"] if is_first else ""
    named = {"namespace": metadata["namespace"], "name": metadata["name"]}
    request = PhaseInput(**named, intent=intent_key(obj), version=version)
    await environment.run(activities.move_lifecycle, request)


async def test_a_pass_reads_its_object_and_repository_once(world: World, reading: Reading) -> None:
    name = await world.draft()
    await propose(world, replace(world, worker=reading).activities(), name)
    assert sorted(reading.read) == ["packagerevisions", "repositories"]
    assert "proposed/web/v1" in (await world.get(name))["status"]["selfLock"]["git"]["ref"]


async def test_an_attempt_elsewhere_reads_for_itself(world: World, reading: Reading) -> None:
    name = await world.draft()
    await propose(world, replace(world, worker=reading).activities(), name, is_local=False)
    assert sorted(reading.read) == ["packagerevisions"] * 2 + ["repositories"] * 2


async def test_what_was_read_is_believed_for_a_moment_only(
    world: World, reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("porchflow.activities.running.handoff._FRESH_SECONDS", 0.0)
    name = await world.draft()
    await propose(world, replace(world, worker=reading).activities(), name)
    assert sorted(reading.read) == ["packagerevisions"] * 2 + ["repositories"] * 2


async def test_a_repository_that_was_not_there_a_moment_ago_is_looked_for_again(world: World, reading: Reading) -> None:
    activities = replace(world, worker=reading).activities()
    name = await world.draft()
    registered = await world.kube.get(REPOSITORIES, world.namespace, "blueprints")
    await world.kube.delete(REPOSITORIES, world.namespace, "blueprints")
    obj = await world.ask(name, "Proposed")
    key = ObjectKey(namespace=world.namespace, name=name)
    await ActivityEnvironment().run(activities.observe, key)
    with pytest.raises(ApplicationError) as raised:
        await move(activities, obj)
    assert raised.value.type == ErrorKind.WAITING
    await ActivityEnvironment().run(activities.observe, key)
    await world.register("blueprints", registered["spec"]["git"]["repo"])
    await move(activities, obj)
    assert "proposed/web/v1" in (await world.get(name))["status"]["selfLock"]["git"]["ref"]


async def test_what_was_read_before_a_rendering_is_not_believed_after_it(world: World) -> None:
    """A rendering that changes nothing leaves the pushed commit, which only its report makes known."""
    name, activities = await world.draft(), world.activities()
    pushed = await world.push({"note.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: note\n"})
    await world.annotate(name, render_request=pushed)
    obj = await world.ask(name, "Proposed")
    await look(world, activities, name)
    request = PhaseInput(namespace=world.namespace, name=name, intent=intent_key(obj))
    assert (await ActivityEnvironment().run(activities.render, request)).commit == pushed
    await move(activities, obj, is_first=False)
    status = (await world.get(name))["status"]
    assert status["selfLock"]["git"]["ref"] == "proposed/web/v1"
    assert status["selfLock"]["git"]["commit"] == pushed


async def test_another_version_than_the_pass_has_read_is_not_believed(world: World, reading: Reading) -> None:
    name, activities = await world.draft(), replace(world, worker=reading).activities()
    obj = await world.ask(name, "Proposed")
    await look(world, activities, name)
    obj["metadata"]["resourceVersion"] = "1"
    await move(activities, obj)
    assert sorted(reading.read) == ["packagerevisions"] * 2 + ["repositories"] * 2
