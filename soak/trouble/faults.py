"""Makes the faults of a plan on a running stack, and mends them."""

import asyncio
import contextlib
import shutil
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import psutil

from soak.journal import Journal
from soak.stack import SoakStack
from soak.trouble.fault_plan import MOMENTARY, Fault
from soak.trouble.relay import Mode
from soak.trouble.small_disk import fill, free

_MODES = {
    "cut": Mode.REFUSE,
    "silence": Mode.HANG,
    "git-error": Mode.ERROR,
    "git-hang": Mode.HANG,
    "git-refuse": Mode.REFUSE,
}
_RESTART_SECONDS = 120.0
_POLL_SECONDS = 0.5
_DEATH_SECONDS = 0.02


class Faults:
    """Makes faults.

    Attributes:
        made: How many there were of each kind.
    """

    def __init__(self, stack: SoakStack, journal: Journal) -> None:
        """Create faults of a stack."""
        self.made: Counter[str] = Counter()
        self._stack = stack
        self._journal = journal
        self._held: Counter[str] = Counter()
        self._kinds: dict[str, Callable[[Fault], contextlib.AbstractAsyncContextManager[None]]] = {
            "kill": self._killed,
            "restart": self._restarted,
            "cache-lost": self._cache_lost,
            "temporal-lost": self._temporal_lost,
            "freeze": self._frozen,
            "disk-full": self._full,
            **dict.fromkeys(_MODES, self._relayed),
        }

    async def make(self, faults: Sequence[Fault]) -> None:
        """Make each fault at its time; cancelled, mend all."""
        async with asyncio.TaskGroup() as group:
            for fault in faults:
                group.create_task(self._make(fault))

    async def _make(self, fault: Fault) -> None:
        await asyncio.sleep(fault.at - self._journal.seconds)
        self._journal.say("fault", f"{fault.number} {fault}")
        self.made[fault.kind] += 1
        async with self._kinds[fault.kind](fault):
            await asyncio.sleep(0 if fault.kind in MOMENTARY else fault.seconds)
        if fault.kind not in MOMENTARY:
            self._journal.say("mended", f"{fault.number} {fault.kind} {fault.target}")

    @contextlib.asynccontextmanager
    async def _killed(self, fault: Fault) -> AsyncIterator[None]:
        _signal(self._process(fault.target), signal.SIGKILL)
        yield

    @contextlib.asynccontextmanager
    async def _restarted(self, fault: Fault) -> AsyncIterator[None]:
        _signal(self._process(fault.target), signal.SIGTERM)
        yield

    @contextlib.asynccontextmanager
    async def _cache_lost(self, fault: Fault) -> AsyncIterator[None]:
        caches = {"worker-1": self._stack.small_cache}
        folder = caches.get(fault.target) or self._stack.folder.git_cache
        for inside in list(folder.iterdir()):
            # A worker that is writing there makes files again meanwhile.
            await asyncio.to_thread(shutil.rmtree, inside, ignore_errors=True)
        yield

    @contextlib.asynccontextmanager
    async def _temporal_lost(self, fault: Fault) -> AsyncIterator[None]:
        database = self._stack.folder.temporal
        if part := self._stack.record.parts.get(fault.target):
            _signal(part.process(), signal.SIGKILL)
            # The supervisor starts another one half a second later at the earliest.
            while part.process():  # noqa: ASYNC110 - the operating system sends no notice
                await asyncio.sleep(_DEATH_SECONDS)
        for file in database.parent.glob(f"{database.name}*"):
            file.unlink()
        # The procedure is that of docs/operate/backup-and-disaster.md, "Temporal is lost, or its namespace".
        for rolled in ("watcher", "worker-1", "worker-2"):
            _signal(self._process(rolled), signal.SIGTERM)
        yield

    @contextlib.asynccontextmanager
    async def _frozen(self, fault: Fault) -> AsyncIterator[None]:
        process = self._process(fault.target)
        _signal(process, signal.SIGSTOP)
        try:
            yield
        finally:
            _signal(process, signal.SIGCONT)

    @contextlib.asynccontextmanager
    async def _full(self, fault: Fault) -> AsyncIterator[None]:
        folder = self._stack.small_cache
        if folder is None:
            self._journal.say("fault", f"{fault.number} left out: only root can make the file system of a cache")
            yield
            return
        try:
            async with self._holding(fault.target, lambda: _filled(folder), lambda: free(folder)):
                yield
        finally:
            free(folder)

    @contextlib.asynccontextmanager
    async def _relayed(self, fault: Fault) -> AsyncIterator[None]:
        relay = self._stack.relays[fault.target]
        async with self._holding(fault.target, lambda: relay.set(_MODES[fault.kind]), lambda: relay.set(Mode.PASS)):
            yield

    @contextlib.asynccontextmanager
    async def _holding(self, target: str, begin: Callable[[], None], end: Callable[[], None]) -> AsyncIterator[None]:
        """Have a fault that others of the same target may overlap: the last one to end mends it."""
        self._held[target] += 1
        begin()
        try:
            yield
        finally:
            self._held[target] -= 1
            if not self._held[target]:
                end()

    def _process(self, part: str) -> psutil.Process | None:
        record = self._stack.record.parts.get(part)
        return record.process() if record else None

    async def mended(self) -> None:
        """Wait until the supervisor has started every part that died.

        Raises:
            TimeoutError: It has not.
        """
        async with asyncio.timeout(_RESTART_SECONDS):
            while not all(part.process() for part in self._stack.record.parts.values()):  # noqa: ASYNC110 - no notice
                await asyncio.sleep(_POLL_SECONDS)


def _filled(folder: Path) -> None:
    fill(folder)


def _signal(process: psutil.Process | None, number: signal.Signals) -> None:
    if process is not None:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)
