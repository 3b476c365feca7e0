"""Memory of the parts of the stack over time."""

from collections import defaultdict
from collections.abc import Mapping

import psutil

from porchflow.cli.stack_state import StackRecord
from soak.findings import Violation

_MIB = 1024 * 1024
_LIMIT_MIB = 1024.0
"""Most that a process of porchflow may have here, where packages are small."""
_OURS = ("watcher", "worker-1", "worker-2", "content-api", "function-runner")


class MemoryLog:
    """Resident memory of each process, from one look to the next."""

    def __init__(self) -> None:
        """Create an empty log."""
        self._seen: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))

    def look(self, record: StackRecord) -> None:
        """Add the sizes of now."""
        for name, part in record.parts.items():
            process = part.process()
            if process is not None:
                try:
                    self.add(name, part.pid, process.memory_info().rss / _MIB)
                except psutil.Error:
                    continue

    def add(self, part: str, pid: int, mib: float) -> None:
        """Add one size."""
        self._seen[part][pid].append(mib)

    def growth(self) -> Mapping[str, str]:
        """Return for each part, in words, the process that lived longest: MiB at first, in the middle and at last."""
        return {name: _told(max(pids.values(), key=len), len(pids)) for name, pids in sorted(self._seen.items())}

    def check(self) -> list[Violation]:
        """Return violations for processes of porchflow that have taken too much."""
        peaks = {name: max(max(sizes) for sizes in self._seen[name].values()) for name in _OURS if name in self._seen}
        return [
            Violation("memory", name, f"it must stay below {_LIMIT_MIB:g} MiB, and had {peak:.0f}")
            for name, peak in peaks.items()
            if peak > _LIMIT_MIB
        ]


def _told(sizes: list[float], lives: int) -> str:
    at = [sizes[index * (len(sizes) - 1) // 4] for index in range(5)]
    return f"{' '.join(f'{size:.0f}' for size in at)} MiB (peak {max(sizes):.0f}; {lives} processes)"
