"""Looks at all invariants: some at every moment, all once everything has settled."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from porchflow.kube.client import Object
from porchflow.kube.errors import KubeError
from porchflow.kube.kinds import REPOSITORIES
from soak.findings import Findings, Violation
from soak.invariants.branches import check_refs
from soak.invariants.history import Steadiness, check_history, publishes
from soak.invariants.memory import MemoryLog
from soak.invariants.objects import check_objects, check_repositories
from soak.invariants.pushed import check_commits, check_pushed
from soak.invariants.temporal import check_runs, check_schedules
from soak.journal import Journal
from soak.ledger import Ledger
from soak.observer import Observer
from soak.places import GIT_REPOSITORIES, PLACES
from soak.stack import SoakStack

SETTLE_SECONDS = 300.0
"""Until everything must have settled: retries are at most two minutes apart, and Temporal notices lost workers."""
_LOOK_SECONDS = 10.0
_POLL_SECONDS = 1.0


class Invariants:
    """All invariants of a run.

    Attributes:
        memory: Of the parts, from one look to the next.
        settled: Seconds that everything took to settle; None before.
    """

    def __init__(
        self, stack: SoakStack, ledger: Ledger, observer: Observer, findings: Findings, journal: Journal
    ) -> None:
        """Create the invariants of a run that begins."""
        self.memory = MemoryLog()
        self.settled: float | None = None
        self._stack = stack
        self._ledger = ledger
        self._observer = observer
        self._findings = findings
        self._journal = journal
        self._steadiness = [Steadiness(stack.bare(name)) for name in GIT_REPOSITORIES]

    async def watch(self) -> None:
        """Look again and again at what must hold at every moment, until cancelled."""
        while True:
            await asyncio.to_thread(self._look)
            await asyncio.sleep(_LOOK_SECONDS)

    def _look(self) -> None:
        self.memory.look(self._stack.record)
        for steadiness in self._steadiness:
            self._findings.add(steadiness.look())
        for name in GIT_REPOSITORIES:
            bare = self._stack.bare(name)
            # The commits first: what is accepted meanwhile is in a history that is read later.
            commits = tuple(self._ledger.commits[name])
            self._findings.add(check_history(bare) + check_commits(bare, commits))

    async def check_all(self, sync: Callable[[str], Awaitable[None]]) -> None:
        """Wait until everything has settled, then look at all invariants; and again after a full sync.

        Args:
            sync: Syncs all Repositories; it is given the token of the request.
        """
        began = time.monotonic()
        if await self._until_settled("after the faults"):
            self.settled = time.monotonic() - began
            self._journal.say("settled", f"after {self.settled:.1f} s")
            await sync("soak-end")
            await self._until_settled("after a sync of all Repositories")
        self._findings.add(await check_runs(self._stack.temporal))
        self._findings.add(await check_schedules(self._stack.temporal, self._stack.installation, PLACES))
        self._findings.add(self.memory.check())
        await asyncio.to_thread(self._look)

    async def _until_settled(self, when: str) -> bool:
        until = time.monotonic() + SETTLE_SECONDS
        while found := await self._unsettled():
            if time.monotonic() > until:
                self._journal.say("settled", f"not within {SETTLE_SECONDS:g} s {when}")
                self._findings.add(found)
                self._findings.add(await asyncio.to_thread(self._in_git, dict(self._observer.objects)))
                return False
            await asyncio.sleep(_POLL_SECONDS)
        return True

    async def _unsettled(self) -> list[Violation]:
        try:
            repositories = [obj async for obj in self._stack.admin.list_all(REPOSITORIES)]
        except KubeError as error:
            return [Violation("repositories", "API server", str(error))]
        found = check_objects(self._ledger, self._observer.objects)
        found += check_repositories(repositories)
        # Git is asked only once the objects say that all is well: it takes a process for each file.
        return found or await asyncio.to_thread(self._in_git, dict(self._observer.objects))

    def _in_git(self, objects: dict[tuple[str, str], Object]) -> list[Violation]:
        found: list[Violation] = []
        for name in GIT_REPOSITORIES:
            bare = self._stack.bare(name)
            promises = [each for each in self._ledger.promises.values() if each.key.place.git == name]
            found += check_refs(bare, promises, objects)
            found += check_pushed(bare, promises, objects)
        return found + self._published_once()

    def _published_once(self) -> list[Violation]:
        found = []
        for place in PLACES:
            made = [each.path for each in publishes(self._stack.bare(place.git))]
            for package in sorted({promise.key.package for promise in self._ledger.of(place)}):
                wanted, there = self._ledger.published(place, package), made.count(place.path(package))
                if there not in wanted:
                    told = " or ".join(map(str, wanted))
                    expected = f"{told} revisions were published, and the branch has {there} publishes"
                    found.append(Violation("numbers", f"{place}.{package}", expected))
        return found
