"""Stand-ins for Temporal that count, wait or fail on demand."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta

from porchflow.kube.following import Key
from porchflow.watcher.needs import Target
from porchflow.watcher.syncs import SyncPlan
from porchflow.watcher.temporal.schedules import ListedSchedule
from porchflow.watcher.temporal.temporal_errors import TemporalUnavailable


class RecordingSignaller:
    """Takes every signal and keeps it; fails as its script says, waits while its gate is closed."""

    def __init__(self) -> None:
        self.sent: list[Target] = []
        self.failures: list[Exception | None] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.calls = 0
        self.pings = 0
        self.away = False
        """Whether a ping fails, too."""
        self.in_flight = 0
        self.most_in_flight = 0

    async def prepare(self) -> None:
        """Always ready."""

    async def ping(self) -> None:
        self.pings += 1
        if self.away:
            raise TemporalUnavailable("away")

    async def signal(self, target: Target) -> None:
        self.calls += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await self.gate.wait()
            await asyncio.sleep(0)
            error = self.failures.pop(0) if self.failures else None
            if error is not None:
                raise error
            self.sent.append(target)
        finally:
            self.in_flight -= 1

    def signatures(self, key: Key) -> list[str]:
        return [target.signature for target in self.sent if target.key == key]

    @property
    def counts(self) -> Counter[Key]:
        return Counter(target.key for target in self.sent)


class RecordingSchedules:
    """Keeps what schedules there would be, and which syncs were asked for; fails while it is told to."""

    def __init__(self) -> None:
        self.plans: dict[Key, SyncPlan] = {}
        self.listing: timedelta | None = None
        """The interval of the listing of refs."""
        self.triggered: list[tuple[Key, bool]] = []
        self.away = False
        self.bad: Counter[Key] = Counter()
        """Repositories whose schedules alone cannot be kept, with the number of looks at them."""

    async def ensure(self, plan: SyncPlan) -> None:
        self._check()
        if plan.key in self.bad:
            self.bad[plan.key] += 1
            raise TemporalUnavailable("shard status unknown")
        self.plans[plan.key] = plan

    async def ensure_listing(self, every: timedelta) -> None:
        self._check()
        self.listing = every

    async def trigger(self, key: Key, *, instead: bool) -> None:
        self._check()
        self.triggered.append((key, instead))

    async def remove(self, key: Key) -> None:
        self._check()
        self.plans.pop(key, None)

    async def remove_first_version(self, key: Key) -> None:
        raise AssertionError(f"{key} has no schedule of the first version")

    async def listed(self) -> AsyncIterator[ListedSchedule]:
        self._check()
        for key in list(self.plans):
            yield ListedSchedule(key)

    def _check(self) -> None:
        if self.away:
            raise TemporalUnavailable("away")
