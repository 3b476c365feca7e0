"""The plan of the faults of a seed: which part of the stack has what trouble, and when."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, takewhile

SECONDS_BETWEEN = 15.0
"""Mean of the seconds between two faults: the stack is to be well for most of the time, or nothing is ever done."""
CALM_SECONDS = 10.0
"""Before the first fault."""

PARTS = (
    *("watcher", "worker-1", "worker-2", "function-runner", "content-api"),
    *("etcd", "kube-apiserver", "temporal", "git-server"),
)
"""Parts of the stack that are killed and frozen."""
PAIRS = (
    *(f"{client}>{server}" for client in ("watcher", "worker-1", "worker-2") for server in ("temporal", "kube")),
    *("worker-1>runner", "worker-2>runner", "content-api>kube"),
)
"""Parts that are cut off from one another: a client and a server."""

_TARGETS: dict[str, Sequence[str]] = {
    "kill": PARTS,
    "restart": PARTS,
    "freeze": PARTS,
    "cut": PAIRS,
    "silence": PAIRS,
    "git-error": ("git",),
    "git-hang": ("git",),
    "git-refuse": ("git",),
    "disk-full": ("worker-1",),
    "cache-lost": ("worker-1", "worker-2"),
    "temporal-lost": ("temporal",),
}
FAULTS = tuple(_TARGETS)
MEANINGS = {
    "kill": "a part of the stack ends by SIGKILL",
    "restart": "a part ends by SIGTERM",
    "freeze": "SIGSTOP for some seconds",
    "cut": "two parts cannot reach one another; what is open between them is reset",
    "silence": "two parts get nothing from one another for some seconds",
    "git-error": "the Git server answers 500",
    "git-hang": "the Git server does not answer",
    "git-refuse": "the Git server refuses connections",
    "disk-full": "the file system of a worker's Git cache is full (root and Linux)",
    "cache-lost": "a Git cache is deleted while workers use it",
    "temporal-lost": "Temporal loses all runs and schedules, and watcher and workers are restarted",
}
_WEIGHTS = {
    "kill": 8,
    "restart": 4,
    "freeze": 4,
    "cut": 3,
    "silence": 2,
    "git-error": 3,
    "git-hang": 2,
    "git-refuse": 2,
    "disk-full": 1,
    "cache-lost": 2,
    "temporal-lost": 1,
}
MOMENTARY = frozenset({"kill", "restart", "cache-lost", "temporal-lost"})
"""Faults that do not last: the stack mends itself."""
_LEAST_SECONDS, _MOST_SECONDS = 2.0, 20.0


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        number: Its number in the plan.
        at: Seconds since the start.
        kind: One of `FAULTS`.
        target: What has the trouble.
        seconds: How long, unless it is one of `MOMENTARY`.
    """

    number: int
    at: float
    kind: str
    target: str
    seconds: float

    def __str__(self) -> str:
        lasts = "" if self.kind in MOMENTARY else f" for {self.seconds:g} s"
        return f"{self.kind} {self.target}{lasts}"


def faults_until(seed: int, seconds: float, kinds: Sequence[str] = FAULTS) -> list[Fault]:
    """Return the faults of a seed that begin before a moment; a longer plan begins with a shorter one."""
    return list(takewhile(lambda fault: fault.at < seconds, _faults(seed, kinds)))


def _faults(seed: int, kinds: Sequence[str]) -> Iterator[Fault]:
    draw = random.Random(f"faults {seed}")  # noqa: S311 - a seed has to repeat it
    at = CALM_SECONDS
    for number in count(1):
        at += draw.expovariate(1 / SECONDS_BETWEEN)
        kind = draw.choices(kinds, [_WEIGHTS[each] for each in kinds])[0]
        target = draw.choice(_TARGETS[kind])
        yield Fault(number, round(at, 2), kind, target, round(draw.uniform(_LEAST_SECONDS, _MOST_SECONDS), 1))
