"""Temporal: no run stays open, each Repository has its schedule, and histories stay short."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from temporalio.client import Client

from porchflow.workflows.ids import Installation
from soak.findings import Violation
from soak.places import Place

_QUIET_SECONDS = 90.0
_POLL_SECONDS = 1.0
_LONGEST_HISTORY = 5_000
"""Events: Temporal warns at 10,240, and ends a run at 51,200."""


@dataclass(frozen=True)
class RunSizes:
    """Sizes of the runs so far.

    Attributes:
        runs: How many there are.
        by_status: How many of each status.
        longest: Events of the longest history.
        largest: Bytes of the largest history.
        total: Bytes of all.
    """

    runs: int
    by_status: dict[str, int]
    longest: int
    largest: int
    total: int

    def __str__(self) -> str:
        ended = ", ".join(f"{count} {status}" for status, count in sorted(self.by_status.items()))
        sizes = (
            f"longest {self.longest} events, largest {self.largest / 1024:.0f} KiB, all {self.total / 2**20:.1f} MiB"
        )
        return f"{self.runs} runs ({ended}); {sizes}"


async def run_sizes(client: Client) -> RunSizes:
    """Read the sizes of all runs."""
    runs = [run async for run in client.list_workflows()]
    lengths = [run.history_length for run in runs]
    sizes = [run.raw_info.history_size_bytes for run in runs]
    statuses = Counter(run.status.name if run.status else "unknown" for run in runs)
    return RunSizes(len(runs), dict(statuses), max(lengths, default=0), max(sizes, default=0), sum(sizes))


async def check_runs(client: Client) -> list[Violation]:
    """Return violations for runs that stay open once everything has settled, and for long histories."""
    until = time.monotonic() + _QUIET_SECONDS
    while open_runs := [run.id async for run in client.list_workflows("ExecutionStatus = 'Running'")]:
        if time.monotonic() > until:
            break
        await asyncio.sleep(_POLL_SECONDS)
    found = [Violation("runs", run, "every run must have ended, and this one is open") for run in open_runs]
    sizes = await run_sizes(client)
    if sizes.longest > _LONGEST_HISTORY:
        expected = f"histories must have at most {_LONGEST_HISTORY} events, and the longest has {sizes.longest}"
        found.append(Violation("histories", "Temporal", expected))
    return found


async def check_schedules(client: Client, installation: Installation, places: Iterable[Place]) -> list[Violation]:
    """Return violations where schedules are missing, or nobody needs them."""
    wanted = {installation.sync_id(place.namespace, place.repository) for place in places} | {installation.listing_id}
    there = {schedule.id async for schedule in await client.list_schedules()}
    missing = [Violation("schedules", each, "it must be there, and is not") for each in sorted(wanted - there)]
    return missing + [Violation("schedules", each, "no Repository has it") for each in sorted(there - wanted)]
