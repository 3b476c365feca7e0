"""The cgroup that holds every process of the cluster: bounds, and removal. Of cgroup version 1."""

import time
from collections.abc import Iterator
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_MOUNTS = Path("/proc/self/mounts")
_REMOVAL_SECONDS = 20.0
_POLL_SECONDS = 0.1


class CgroupError(Exception):
    """The cgroups of this machine cannot be used; the message says why."""


class Cgroup:
    """One cgroup, which has a folder in each hierarchy.

    Attributes:
        name: Its name below the root of each hierarchy.
    """

    def __init__(self, name: str, mounts: Path = _MOUNTS) -> None:
        """Name a cgroup; `make` makes it.

        Args:
            name: Its name.
            mounts: The list of mounts, in the format of `/proc/self/mounts`.
        """
        self.name = name
        self._hierarchies = list(_hierarchies(mounts))

    def make(self, *, memory: int) -> None:
        """Make it, with bounds for all processes in it together.

        Args:
            memory: Bytes of memory.

        Raises:
            CgroupError: The machine has no cgroups of version 1 with the controllers of a kubelet.
        """
        missing = {"cpu", "cpuset", "memory", "pids"} - {path.name for path in self._hierarchies}
        if missing:
            raise CgroupError(f"the cluster needs cgroups of version 1, and {_ROOT} lacks {', '.join(sorted(missing))}")
        for hierarchy in self._hierarchies:
            (hierarchy / self.name).mkdir(exist_ok=True)
        # A new cgroup of this controller has no processors and no memory until they are given.
        for file in ("cpuset.cpus", "cpuset.mems"):
            self._write("cpuset", file, (_ROOT / "cpuset" / file).read_text(encoding="ascii").strip())
        self._write("memory", "memory.limit_in_bytes", str(memory))
        # All of it together weighs as much as two ordinary processes, one for each core of a small machine.
        self._write("cpu", "cpu.shares", "2048")

    def join(self) -> None:
        """Move this process into it; processes that it starts are there, too."""
        for hierarchy in self._hierarchies:
            (hierarchy / self.name / "cgroup.procs").write_text("0", encoding="ascii")

    def exists(self) -> bool:
        """Return whether any hierarchy has it."""
        return any((hierarchy / self.name).is_dir() for hierarchy in self._hierarchies)

    def remove(self) -> None:
        """Remove it with all below it, once their processes have ended.

        Raises:
            CgroupError: Processes live on in it.
        """
        deadline = time.monotonic() + _REMOVAL_SECONDS
        for hierarchy in self._hierarchies:
            while not _remove_tree(hierarchy / self.name):
                if time.monotonic() > deadline:
                    raise CgroupError(
                        f"processes live on in {hierarchy / self.name}: end those that `cgroup.procs` lists"
                    )
                time.sleep(_POLL_SECONDS)

    def _write(self, controller: str, file: str, value: str) -> None:
        (_ROOT / controller / self.name / file).write_text(value, encoding="ascii")


def _hierarchies(mounts: Path) -> Iterator[Path]:
    for line in mounts.read_text(encoding="utf-8").splitlines():
        _, path, kind, *_ = line.split()
        if kind in {"cgroup", "cgroup2"}:
            yield Path(path)


def _remove_tree(folder: Path) -> bool:
    """Remove a cgroup and those below it; return whether it is gone."""
    if not folder.is_dir():
        return True
    try:
        for below in list(folder.iterdir()):
            if below.is_dir():
                _remove_tree(below)
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        # A process that was just killed may still be there.
        return False
    return True
