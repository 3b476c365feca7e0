"""The results of workloads, and the table that shows them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.conditions import Conditions
from bench.runs import RunCosts
from bench.usage import Usage
from bench.workloads import Timing

PORCH_RATES = {"init": 9.8, "publish": 11.7, "clone": 6.6, "register": 6.7}
"""Objects per second of Porch with its database cache, in bursts of 50; their origin: docs/internals/performance.md.

Its upgrades and renderings were not measured.
"""

PORCH_ROUND_TRIPS = {"push": 0.36}
"""Seconds from a push until it is rendered, in half of the cases at most; Porch's drafts never reach Git."""

_NAMES_WIDTH, _COLUMN_WIDTH = 36, 14


@dataclass(frozen=True)
class Result:
    """One workload, measured."""

    workload: str
    held: int
    """Published packages that the repository held before."""
    objects: int
    timing: Timing
    pushes: int
    costs: RunCosts
    parts: dict[str, Usage]
    """Usage of each part of the stack meanwhile."""
    deaths: int = 0
    """Parts of the stack whose process has ended until then."""

    @property
    def rate(self) -> float:
        """Objects per second."""
        return self.objects / self.timing.seconds

    @property
    def ratio(self) -> float | None:
        """How many times as fast as Porch; None where Porch was not measured."""
        porch = PORCH_RATES.get(self.workload)
        return self.rate / porch if porch else None

    @property
    def pushes_per_object(self) -> float:
        """Pushes that the Git server received for each object."""
        return self.pushes / self.objects

    @property
    def cpu_per_object(self) -> float:
        """Seconds of processor time of all parts for each object."""
        return _cpu(self) / self.objects

    def as_json(self) -> dict[str, Any]:
        """Return all figures."""
        figures = ("rate", "ratio", "pushes_per_object", "cpu_per_object")
        percentiles = {f"p{percent}": self.timing.percentile(percent) for percent in (50, 95)}
        return asdict(self) | {name: getattr(self, name) for name in figures} | percentiles


def print_results(conditions: Conditions, results: Sequence[Result]) -> None:
    """Print the table: a column for each workload."""
    console = Console(highlight=False)
    console.width = max(console.width, _NAMES_WIDTH + _COLUMN_WIDTH * len(results))
    console.print(f"\n{conditions}", soft_wrap=True)
    console.print(results_table(results))


def results_table(results: Sequence[Result]) -> Table:
    """Return the table of all figures."""
    table = Table(title_justify="left")
    table.add_column("workload")
    for result in results:
        table.add_column(_title(result), justify="right")
    for name, show in _ROWS:
        table.add_row(name, *(show(result) for result in results))
    for step in dict.fromkeys(step for result in results for step in result.timing.split):
        table.add_row(f"  until {step}, s", *(_number(result.timing.split.get(step)) for result in results))
    table.add_section()
    for part in _parts(results):
        table.add_row(f"CPU seconds of {part}", *(_number(result.parts[part].cpu_seconds) for result in results))
    table.add_row("CPU seconds of all", *(_number(_cpu(result)) for result in results), end_section=True)
    for part in _parts(results):
        table.add_row(f"peak MiB of {part}", *(_number(result.parts[part].peak_mib, 0) for result in results))
    return table


def _title(result: Result) -> str:
    return f"{result.workload} in {result.held:,}" if result.held else result.workload


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.0f}"


def _cpu(result: Result) -> float:
    return sum(usage.cpu_seconds for usage in result.parts.values())


def _parts(results: Iterable[Result]) -> Iterable[str]:
    return dict.fromkeys(part for result in results for part in result.parts)


def _number(value: float | None, digits: int = 2) -> str:
    return "" if value is None else f"{value:.{digits}f}"


_ROWS: tuple[tuple[str, Callable[[Result], str]], ...] = (
    ("objects", lambda result: str(result.objects)),
    ("seconds", lambda result: _number(result.timing.seconds)),
    ("objects/s", lambda result: _number(result.rate, 1)),
    ("Porch, objects/s", lambda result: _number(PORCH_RATES.get(result.workload), 1)),
    ("times Porch", lambda result: _number(result.ratio, 1)),
    ("one after another, p50 ms", lambda result: _milliseconds(result.timing.percentile(50))),
    ("one after another, p95 ms", lambda result: _milliseconds(result.timing.percentile(95))),
    ("Porch, p50 ms", lambda result: _milliseconds(PORCH_ROUND_TRIPS.get(result.workload))),
    ("processes that died", lambda result: str(result.deaths)),
    ("CPU ms per object, all parts", lambda result: _number(result.cpu_per_object * 1000, 1)),
    ("cores busy with the stack", lambda result: _number(_cpu(result) / result.timing.seconds, 1)),
    ("pushes", lambda result: str(result.pushes)),
    ("pushes per object", lambda result: _number(result.pushes_per_object)),
    ("Temporal runs per object", lambda result: _number(result.costs.runs)),
    ("Temporal activities per object", lambda result: _number(result.costs.activities)),
    ("workflow tasks per object", lambda result: _number(result.costs.workflow_tasks)),
)
