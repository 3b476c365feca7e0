"""A worker with faults: phases and syncs that end their process, and phases that wait meanwhile.

Run as `python -m tests.e2e.killers worker` in place of `porchflow worker`; the variable `KILLERS` names a folder.
"""

import asyncio
import os
import resource
import signal
import sys
from functools import partial, wraps
from pathlib import Path
from typing import Any

from porchflow.activities.phases.lifecycle import LifecyclePhase
from porchflow.activities.phases.render import RenderPhase
from porchflow.activities.phases.source import SourcePhase
from porchflow.activities.sync.sync import RepositorySync
from porchflow.activities.target import Target
from porchflow.cli import main as command
from porchflow.cli.processes import phase_child, phase_process, worker
from tests.servers.waiting import eventually

_IS_CHILD = sys.argv[1:2] != ["worker"]


class Killers:
    """What a test and the worker's processes tell each other, as files in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def kill(self, phase: str, package: str, how: str, after: int = 0) -> None:
        """Have a phase end its process, once so many neighbours are in the same worker."""
        (self._folder / f"{package}.{phase}").write_text(f"{how} {after}")

    def spare(self, phase: str, package: str) -> None:
        """End that."""
        (self._folder / f"{package}.{phase}").unlink()

    def hold(self, *, held: bool) -> None:
        """Have phases of packages `beside-…` wait for the end of their worker, or let those of the next worker go."""
        path = self._folder / "hold"
        path.touch() if held else path.unlink()

    @property
    def deaths(self) -> list[str]:
        """The deaths in their order, such as `source of killer in worker`."""
        path = self._folder / "deaths"
        return path.read_text().splitlines() if path.exists() else []

    async def meet(self, phase: str, package: str) -> None:
        """Do as the test says, in a process of the worker."""
        if package.startswith("beside") and not _IS_CHILD and (self._folder / "hold").exists():
            (self._folder / f"in-{package}").touch()
            await asyncio.Event().wait()
        path = self._folder / f"{package}.{phase}"
        if path.exists():
            how, after = path.read_text().split()
            if not _IS_CHILD:
                await eventually(lambda: self._neighbours() >= int(after), what="the neighbours are in their phases")
            with (self._folder / "deaths").open("a") as deaths:
                deaths.write(f"{phase} of {package} in {'child' if _IS_CHILD else 'worker'}\n")
            _die(how)

    def _neighbours(self) -> int:
        return len(list(self._folder.glob("in-*")))


def _die(how: str) -> None:
    if how == "eat" and _IS_CHILD:
        eaten = [bytearray(1 << 24)]
        while True:
            eaten.append(bytearray(1 << 24))
    if how == "spin" and _IS_CHILD:
        # The limit of processor time is minutes: its end is brought nearer.
        used = int(sum(resource.getrusage(resource.RUSAGE_SELF)[:2]))
        resource.setrlimit(resource.RLIMIT_CPU, (used + 1, resource.RLIM_INFINITY))
        while True:
            pass
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.kill(os.getpid(), signal.SIGABRT if how == "abort" else signal.SIGKILL)


def _install(killers: Killers) -> None:
    phases: dict[str, type[Any]] = {"source": SourcePhase, "render": RenderPhase, "lifecycle": LifecyclePhase}
    for name, phase in phases.items():
        phase.run = _faulty(name, phase.run, killers)
    compare = RepositorySync._compare

    async def faulty(self: RepositorySync, run: Any) -> Any:
        await killers.meet("sync", run.raw["metadata"]["name"])
        return await compare(self, run)

    RepositorySync._compare = faulty  # type: ignore[method-assign]


def _faulty(name: str, run: Any, killers: Killers) -> Any:
    @wraps(run)
    async def faulty(self: Any, target: Target, request: Any) -> Any:
        await killers.meet(name, target.location.package)
        return await run(self, target, request)

    return faulty


if __name__ == "__main__":
    _install(Killers(Path(os.environ["KILLERS"])))
    if _IS_CHILD:
        phase_child.main()
    else:
        worker.ChildPhases = partial(phase_process.ChildPhases, module="tests.e2e.killers")  # type: ignore[misc, assignment]
        command.run()
