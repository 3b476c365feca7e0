"""Counts and durations of requests to Git servers: for metrics."""

import contextlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Self


@dataclass
class Tally:
    """Count of requests to servers, and their durations."""

    count: int = 0
    seconds: float = 0.0

    @contextlib.contextmanager
    def one(self) -> Iterator[None]:
        """Count one request, which lasts as long as the context."""
        began = time.monotonic()
        self.count += 1
        try:
            yield
        finally:
            self.seconds += time.monotonic() - began


@dataclass
class PushStats:
    """Totals of the pushes of a process."""

    groups: int = 0
    pushes: Tally = field(default_factory=Tally)
    refs: int = 0
    retries: int = 0
    """Changes that were built again because the remote had moved."""
    restores: int = 0
    """Pushes that undid the parts that a server applied of a change that it otherwise refused."""


@dataclass(frozen=True)
class GitStats:
    """Totals of a store since its start."""

    groups: int
    refs: int
    retries: int
    restores: int
    pushes: int
    push_seconds: float
    listings: int
    listing_seconds: float
    fetches: int
    fetch_seconds: float
    bytes_read: int
    """Of package content, into this process's memory."""

    @classmethod
    def of(cls, pushed: PushStats, listings: Iterable[Tally], fetches: Iterable[Tally], *, bytes_read: int) -> Self:
        """Add up the counts of a store's parts."""
        listed, fetched = list(listings), list(fetches)
        return cls(
            groups=pushed.groups,
            refs=pushed.refs,
            retries=pushed.retries,
            restores=pushed.restores,
            pushes=pushed.pushes.count,
            push_seconds=pushed.pushes.seconds,
            listings=sum(tally.count for tally in listed),
            listing_seconds=sum(tally.seconds for tally in listed),
            fetches=sum(tally.count for tally in fetched),
            fetch_seconds=sum(tally.seconds for tally in fetched),
            bytes_read=bytes_read,
        )
