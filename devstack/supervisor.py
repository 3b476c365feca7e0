"""Starts the parts of the stack in order, keeps them running, and stops them in reverse."""

import asyncio
import contextlib
import time

import psutil

from porchflow.cli.stack_state import PartRecord, ProcessRecord, StackRecord, StateFolder
from porchflow.devstack.logs import STACK, Say
from porchflow.devstack.processes import Process, describe_exit

_FIRST_DELAY = 0.5
_LONGEST_DELAY = 30.0
_STEADY_SECONDS = 60.0
_STRAY_SECONDS = 20.0


class Supervisor:
    """Keeps parts running until it is stopped."""

    def __init__(self, folder: StateFolder, record: StackRecord, say: Say) -> None:
        """Create a supervisor without parts.

        Args:
            folder: Where the record of the running parts is written.
            record: That record.
            say: Receives the events.
        """
        self._folder = folder
        self._record = record
        self._say = say
        self._groups: list[tuple[Process, ...]] = []
        self._keepers: list[asyncio.Task[None]] = []
        self._restarts: dict[str, int] = {}

    async def start(self, *processes: Process) -> None:
        """Start parts that do not need one another, and wait until all are ready.

        From then on, a part that dies is started again.

        Raises:
            ProcessError: A part ended, or was not ready in time.
        """
        self._groups.append(processes)
        try:
            async with asyncio.TaskGroup() as group:
                for process in processes:
                    group.create_task(self._start(process))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        self._keepers += [asyncio.create_task(self._keep(process)) for process in processes]

    async def stop(self) -> None:
        """Stop all parts, the last started first."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        for group in reversed(self._groups):
            await asyncio.gather(*(self._stop(process) for process in group if process.running))
        self._folder.forget()

    async def _start(self, process: Process) -> None:
        started = time.monotonic()
        await process.spawn()
        # Before it is ready: if this process is killed now, the next start still finds the part.
        self._write_down(process)
        try:
            await process.wait_ready()
        except BaseException:
            await process.stop()
            raise
        where = f" at {process.address}" if process.address else ""
        self._say(STACK, f"{process.name} is ready{where} ({time.monotonic() - started:.1f} s)")

    async def _keep(self, process: Process) -> None:
        delay = _FIRST_DELAY
        while True:
            started = time.monotonic()
            code = await process.wait()
            delay = _FIRST_DELAY if time.monotonic() - started > _STEADY_SECONDS else min(delay * 2, _LONGEST_DELAY)
            self._say(STACK, f"{process.name} ended with {describe_exit(code)}; starting it again in {delay:g} s")
            await asyncio.sleep(delay)
            await process.spawn()
            self._restarts[process.name] = self._restarts.get(process.name, 0) + 1
            self._write_down(process)
            self._say(STACK, f"{process.name} runs again, as process {process.pid}")

    async def _stop(self, process: Process) -> None:
        self._say(STACK, f"stopping {process.name}")
        await process.stop()

    def _write_down(self, process: Process) -> None:
        try:
            identity = ProcessRecord.of(process.pid or 0)
        except psutil.NoSuchProcess:
            return
        self._record.parts[process.name] = PartRecord(
            **identity.model_dump(),
            address=process.address,
            log=str(process.log),
            restarts=self._restarts.get(process.name, 0),
        )
        self._folder.write(self._record)


def end_strays(record: StackRecord, say: Say) -> None:
    """End the parts that a killed supervisor left behind, and report each.

    A process id that meanwhile belongs to another process is left alone.
    """
    strays = {name: process for name, part in record.parts.items() if (process := part.process())}
    if not strays:
        say(
            STACK, f"the last stack (process {record.supervisor.pid}) ended without `porchflow down`; its state is kept"
        )
        return
    for name, process in reversed(strays.items()):
        say(STACK, f"ending {name} (process {process.pid}), left over from a stack that was killed")
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(strays.values(), timeout=_STRAY_SECONDS)
    for process in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
