"""The newest state of every PackageRevision, from one watch; each state that it sees must keep the rules."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from porchflow.kube.client import KubeClient, Object
from porchflow.kube.kinds import PACKAGEREVISIONS
from porchflow.kube.watching import Changed, Deleted, Listed, ListEnd, ListStarted, WatchTimings, watch_objects
from soak.findings import Findings, Violation
from soak.places import Key
from tests.e2e.rules import check_rules

_TIMINGS = WatchTimings(longest_delay=2.0)
"""People wait for what it shows, so it looks again soon after a fault."""


class Observer:
    """What the API server shows of all namespaces."""

    def __init__(self, findings: Findings) -> None:
        """Create an observer that has seen nothing."""
        self.objects: dict[tuple[str, str], Object] = {}
        self._findings = findings
        self._listed: set[tuple[str, str]] = set()

    def get(self, key: Key) -> Object | None:
        """Return an object; None while there is none."""
        return self.objects.get((key.namespace, key.name))

    async def watch(self, client: KubeClient) -> None:
        """Follow until cancelled."""
        async with contextlib.aclosing(watch_objects(client, PACKAGEREVISIONS, timings=_TIMINGS)) as events:
            async for event in events:
                self._take(event)

    def _take(self, event: Any) -> None:  # noqa: ANN401 - one of the events of a watch
        match event:
            case ListStarted():
                self._listed.clear()
            case Listed(obj):
                self._listed.add(self._see(obj))
            case Changed(_, obj):
                self._see(obj)
            case Deleted(obj):
                self.objects.pop(_name(obj), None)
            case ListEnd():
                self.objects = {name: obj for name, obj in self.objects.items() if name in self._listed}

    def _see(self, obj: Object) -> tuple[str, str]:
        before = self.objects.get(name := _name(obj))
        self.objects[name] = obj
        self._findings.add(broken_rules(obj) + went_back(before, obj))
        return name


def _name(obj: Object) -> tuple[str, str]:
    return obj["metadata"]["namespace"], obj["metadata"]["name"]


def broken_rules(obj: Object) -> list[Violation]:
    """Return the rules of conditions that a state of an object breaks; none while nothing was reported."""
    if not (obj.get("status") or {}).get("conditions"):
        return []
    try:
        check_rules(obj)
    except AssertionError as error:
        return [Violation("conditions", "/".join(_name(obj)), str(error))]
    return []


def went_back(before: Object | None, after: Object) -> list[Violation]:
    """Return a violation where the observed generation of one and the same object went back."""
    if before is None or before["metadata"]["uid"] != after["metadata"]["uid"]:
        return []
    old, new = ((each.get("status") or {}).get("observedGeneration", 0) for each in (before, after))
    if new >= old:
        return []
    return [
        Violation("conditions", "/".join(_name(after)), f"observedGeneration never goes back, but did: {old}, {new}")
    ]


@contextlib.asynccontextmanager
async def observing(client: KubeClient, findings: Findings) -> AsyncIterator[Observer]:
    """Observe while the context is open."""
    observer = Observer(findings)
    task = asyncio.create_task(observer.watch(client))
    try:
        yield observer
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
