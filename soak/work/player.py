"""Plays a plan: actions on one object or Repository follow one another, all others go on at once."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

from soak.findings import Findings, Violation
from soak.invariants.objects import why_unsettled
from soak.journal import Journal
from soak.ledger import Ledger
from soak.observer import Observer
from soak.places import Key, Place
from soak.stack import SoakStack
from soak.work.actions import CREATES, REFUSED, Action, Kind
from soak.work.deeds import Deeds
from soak.work.gates import Gate
from soak.work.pushes import tip_of
from soak.work.repositories import Repositories
from soak.work.requests import CutOff, Refused

_POLL_SECONDS = 0.3
_ON_SETTLED = frozenset({Kind.SUSPEND, Kind.PROPOSE_DELETION})
"""Kinds that a person asks for only of an object that has come to rest."""
_CONTENT = frozenset({Kind.PUSH, Kind.WRITE})


class Player:
    """Plays the actions of a plan.

    Attributes:
        outcomes: How many actions ended how.
    """

    def __init__(
        self,
        *,
        stack: SoakStack,
        deeds: Deeds,
        repositories: Repositories,
        ledger: Ledger,
        observer: Observer,
        findings: Findings,
        journal: Journal,
    ) -> None:
        """Create a player that has done nothing."""
        self.outcomes: Counter[str] = Counter()
        self._stack = stack
        self._deeds = deeds
        self._repositories = repositories
        self._ledger = ledger
        self._observer = observer
        self._findings = findings
        self._journal = journal
        self._stopped = asyncio.Event()
        self._done: dict[int, asyncio.Event] = defaultdict(asyncio.Event)
        self._gates: dict[Place, Gate] = defaultdict(Gate)
        self._last: dict[Key | Place, asyncio.Task[None]] = {}
        self._beside: set[asyncio.Task[None]] = set()
        self._interrupted: set[Place] = set()

    async def play(self, actions: Sequence[Action]) -> None:
        """Begin each action at its time; return when the last has begun, or `stop` was called."""
        for action in actions:
            await self._sleep(action.at - self._journal.seconds)
            if self._stopped.is_set():
                return
            self._begin(action)

    def _begin(self, action: Action) -> None:
        if action.kind is Kind.PUSH_BESIDE:
            self._beside.add(asyncio.create_task(self._follow(action, None)))
            return
        chain = action.key or action.place
        self._last[chain] = asyncio.create_task(self._follow(action, self._last.get(chain)))

    def stop(self) -> None:
        """Begin nothing more, and wait for no object any more."""
        self._stopped.set()

    async def drained(self, seconds: float) -> bool:
        """Wait for the requests that are under way; return whether all were answered in time."""
        tasks = {*self._last.values(), *self._beside}
        if not tasks:
            return True
        done, under_way = await asyncio.wait(tasks, timeout=seconds)
        for task in done:
            task.result()
        return not under_way

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(max(seconds, 0)):
                await self._stopped.wait()
        except TimeoutError:
            return

    async def _follow(self, action: Action, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await before
        began = self._journal.seconds
        outcome = await self._run(action)
        self.outcomes[outcome] += 1
        if outcome != "left out":
            self._journal.say("action", f"{action.number} {action} [{outcome}, {self._journal.seconds - began:.1f} s]")

    async def _run(self, action: Action) -> str:
        try:
            for number in action.after:
                await self._until(self._done[number].is_set)
            if action.key is None:
                return await self._on_repository(action)
            async with self._gates[action.place].shared():
                return await self._on_object(action)
        except CutOff:
            return "cut off"
        except Refused as refusal:
            of = str(action.key or action.place)
            self._findings.add([Violation("refused", of, f"{action.kind} must be taken, and is refused: {refusal}")])
            return "refused"

    async def _on_repository(self, action: Action) -> str:
        if self._stopped.is_set():
            return "left out"
        if action.kind is Kind.REREGISTER_NOW:
            return await self._reregister_now(action)
        if action.kind is not Kind.REREGISTER:
            act = self._repositories.sync if action.kind is Kind.SYNC else self._repositories.commit
            async with self._gates[action.place].shared():
                await act(action.place, action.token)
            return "done"
        async with self._gates[action.place].alone():
            if self._stopped.is_set():
                return "left out"
            await self._repositories.reregister(action.place)
        return "done"

    async def _reregister_now(self, action: Action) -> str:
        self._interrupted.add(action.place)
        try:
            async with self._gates[action.place].alone():
                await self._repositories.reregister(action.place, now=True)
        finally:
            self._interrupted.discard(action.place)
        return "done"

    async def _on_object(self, action: Action) -> str:
        if action.kind in _ON_SETTLED and not self._is_lost(action):
            await self._until_settled(action.object)
        if self._stopped.is_set() or self._is_lost(action):
            return "left out"
        if action.kind is Kind.PUSH_BESIDE:
            return "done" if await self._deeds.push_beside(action) else "missed"
        generation = await self._deeds.do(action)
        self._done[action.number].set()
        if action.waits and action.kind not in REFUSED:
            await self._until_settled(action.object, generation, content=action.kind in _CONTENT)
            return "left waiting" if self._stopped.is_set() else "done"
        return "done"

    def _is_lost(self, action: Action) -> bool:
        """Return whether the object was never made, or nobody knows how far it or a source of it has come."""
        keys = action.sources if action.kind in CREATES else (action.object, *action.sources)
        promises = [self._ledger.promises.get(key) for key in keys]
        return any(promise is None or self._ledger.is_open(promise) for promise in promises)

    async def _until_settled(self, key: Key, generation: int = 0, *, content: bool = False) -> None:
        promise, bare = self._ledger.promise(key), self._stack.bare(key.place.git)

        def is_settled() -> bool:
            obj = self._observer.get(key)
            fresh = obj is None or obj["metadata"]["generation"] >= generation
            return fresh and not why_unsettled(promise, obj)

        def is_over() -> bool:
            return self._stopped.is_set() or key.place in self._interrupted

        await self._until(lambda: is_settled() or is_over())
        while content and not is_over():
            tip = await asyncio.to_thread(tip_of, bare, key.draft)
            obj = self._observer.get(key) or {}
            lock = ((obj.get("status") or {}).get("selfLock") or {}).get("git") or {}
            if lock.get("commit") == tip and is_settled():
                break
            await self._sleep(_POLL_SECONDS)
        if is_settled():
            # It has what it needs of them, whatever becomes of them.
            promise.sources = ()

    async def _until(self, holds: Callable[[], bool]) -> None:
        while not self._stopped.is_set() and not holds():
            await self._sleep(_POLL_SECONDS)
