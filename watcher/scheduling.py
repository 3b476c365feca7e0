"""Keeps one schedule per Repository, and starts the syncs that Repositories request."""

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, NoReturn

from porchflow.kube.backoff import Backoff
from porchflow.kube.client import Object
from porchflow.kube.following import Key
from porchflow.watcher.syncs import DELETING, SyncPlan, asks_for_sync, plan_of
from porchflow.watcher.temporal.schedules import ForeignScheduleError, Schedules
from porchflow.watcher.temporal.temporal_errors import TemporalUnavailable

logger = logging.getLogger(__name__)

_AT_ONCE = 8


@dataclass(slots=True)
class _Entry:
    plan: SyncPlan | None
    """None when the Repository is gone."""
    asked: str
    look: bool = True
    """Whether to look at its schedule: after each list, and when the Repository has changed."""
    trouble: str = ""
    """Why its schedule could not be kept; logged when that changes."""
    triggered: str = ""
    again: bool = False
    forced: Literal["", "after", "instead"] = ""


class SyncScheduling:
    """Accepts Repositories as they are seen, and changes Temporal in the background, with retries until that works.

    Each list of Repositories makes it look at every schedule in Temporal: one that was deleted, paused or changed there
    is put right, and so are all of them after Temporal's data was lost.
    """

    def __init__(self, schedules: Schedules, *, usual: timedelta) -> None:
        """Create the keeper of the schedules.

        Args:
            schedules: The schedules in Temporal.
            usual: Interval between two listings of the refs of Repositories without a schedule of their own.
        """
        self._schedules = schedules
        self._usual = usual
        self._listing_trouble = ""
        self._entries: dict[Key, _Entry] = {}
        self._due: dict[Key, None] = {}
        self._busy: set[Key] = set()
        self._available = asyncio.Event()
        self._error = ""
        self._for_all = False

    @property
    def error(self) -> str:
        """Why no schedule can be kept now; empty where schedules can be, or one alone cannot."""
        return self._error if self._for_all else ""

    def seen(self, repository: Object, *, listed: bool) -> None:
        """Record a Repository as it is now.

        Args:
            repository: The raw object.
            listed: Whether a list has it. Then its schedule is looked at, and a request for a sync is triggered again:
                its run may have been terminated.
        """
        plan, asked = plan_of(repository), asks_for_sync(repository)
        entry = self._entries.get(plan.key)
        if entry is None:
            entry = self._entries[plan.key] = _Entry(plan, asked)
        entry.look |= listed or entry.plan != plan
        entry.plan, entry.asked = plan, asked
        entry.again |= listed and bool(asked)
        if entry.look or (asked and (asked != entry.triggered or entry.again)):
            self._enqueue(plan.key)

    def sync(self, key: Key, *, instead: bool = False) -> None:
        """Sync a Repository now, without a request in it; a Repository that is paused or unknown is left alone.

        Args:
            key: The Repository.
            instead: Replace a sync that runs, because it works with outdated input; otherwise another sync follows it.
        """
        entry = self._entries.get(key)
        if entry is not None and entry.plan is not None and not entry.plan.paused:
            entry.forced = "instead" if instead or entry.forced == "instead" else "after"
            self._enqueue(key)

    def gone(self, key: Key) -> None:
        """Record that there is no such Repository."""
        self._entries[key] = _Entry(None, "")
        self._enqueue(key)

    async def keep_listing(self) -> None:
        """Look at the schedule that lists the refs of all Repositories.

        Raises:
            TemporalUnavailable: It cannot be looked at now.
        """
        try:
            await self._schedules.ensure_listing(self._usual)
        except ForeignScheduleError as error:
            if self._listing_trouble != str(error):
                logger.error("cannot list the refs of Repositories: %s", error)  # noqa: TRY400 - its place is of no use
            self._listing_trouble = str(error)
        else:
            self._listing_trouble = ""

    async def remove_others(self, namespace: str | None, present: Iterable[Key]) -> None:
        """Remove the schedules that no Repository has, such as of one that went while no watcher ran.

        Schedules of the first version of Repositories that exist go too, such as those that a rollback made.

        Args:
            namespace: Where all Repositories are known; None for everywhere.
            present: The Repositories that exist.

        Raises:
            TemporalUnavailable: They cannot be listed now.
        """
        known = set(present)
        async for found in self._schedules.listed():
            key = found.key
            if found.first_version:
                if key in known:
                    await self._schedules.remove_first_version(key)
            elif key not in known and (namespace is None or key[0] == namespace) and key not in self._entries:
                self.gone(key)

    async def run(self) -> NoReturn:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(self._work())
        raise AssertionError("the workers do not end")

    def _enqueue(self, key: Key) -> None:
        self._due[key] = None
        self._available.set()

    async def _work(self) -> NoReturn:
        backoff = Backoff(first=0.5, longest=15.0)
        while True:
            key = await self._next()
            try:
                await self._settle(key)
            except TemporalUnavailable as error:
                self._tell(key, str(error))
                self._error, self._for_all = str(error), error.for_all
                self._enqueue(key)
                await asyncio.sleep(backoff.next())
            else:
                self._error = ""
                backoff = Backoff(first=0.5, longest=15.0)
            finally:
                self._busy.discard(key)
                self._available.set()

    def _tell(self, key: Key, error: str) -> None:
        """Log an error that is neither that of the last Repository nor the last one of this: once an outage."""
        entry = self._entries[key]
        if error not in {self._error, entry.trouble}:
            logger.warning("cannot keep the schedule of Repository %s/%s, trying until it works: %s", *key, error)
        entry.trouble = error

    async def _next(self) -> Key:
        """Wait for a Repository that is due and that no other task of this process handles."""
        while (key := next((each for each in self._due if each not in self._busy), None)) is None:
            self._available.clear()
            await self._available.wait()
        del self._due[key]
        self._busy.add(key)
        return key

    async def _settle(self, key: Key) -> None:
        entry = self._entries[key]
        try:
            if entry.plan is None:
                await self._remove(key, entry)
                return
            if entry.look:
                entry.look = False
                await self._schedules.ensure(entry.plan)
            await self._trigger(key, entry)
        except TemporalUnavailable:
            # This also restores a schedule that was removed by hand.
            entry.look = True
            raise
        except ForeignScheduleError as error:
            # Whatever happens to the Repository next, its schedule is looked at first.
            entry.look = True
            if entry.trouble != str(error):
                logger.error("cannot sync Repository %s/%s: %s", *key, error)  # noqa: TRY400 - its place is of no use
            entry.trouble = str(error)
        else:
            entry.trouble = ""

    async def _remove(self, key: Key, entry: _Entry) -> None:
        try:
            await self._schedules.remove(key)
        except ForeignScheduleError:
            logger.info("left alone the schedule of Repository %s/%s, which is gone: it is somebody else's", *key)
        if self._entries.get(key) is entry:
            del self._entries[key]

    async def _trigger(self, key: Key, entry: _Entry) -> None:
        asked, again, forced = entry.asked, entry.again, entry.forced
        new = bool(asked) and asked != entry.triggered
        if not (new or forced or (asked and again)):
            return
        entry.again, entry.forced = False, ""
        try:
            await self._schedules.trigger(key, instead=forced == "instead" or (new and asked.endswith(DELETING)))
        except (TemporalUnavailable, ForeignScheduleError):
            entry.again, entry.forced = again, "instead" if "instead" in {forced, entry.forced} else forced
            raise
        entry.triggered = asked or entry.triggered
        logger.info("Repository %s/%s is synced now", *key)
