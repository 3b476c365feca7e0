"""The child process of a worker that runs phases and syncs whose process ended before."""

import asyncio
import contextlib
import dataclasses
import os
import pickle
import signal
import sys
from asyncio import StreamReader, StreamWriter
from asyncio.subprocess import PIPE, Process
from typing import Final

from temporalio import activity
from temporalio.api.failure.v1 import Failure
from temporalio.exceptions import ApplicationError

from porchflow.activities.definitions import PhaseInput, PhaseResult, SyncRequest, SyncResult
from porchflow.activities.isolation import ChildDied
from porchflow.api.error_kinds import ErrorKind
from porchflow.api.limits import ISOLATED_PHASE_BYTES, ISOLATED_PHASE_SECONDS, MIB
from porchflow.cli.processes.phase_messages import LENGTH, OUT_OF_MEMORY, Answer, Request, framed
from porchflow.cli.settings import Settings
from porchflow.functions.children import end_child
from porchflow.workflows.converter import DATA_CONVERTER

_converter = DATA_CONVERTER.failure_converter

CHILD: Final = "porchflow.cli.processes.phase_child"
"""The module that the child process runs."""

_IDLE_SECONDS: Final = 60.0
"""Seconds that a child process waits for another phase. To start one costs seconds of processor time."""

_GRACE_SECONDS: Final = 10.0
"""Seconds in which a cancelled phase may finish a push."""


class ChildPhases:
    """Runs phases and syncs in a child process, one at a time. The process starts when one of them needs it.

    It serves one phase after another, so that all that were lost with a worker cost one start. A phase that ended a
    child process already gets one of its own, so that nothing that ran before takes memory from it.
    """

    def __init__(self, settings: Settings, module: str = CHILD) -> None:
        """Create the runner.

        Args:
            settings: Of the worker.
            module: The module that the child process runs.
        """
        self._settings = settings
        self._module = module
        self._turn = asyncio.Lock()
        self._child: Process | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._ending: set[asyncio.Task[None]] = set()

    async def aclose(self) -> None:
        """End the process."""
        async with self._turn:
            await self._end()
        await asyncio.gather(*self._ending)

    async def run(self, name: str, request: PhaseInput | SyncRequest) -> PhaseResult | SyncResult:
        """See `porchflow.activities.isolation.Child`."""
        # What belongs to the worker's attempt alone, and may not pickle, stays here.
        info = dataclasses.replace(activity.info(), heartbeat_details=(), task_token=b"")
        async with self._turn:
            self._stay()
            if request.deaths > 1:
                await self._end()
            try:
                return await self._answer(Request(name, request, info))
            finally:
                self._leave()

    async def _answer(self, request: Request) -> PhaseResult | SyncResult:
        child = self._child = await self._running()
        try:
            answer = await _exchange(child, request)
        except asyncio.CancelledError:
            await self._end(_GRACE_SECONDS)
            raise
        except (asyncio.IncompleteReadError, ConnectionError):
            raise ChildDied(_death(await self._end())) from None
        if answer.result is not None:
            return answer.result
        error = _converter.from_failure(Failure.FromString(answer.failure), DATA_CONVERTER.payload_converter)
        if isinstance(error, ApplicationError) and error.type == ErrorKind.LOST:
            # The phase ran out of memory, and the process lived on by luck.
            await self._end()
            raise ChildDied(_death(OUT_OF_MEMORY))
        raise error

    async def _running(self) -> Process:
        if self._child is not None and self._child.returncode is None:
            return self._child
        await self._end()
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", self._module, str(os.getpid())),
            stdin=PIPE,
            stdout=PIPE,
            # An interrupt at the terminal goes to the worker, which ends this process.
            start_new_session=True,
        )
        _pipes(child)[0].write(framed(self._settings))
        return child

    async def _end(self, grace: float = 0) -> int:
        """End the process, with seconds of grace to finish what it does; return its exit code, 0 for no process."""
        child, self._child = self._child, None
        if child is None:
            return 0
        if grace:
            requests, answers = _pipes(child)
            requests.close()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await answers.read()
        # One that has closed its output is ending by itself; to kill it does not change its exit code any more.
        return await end_child(child)

    def _stay(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _leave(self) -> None:
        self._idle = asyncio.get_running_loop().call_later(_IDLE_SECONDS, self._end_idle)

    def _end_idle(self) -> None:
        async def end() -> None:
            async with self._turn:
                await self._end()

        if not self._turn.locked():
            task = asyncio.ensure_future(end())
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)


async def _exchange(child: Process, request: Request) -> Answer:
    requests, answers = _pipes(child)
    requests.write(framed(request))
    await requests.drain()
    (length,) = LENGTH.unpack(await answers.readexactly(LENGTH.size))
    answer: Answer = pickle.loads(await answers.readexactly(length))  # noqa: S301 - from a child, over its own pipe
    return answer


def _pipes(child: Process) -> tuple[StreamWriter, StreamReader]:
    if child.stdin is None or child.stdout is None:
        raise ChildProcessError("the process has no pipes")
    return child.stdin, child.stdout


_CAUSES: Final = {
    OUT_OF_MEMORY: f"it needed more than {ISOLATED_PHASE_BYTES // MIB} MiB of memory",
    -signal.SIGXCPU: f"it took more than {ISOLATED_PHASE_SECONDS} s of processor time",
    -signal.SIGKILL: "the system killed it, most likely for want of memory",
}


def _death(code: int) -> str:
    """Return how a process ended, with "it" for the phase."""
    if code in _CAUSES:
        return _CAUSES[code]
    if code < 0:
        return f"it crashed with signal {-code} ({signal.Signals(-code).name})"
    return f"its process ended with exit code {code}"
