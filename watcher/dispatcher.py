"""The queue between the watch and Temporal: bounded, coalescing, and without loss while Temporal is away."""

import asyncio
import enum
import functools
import logging
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NoReturn, Protocol

from porchflow.kube.backoff import Backoff
from porchflow.kube.following import Key
from porchflow.watcher.dispatcher_numbers import DispatcherNumbers
from porchflow.watcher.needs import Target
from porchflow.watcher.temporal.temporal_errors import SignalRefused, TemporalUnavailable

logger = logging.getLogger(__name__)

_FIRST_DELAY = 0.5
_LONGEST_DELAY = 10.0
_OUTAGE = 3
"""Different objects that fail one after another until Temporal counts as away though it answers: their signals may meet
what a look at the namespace does not, such as a history service that is away. Fewer may share one shard of it."""


class Signaller(Protocol):
    """Brings "look again" to a workflow; a `WorkflowStarter`."""

    async def signal(self, target: Target) -> None:
        """Signal a workflow.

        Raises:
            TemporalUnavailable: No object can be signalled now.
            Exception: Any other error concerns this object alone.
        """

    async def ping(self) -> None:
        """Return when Temporal answers; nothing of an object is asked.

        Raises:
            TemporalUnavailable: It does not.
        """


class _State(enum.Enum):
    QUEUED = enum.auto()
    IN_FLIGHT = enum.auto()
    DELAYED = enum.auto()
    SIGNALLED = enum.auto()


@dataclass(slots=True)
class _Entry:
    target: Target
    state: _State
    since: float
    woken: bool = False
    """To be signalled whatever its status shows: an object that it names has changed."""
    woken_again: bool = False
    """The same, while a signal is on its way that may have been too early."""
    backoff: Backoff | None = None
    refused: str = ""
    """The last error of its signal; logged when it changes."""
    bad: bool = False
    """Whether its signal failed while another's went well: its failures say nothing of Temporal as a whole."""
    timer: asyncio.TimerHandle | None = None


class Dispatcher:
    """Keeps one small entry per object that needs work, and signals each once per intent.

    Only the newest intent of an object waits. An intent that was signalled is remembered until the object is converged
    or gone, so that the status which porchflow's own workers write makes no signals.
    """

    def __init__(
        self,
        signaller: Signaller,
        *,
        in_flight: int = 32,
        first_delay: float = _FIRST_DELAY,
        longest_delay: float = _LONGEST_DELAY,
    ) -> None:
        """Create an empty queue.

        Args:
            signaller: Sends the signals.
            in_flight: Calls to Temporal at once.
            first_delay: Seconds before the next attempt after a failure; doubles with each, jittered.
            longest_delay: Longest wait between attempts, in seconds.
        """
        self._signaller = signaller
        self._in_flight = in_flight
        self._delays = (first_delay, longest_delay)
        self._backoff = Backoff(first=first_delay, longest=longest_delay)
        self._entries: dict[Key, _Entry] = {}
        self._ready: OrderedDict[Key, None] = OrderedDict()
        self._available = asyncio.Event()
        self._paused_until = 0.0
        self._error = ""
        self._failing: dict[Key, None] = {}
        """Objects whose signals failed since the last that went well."""
        self._busy = 0
        self._signalled = 0

    def insist(self, target: Target) -> None:
        """Signal an object because an object that it names has changed.

        Its own status need not show that it needs work, so `forget` does not take the signal back.
        """
        self.offer(target, again=True)
        entry = self._entries[target.key]
        entry.woken = True
        entry.woken_again = entry.state is _State.IN_FLIGHT

    def offer(self, target: Target, *, again: bool = False) -> None:
        """Signal an object that needs work. Returns at once.

        Args:
            target: The object as it is now.
            again: Signal even if this intent was signalled before: its run may have been terminated by hand.
        """
        entry = self._entries.get(target.key)
        if entry is None:
            self._entries[target.key] = entry = _Entry(target, _State.SIGNALLED, time.monotonic())
            self._enqueue(entry)
            return
        changed = entry.target.signature != target.signature
        entry.target = target if changed else replace(target, repeated=again and entry.state is _State.SIGNALLED)
        if entry.state in {_State.SIGNALLED, _State.DELAYED} and (
            changed or (again and entry.state is _State.SIGNALLED)
        ):
            self._enqueue(entry)

    def wake(self, key: Key) -> None:
        """Signal again an object that waits for an event that has just happened; nothing where it needs no work."""
        entry = self._entries.get(key)
        if entry is not None:
            self.offer(entry.target, again=True)

    def forget(self, key: Key, *, gone: bool = False) -> None:
        """Drop an object that is converged or gone; a signal of it that waits is not sent.

        Args:
            key: The object.
            gone: Whether it was deleted. An object that exists and was woken is still signalled.
        """
        entry = self._entries.get(key)
        if entry is None or (entry.woken and not gone):
            return
        del self._entries[key]
        self._ready.pop(key, None)
        if entry.timer is not None:
            entry.timer.cancel()

    def keys(self, namespace: str | None = None) -> Iterable[Key]:
        """Return the objects that need work, of one namespace or of all."""
        return [key for key in self._entries if namespace is None or key[0] == namespace]

    def numbers(self) -> DispatcherNumbers:
        """Return the figures of the queue."""
        unsent = [entry for entry in self._entries.values() if entry.state is not _State.SIGNALLED]
        oldest = min((entry.since for entry in unsent), default=None)
        age = time.monotonic() - oldest if oldest is not None else 0.0
        return DispatcherNumbers(
            unconverged=len(self._entries),
            pending=sum(entry.state is not _State.IN_FLIGHT for entry in unsent),
            in_flight=self._busy,
            signalled=self._signalled,
            oldest_pending_seconds=age,
            error=self._error,
        )

    async def run(self) -> NoReturn:
        """Send signals until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._in_flight):
                group.create_task(self._work(), name=f"dispatcher-{number}")
        raise AssertionError("the workers of a dispatcher do not end")

    async def _work(self) -> NoReturn:
        while True:
            entry = await self._next()
            self._busy += 1
            try:
                await self._signal(entry)
            finally:
                self._busy -= 1
                self._available.set()

    async def _next(self) -> _Entry:
        while True:
            pause = self._paused_until - time.monotonic()
            if pause > 0:
                await asyncio.sleep(pause)
            elif self._ready and not (self._error and self._busy):
                # While Temporal is away, one call at a time tests whether it is back.
                key, _ = self._ready.popitem(last=False)
                return self._entries[key]
            else:
                self._available.clear()
                await self._available.wait()

    async def _signal(self, entry: _Entry) -> None:
        entry.state = _State.IN_FLIGHT
        entry.woken_again = False
        sent = entry.target
        try:
            await self._signaller.signal(sent)
        except TemporalUnavailable as error:
            if not entry.bad:
                self._failing[entry.target.key] = None
            if await self._is_away(error):
                self._pause(error)
                # At the back: the next call tells of another object, whose run may be well.
                self._enqueue(entry, keep_age=True)
            else:
                self._is_back()
                self._delay(entry, error)
        except SignalRefused as error:
            self._works()
            self._delay(entry, error)
        except Exception as error:  # noqa: BLE001 - whatever one object's signal meets must not stop the others'
            self._delay(entry, error)
        else:
            self._sent(entry, sent)

    async def _is_away(self, error: TemporalUnavailable) -> bool:
        """Return whether no object can be signalled now, and not just the one whose signal failed."""
        if error.for_all or len(self._failing) >= _OUTAGE:
            return True
        try:
            await self._signaller.ping()
        except TemporalUnavailable:
            return True
        return False

    def _sent(self, entry: _Entry, sent: Target) -> None:
        self._signalled += 1
        self._failing.pop(entry.target.key, None)
        self._works()
        entry.backoff, entry.refused, entry.bad = None, "", False
        entry.woken, entry.woken_again = entry.woken_again, False
        entry.state = _State.SIGNALLED
        if entry.woken or entry.target.signature != sent.signature:
            self._enqueue(entry)

    def _enqueue(self, entry: _Entry, *, keep_age: bool = False) -> None:
        key = entry.target.key
        if self._entries.get(key) is not entry:
            return
        if entry.timer is not None:
            entry.timer.cancel()
            entry.timer = None
        if not keep_age:
            entry.since = time.monotonic()
        entry.state = _State.QUEUED
        self._ready[key] = None
        self._available.set()

    def _pause(self, error: TemporalUnavailable) -> None:
        now = time.monotonic()
        if not self._error:
            logger.warning("Temporal takes no signals, trying until it does: %s", error)
        self._error = str(error)
        # Many calls fail together; they count as one failure.
        if now >= self._paused_until:
            self._paused_until = now + self._backoff.next()

    def _is_back(self) -> None:
        if self._error:
            logger.info("Temporal takes signals again; %d objects wait", len(self._ready))
        self._error = ""

    def _works(self) -> None:
        """Note that Temporal handled the signal of an object: those that failed meanwhile are the exception."""
        self._is_back()
        for key in self._failing:
            if key in self._entries:
                self._entries[key].bad = True
        self._failing.clear()

    def _delay(self, entry: _Entry, error: Exception) -> None:
        if entry.backoff is None:
            entry.backoff = Backoff(first=self._delays[0], longest=self._delays[1])
        if entry.refused != str(error):
            logger.error("cannot signal the workflow of %s/%s, trying until it works: %s", *entry.target.key, error)
        entry.refused = str(error)
        entry.state = _State.DELAYED
        if self._entries.get(entry.target.key) is entry:
            again = functools.partial(self._enqueue, entry, keep_age=True)
            entry.timer = asyncio.get_running_loop().call_later(entry.backoff.next(), again)
