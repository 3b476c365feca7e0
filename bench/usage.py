"""Usage of the machine by the parts of the stack: CPU time and memory, as the operating system counts them."""

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from porchflow.cli.stack_state import StackRecord

_MIB = 1024 * 1024
_PEAK = "5"
"""Value of `clear_refs` for the peak of memory, in proc(5)."""


@dataclass(frozen=True)
class Usage:
    """Usage of one part since it was started."""

    cpu_seconds: float
    """Of the part and all its children, those that ended included."""
    peak_mib: float
    """Most memory that was resident at once since `forget_peaks`; of the part and the children that it has now."""

    def since(self, before: "Usage") -> "Usage":
        """Return the usage since another reading; the peak stays."""
        return Usage(self.cpu_seconds - before.cpu_seconds, self.peak_mib)


def usage_of(record: StackRecord) -> dict[str, Usage]:
    """Return the usage of each part of a running stack."""
    return {name: _usage(_family(part.pid)) for name, part in record.parts.items()}


def ended_parts(record: StackRecord) -> int:
    """Count the parts whose process has ended since the stack was started, whether or not another took its place."""
    return sum(not psutil.pid_exists(part.pid) for part in record.parts.values())


def forget_peaks(record: StackRecord) -> None:
    """Begin the peak of memory of each part anew, where the system can (Linux)."""
    for part in record.parts.values():
        for process in _family(part.pid):
            with contextlib.suppress(OSError):
                Path(f"/proc/{process.pid}/clear_refs").write_text(_PEAK, encoding="ascii")


def used_since(before: Mapping[str, Usage], after: Mapping[str, Usage]) -> dict[str, Usage]:
    """Return the usage of each part between two readings."""
    return {name: usage.since(before.get(name, Usage(0.0, 0.0))) for name, usage in after.items()}


def _family(pid: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    return []


def _usage(processes: Iterable[psutil.Process]) -> Usage:
    cpu = peak = 0.0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            cpu += times.user + times.system + times.children_user + times.children_system
            peak += _peak_mib(process)
    return Usage(cpu, peak)


def _peak_mib(process: psutil.Process) -> float:
    """Return the high-water mark that Linux keeps; elsewhere the resident size now."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path(f"/proc/{process.pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return float(process.memory_info().rss) / _MIB
