"""A thousand edits and deletions race with phases that run, retry or hang: the last one is what comes out."""

import asyncio
import random
import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from temporalio import activity
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError

from porchflow.activities.definitions import ObjectKey, PhaseInput, PhaseResult
from porchflow.api.models.packagerevision import Lifecycle
from porchflow.api.work.needs import Facts
from porchflow.workflows.ids import LOOK_AGAIN_SIGNAL, PackageRevisionInput
from porchflow.workflows.packagerevision import PackageRevisionWorkflow
from tests.servers.waiting import eventually
from tests.workflows.fakes import FakeActivities
from tests.workflows.test_packagerevision import working

OBJECTS, EDITS = 50, 20


@dataclass
class Thing:
    """An object, and what Git and its status say of it."""

    version: int = 0
    deleting: bool = False
    exists: bool = True
    reported: int = 0
    pushing: bool = False
    fates: dict[int, str] = field(default_factory=dict)
    """What becomes of the phase that works on a version."""


class Races(FakeActivities):
    """Phases that check what is asked, push what nobody can take back, and report only what is still asked."""

    def __init__(self) -> None:
        super().__init__(Facts(exists=False))
        self.things: dict[str, Thing] = {}
        self.met: Counter[str] = Counter()
        self.wrong: list[str] = []

    @activity.defn(name="observe")
    async def observe(self, key: ObjectKey) -> Facts:
        thing = self.things[key.name]
        if not thing.exists:
            return Facts(exists=False)
        done = thing.reported == thing.version
        return Facts(
            exists=True,
            intent=str(thing.version),
            deleting=thing.deleting,
            finalizer=True,
            desired=Lifecycle.PROPOSED,
            current=Lifecycle.PROPOSED if done else Lifecycle.DRAFT,
            report_pending=not done,
        )

    @activity.defn(name="move_lifecycle")
    async def move_lifecycle(self, request: PhaseInput) -> PhaseResult:
        thing = self.things[request.name]
        await self._work(thing, request)
        if thing.deleting:
            self.wrong.append(f"{request.name}: moved while it is deleted")
        thing.reported = int(request.intent)
        return PhaseResult(summary="moved", current=Lifecycle.PROPOSED)

    @activity.defn(name="finalize")
    async def finalize(self, request: PhaseInput) -> PhaseResult:
        thing = self.things[request.name]
        await self._work(thing, request)
        thing.exists = False
        return PhaseResult(summary="gone")

    async def _work(self, thing: Thing, request: PhaseInput) -> None:
        self._check(thing, request)
        fate = thing.fates.get(thing.version, "goes well")
        self.met[fate] += 1
        if fate == "retries":
            raise ApplicationError("git is away", type="Transient", next_retry_delay=timedelta(hours=1))
        if fate == "hangs":
            await self._hang()
        await self._push(thing, request.name)
        self._check(thing, request)

    def _check(self, thing: Thing, request: PhaseInput) -> None:
        if request.intent != str(thing.version):
            raise ApplicationError("the object asks for something newer", type="Superseded", non_retryable=True)

    async def _hang(self) -> None:
        if activity.info().is_local:
            raise ApplicationError("takes too long", type="HandedOver", non_retryable=True)
        while True:
            activity.heartbeat()
            await asyncio.sleep(0.05)

    async def _push(self, thing: Thing, name: str) -> None:
        if thing.pushing:
            self.wrong.append(f"{name}: two pushes at once")
        thing.pushing = True
        try:
            # Nobody can take back what is out: a cancellation is heard afterwards.
            await asyncio.shield(asyncio.sleep(0.01))
        finally:
            thing.pushing = False


async def edit(client: Client, queue: str, races: Races, name: str, dice: random.Random) -> None:
    """Edit an object again and again, as fast or slowly as the dice say, and signal each edit as the watcher does."""
    thing = races.things[name]
    for version in range(1, EDITS + 1):
        thing.version = version
        thing.deleting = version == EDITS and dice.random() < 0.5
        if version < EDITS:
            thing.fates[version] = dice.choice(["goes well", "retries", "hangs"])
        await client.start_workflow(
            PackageRevisionWorkflow.run,
            PackageRevisionInput(namespace="default", name=name),
            id=f"{queue}/{name}",
            task_queue=queue,
            start_signal=LOOK_AGAIN_SIGNAL,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )
        # Not to wait for anything: how far the phases come before the next edit is what differs.
        await asyncio.sleep(dice.choice([0, 0.01, 0.1, 0.3, 0.6]))


async def test_the_last_of_many_edits_wins_each_time(temporal_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    races, seed = Races(), uuid.uuid4().int
    races.things = {f"object-{number}": Thing() for number in range(OBJECTS)}

    def unsettled() -> list[str]:
        return [
            name
            for name, thing in races.things.items()
            if (thing.exists if thing.deleting else thing.reported != thing.version)
        ]

    async with working(temporal_client, races, monkeypatch, 1000) as queue:
        async with asyncio.TaskGroup() as group:
            for number, name in enumerate(races.things):
                group.create_task(edit(temporal_client, queue, races, name, random.Random(seed + number)))
        await eventually(lambda: not unsettled(), what=f"every object settles (seed {seed})", timeout=45)
        for name in races.things:
            await temporal_client.get_workflow_handle(f"{queue}/{name}").result()
    assert not races.wrong
    assert min(races.met[fate] for fate in ("goes well", "retries", "hangs")) >= 10, races.met
