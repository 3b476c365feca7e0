"""Follows all objects of a benchmark with one watch, as a client with little load of its own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable

from porchflow.api.models.conditions import raw_condition, raw_holding
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.kinds import PACKAGEREVISIONS
from porchflow.kube.watching import Changed, Deleted, Listed, watch_objects

QUIET_SECONDS = 60.0
"""Time without any change after which unfinished objects count as lost."""


class BenchError(Exception):
    """A workload did not reach 100 %, or could not run; the message names the object and its state."""


class Follower:
    """The newest state of every PackageRevision of a namespace."""

    def __init__(self) -> None:
        self._objects: dict[str, Object] = {}
        self._gone: set[str] = set()
        self._news: asyncio.Queue[str] = asyncio.Queue()

    async def watch(self, client: KubeClient, namespace: str) -> None:
        """Follow until cancelled."""
        async with contextlib.aclosing(watch_objects(client, PACKAGEREVISIONS, namespace)) as events:
            async for event in events:
                if isinstance(event, Listed | Changed):
                    self._tell(event.object)
                elif isinstance(event, Deleted):
                    self._tell(event.object, gone=True)

    def _tell(self, obj: Object, *, gone: bool = False) -> None:
        name = obj["metadata"]["name"]
        self._objects[name] = obj
        (self._gone.add if gone else self._gone.discard)(name)
        self._news.put_nowait(name)

    async def until(
        self, names: Iterable[str], wanted: str, holds: Callable[[Object], bool], *, quiet: float = QUIET_SECONDS
    ) -> None:
        """Wait until all objects fulfil a condition.

        Args:
            names: The objects; each may still have to appear.
            wanted: The condition, for people.
            holds: The condition.
            quiet: See `QUIET_SECONDS`.

        Raises:
            BenchError: One is Stalled or was deleted, or no object changes any more.
        """
        known = set(names)
        pending = {name for name in known if not self._done(name, holds)}
        while pending:
            try:
                name = await asyncio.wait_for(self._news.get(), quiet)
            except TimeoutError:
                raise BenchError(self._lost(pending, len(known), wanted, quiet)) from None
            if name in pending and self._done(name, holds):
                pending.discard(name)

    def _done(self, name: str, holds: Callable[[Object], bool]) -> bool:
        if name in self._gone:
            raise BenchError(f"{name} is gone; nobody deleted it")
        obj = self._objects.get(name)
        if obj is None:
            return False
        if stalled := raw_condition(obj, "Stalled"):
            raise BenchError(f"{name} is Stalled: {stalled.get('reason')}: {stalled.get('message')}")
        return holds(obj)

    def _lost(self, pending: set[str], total: int, wanted: str, quiet: float) -> str:
        name = min(pending)
        obj = self._objects.get(name)
        state = raw_condition(obj, "Ready") if obj else "the object was never seen"
        return f"{len(pending)} of {total} objects lost: not {wanted}, and no news for {quiet:g} s; {name}: {state}"


@contextlib.asynccontextmanager
async def following(client: KubeClient, namespace: str) -> AsyncIterator[Follower]:
    """Follow a namespace while the context is open."""
    follower = Follower()
    task = asyncio.create_task(follower.watch(client, namespace))
    try:
        yield follower
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def is_ready(obj: Object) -> bool:
    """Return whether the newest generation was handled and is Ready."""
    fresh = (obj.get("status") or {}).get("observedGeneration") == obj["metadata"]["generation"]
    return fresh and bool(raw_holding(obj, "Ready"))


def is_rendered(obj: Object) -> bool:
    """Return whether it is Ready, and rendered."""
    return is_ready(obj) and bool(raw_holding(obj, "Rendered"))
