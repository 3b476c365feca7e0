"""The rules that the conditions of every object keep to: at every moment, from one moment to the next, and at the end.

They are those of Flux's `conditions/check` (style reference; its numbers in brackets) and of kstatus.
"""

import asyncio
import contextlib
import itertools
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from typing import Any

from porchflow.kube.client import KubeClient
from porchflow.kube.kinds import PACKAGEREVISIONS
from porchflow.kube.watching import Changed, Deleted, Listed, ListEnd, watch_objects
from tests.servers.waiting import eventually

ABNORMAL_TRUE = ("Reconciling", "Stalled", "Suspended")

Object = dict[str, Any]


def check_rules(obj: Object) -> None:
    """Fail with the rule that an object's status breaks at this moment."""
    status = obj.get("status") or {}
    conditions = status.get("conditions", [])
    kinds = [condition["type"] for condition in conditions]
    by_type = _by_type(obj)
    name, generation = obj["metadata"]["name"], obj["metadata"]["generation"]

    assert len(kinds) == len(set(kinds)), f"{name}: a condition stands twice: {kinds}"
    assert "Ready" in by_type, f"{name}: Ready is missing (FAIL0002)"
    for kind in ABNORMAL_TRUE:
        assert by_type.get(kind, {"status": "True"})["status"] == "True", (
            f"{name}: {kind} exists while not True (WARN0003)"
        )
    abnormal = {*ABNORMAL_TRUE} & {*kinds}
    assert len(abnormal) <= 1, f"{name}: {kinds} at once (FAIL0005)"
    if abnormal:
        assert by_type["Ready"]["status"] == "False", f"{name}: Ready is not False while {kinds} (FAIL0001, 3, 4)"
    if by_type["Ready"]["status"] == "True":
        assert by_type.get("Rendered", {"status": "True"})["status"] != "False", f"{name}: Ready but not Rendered"
    for kind in ("Stalled", "Suspended"):
        same = by_type.get(kind, by_type["Ready"])["reason"] == by_type["Ready"]["reason"]
        assert same, f"{name}: {kind} and Ready disagree (WARN0002)"
    if "Stalled" in by_type:
        assert status.get("observedGeneration") is not None, f"{name}: Stalled but no generation observed"
    assert status.get("observedGeneration", 0) <= generation, f"{name}: observed a generation that is none (FAIL0006)"
    for condition in conditions:
        _check_condition(f"{name}: {condition['type']}", condition, generation)


def _check_condition(name: str, condition: Mapping[str, Any], generation: int) -> None:
    assert condition.get("reason"), f"{name} has no reason"
    assert condition.get("lastTransitionTime"), f"{name} has no lastTransitionTime"
    assert 1 <= condition.get("observedGeneration", 0) <= generation, f"{name} is of no generation (FAIL0006, WARN0005)"
    if condition["status"] == "False":
        assert condition.get("message"), f"{name} is False without a word"


def check_ready_is_of_now(obj: Object) -> None:
    """Fail where Ready is said of another generation than the object's: whoever waits for Ready would be told a lie."""
    name, generation = obj["metadata"]["name"], obj["metadata"]["generation"]
    if _by_type(obj)["Ready"]["status"] != "True":
        return
    assert obj["status"]["observedGeneration"] == generation, f"{name}: Ready, but not its newest generation (FAIL0007)"
    stale = [c["type"] for c in obj["status"]["conditions"] if c["observedGeneration"] != generation]
    assert not stale, f"{name}: Ready, and {stale} of another generation (FAIL0008, FAIL0009)"


def kstatus(obj: Object) -> str:
    """Compute the status of an object as kstatus does for kinds that it does not know."""
    if "deletionTimestamp" in obj["metadata"]:
        return "Terminating"
    status, conditions = obj.get("status") or {}, _by_type(obj)
    observed = status.get("observedGeneration")
    if observed is not None and observed != obj["metadata"]["generation"]:
        return "InProgress"
    if conditions.get("Reconciling", {}).get("status") == "True":
        return "InProgress"
    if conditions.get("Stalled", {}).get("status") == "True":
        return "Failed"
    return {"True": "Current"}.get(conditions.get("Ready", {}).get("status", "True"), "InProgress")


def check_kstatus(obj: Object) -> None:
    """Fail where tools that go by kstatus take an object for something else than its conditions say."""
    conditions, computed = _by_type(obj), kstatus(obj)
    if computed == "Terminating":
        return
    name = obj["metadata"]["name"]
    ready = conditions["Ready"]
    of_now = ready.get("observedGeneration") == obj["metadata"]["generation"]
    said = (
        "Current"
        if ready["status"] == "True" and of_now
        else "Failed"
        if "Stalled" in conditions and of_now
        else "InProgress"
    )
    assert computed == said, f"{name}: kstatus says {computed}, the conditions say {said}: {conditions}"


def check_step(before: Object, after: Object) -> None:
    """Fail with the rule that the change from one version of an object to the next breaks."""
    name = after["metadata"]["name"]
    old, new = before.get("status") or {}, after.get("status") or {}
    moved = (old.get("observedGeneration", 0), new.get("observedGeneration", 0))
    assert moved[0] <= moved[1], f"{name}: observedGeneration went back: {moved}"
    conditions = _by_type(before)
    for kind, condition in _by_type(after).items():
        known = conditions.get(kind)
        if known is None:
            continue
        times = (known["lastTransitionTime"], condition["lastTransitionTime"])
        if known["status"] == condition["status"]:
            assert times[0] == times[1], f"{name}: {kind} did not flip, but its lastTransitionTime did: {times}"
        else:
            assert times[0] <= times[1], f"{name}: {kind} flipped before it was what it was: {times}"
    if _by_type(after).get("Ready") != conditions.get("Ready"):
        check_rules(after)
        check_ready_is_of_now(after)


def check_echo(versions: list[Object]) -> None:
    """Fail where a status echoes a token that nobody set."""
    tokens = {None, ""}
    for obj in versions:
        tokens.add((obj["metadata"].get("annotations") or {}).get("porchflow.dev/reconcile-now"))
        echoed = (obj.get("status") or {}).get("observedReconcileNow")
        assert echoed in tokens, f"{obj['metadata']['name']}: {echoed!r} was handled, but nobody asked for it"


def _by_type(obj: Object) -> dict[str, dict[str, Any]]:
    return {condition["type"]: condition for condition in (obj.get("status") or {}).get("conditions", [])}


class Recorder:
    """Every version of every PackageRevision of a namespace, as a watch saw them."""

    def __init__(self, client: KubeClient, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._versions: dict[str, list[Object]] = defaultdict(list)
        self._listed = asyncio.Event()

    @contextlib.asynccontextmanager
    async def recording(self) -> AsyncIterator[None]:
        """Record while the context is open; at its end, everything is seen."""
        task = asyncio.create_task(self._watch())
        try:
            await self._listed.wait()
            yield
            await eventually(lambda: task.done() or self._saw_all(), timeout=20, what="the watch saw what is there")
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _watch(self) -> None:
        async with contextlib.aclosing(watch_objects(self._client, PACKAGEREVISIONS, self._namespace)) as events:
            async for event in events:
                if isinstance(event, Listed | Changed | Deleted):
                    self._see(event.object)
                elif isinstance(event, ListEnd):
                    self._listed.set()

    def _see(self, obj: Object) -> None:
        versions = self._versions[obj["metadata"]["uid"]]
        if not versions or versions[-1]["metadata"]["resourceVersion"] != obj["metadata"]["resourceVersion"]:
            versions.append(obj)

    async def _saw_all(self) -> bool:
        there = [obj["metadata"] async for obj in self._client.list_all(PACKAGEREVISIONS, self._namespace)]
        last = {versions[-1]["metadata"]["resourceVersion"] for versions in self._versions.values()}
        return {metadata["resourceVersion"] for metadata in there} <= last

    def check(self) -> None:
        """Fail with the first rule that an object broke."""
        for versions in self._versions.values():
            for before, after in itertools.pairwise(versions):
                check_step(before, after)
            check_echo(versions)
            final = versions[-1]
            if (final.get("status") or {}).get("conditions"):
                check_rules(final)
                check_kstatus(final)
