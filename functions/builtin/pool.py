"""Built-in functions in processes of their own: CPU-bound work leaves the event loop, and can be killed."""

import asyncio
import logging
import os
import resource
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from types import TracebackType
from typing import Self

from porchflow.api.limits import BUILTIN_SECONDS, CALLS_OF_A_PROCESS
from porchflow.functions.builtin.catalog import absence, configured, find
from porchflow.functions.builtin.child import ANSWER, OUT_OF_MEMORY, REQUEST
from porchflow.functions.builtin.toolkit.sdk import Reply
from porchflow.functions.children import end_child, kill_child
from porchflow.functions.configs import FunctionConfigs
from porchflow.functions.function_errors import FunctionNotFound
from porchflow.functions.slots import FairSlots
from porchflow.kpt.package_errors import FunctionFailed
from porchflow.kpt.render.evaluation import Evaluation

DEFAULT_MEMORY_LIMIT = 1024 * 1024 * 1024
"""Bytes of address space per process: enough for a package of the largest message size, a small part of a machine."""

_LARGE = 2
"""A process is replaced when its memory limit is less than its size times this: the next call needs room."""
_log = logging.getLogger(__name__)


class WorkerPool:
    """A fixed number of processes, each running one function at a time.

    A process that crashes, runs out of memory or exceeds its time limit is replaced, and only its own call fails. A
    process that has grown large or has answered many calls is replaced too, so that calls before it cost later calls
    nothing.
    """

    def __init__(self, size: int, *, memory_limit: int = DEFAULT_MEMORY_LIMIT) -> None:
        """Create a pool; its processes start when its context is entered, or when a call needs one.

        Args:
            size: Processes, hence calls at a time of one tenant. One more process starts when one tenant holds all of
                them and another calls.
            memory_limit: Bytes of address space per process; 0 for none.
        """
        self._size = size
        self._memory_limit = memory_limit
        self._slots = FairSlots(size)
        # Last in, first out: the memory of the process that was used last is in the caches of the processor.
        self._idle: list[Process] = []
        self._calls: dict[Process, int] = {}
        """Answered calls by running process."""
        self._ending: set[asyncio.Task[int]] = set()

    async def __aenter__(self) -> Self:
        """Start all processes."""
        self._idle += await asyncio.gather(*(self._start() for _ in range(self._size)))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill all processes."""
        await self.aclose()

    async def aclose(self) -> None:
        """Kill all processes."""
        for process in list(self._calls):
            self._kill(process)
        await asyncio.gather(*self._ending)

    async def run(self, name: str, request: bytes, time_limit: float | None = None) -> Reply:
        """Run one built-in function in a free process; wait for one if there is none.

        Args:
            name: Name of the function in the catalog.
            request: A serialised ResourceList.
            time_limit: Seconds that the function may run, without the wait for a process; None for no limit.

        Raises:
            ChildProcessError: The process died during the call.
            TimeoutError: The time limit is over, and the process was killed.
        """
        async with self._slots.taken(), asyncio.timeout(time_limit):
            process = self._idle_process()
            if process is not None:
                try:
                    return await self._answer(process, name, request)
                except ChildProcessError as error:
                    # The cause may be memory that earlier calls left in use.
                    _log.info("function %s is tried again in a new process: its process %s", name, error)
            return await self._answer(await self._start(), name, request)

    def _idle_process(self) -> Process | None:
        while self._idle:
            process = self._idle.pop()
            if process.returncode is None:
                return process
            self._kill(process)
        return None

    async def _answer(self, process: Process, name: str, request: bytes) -> Reply:
        try:
            reply = await _exchange(process, name, request)
        except BaseException:
            # After a cancellation too: nobody reads the answer, and the next caller must not get it.
            self._kill(process)
            raise
        self._calls[process] += 1
        if self._calls[process] >= CALLS_OF_A_PROCESS or self._is_large(process):
            self._kill(process)
        else:
            self._idle.append(process)
        return reply

    def _is_large(self, process: Process) -> bool:
        return 0 < self._memory_limit < _address_space(process.pid) * _LARGE

    async def _start(self) -> Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "porchflow.functions.builtin.child",
            str(self._memory_limit),
            str(os.getpid()),
            stdin=PIPE,
            stdout=PIPE,
            # Functions see nothing of the environment. The path is passed on because any entry may hold our modules.
            env={"PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)},
            # An interrupt at the terminal goes to the runner, which lets its functions finish.
            start_new_session=True,
        )
        self._calls[process] = 0
        return process

    def _kill(self, process: Process) -> None:
        """Kill a process without waiting; a task of its own, and `aclose`, wait until it has ended."""
        self._calls.pop(process, None)
        kill_child(process)
        ending = asyncio.create_task(end_child(process))
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)


def _address_space(pid: int) -> int:
    """Return the bytes of address space of a process, as its limit counts them; 0 on systems without `/proc`."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * resource.getpagesize()


async def _exchange(process: Process, name: str, request: bytes) -> Reply:
    if process.stdin is None or process.stdout is None:
        raise ChildProcessError("the process has no pipes")
    encoded = name.encode()
    try:
        process.stdin.write(REQUEST.pack(len(encoded), len(request)) + encoded)
        process.stdin.write(request)
        await process.stdin.drain()
        header = await process.stdout.readexactly(ANSWER.size)
        exit_code, log_length, list_length = ANSWER.unpack(header)
        log = await process.stdout.readexactly(log_length)
        answer = await process.stdout.readexactly(list_length)
    except (asyncio.IncompleteReadError, ConnectionError):
        code = await process.wait()
        raise ChildProcessError(_death(code)) from None
    return Reply(answer, log.decode(errors="replace"), exit_code)


_CAUSES: dict[int, str] = {
    signal.SIGSEGV: ": something in its configuration or in a resource is nested too deeply",
    signal.SIGABRT: ": it needed more memory than it may have",
}


def _death(code: int) -> str:
    if code == OUT_OF_MEMORY:
        return "needed more memory than it may have"
    if code < 0:
        return f"was killed by signal {-code}{_CAUSES.get(-code, '')}"
    return f"ended with exit code {code}"


class BuiltinRuntime:
    """Runs built-in functions in a pool of processes."""

    def __init__(
        self,
        pool: WorkerPool,
        prefixes: tuple[str, ...] = (),
        configs: FunctionConfigs | None = None,
        *,
        most_seconds: float = BUILTIN_SECONDS,
    ) -> None:
        """Create a runtime over a pool.

        Args:
            pool: The processes that run the functions.
            prefixes: Registries besides the catalog's own whose images the built-in functions stand for.
            configs: FunctionConfigs, which name further images that they stand for.
            most_seconds: Seconds that a function may run, however long its caller waits.
        """
        self._pool = pool
        self._most_seconds = most_seconds
        self._prefixes = prefixes
        self._configs = configs or FunctionConfigs()

    async def evaluate(self, image: str, resource_list: bytes, time_limit: float) -> Evaluation:
        """Run one function; see `porchflow.functions.runner.evaluators.FunctionRuntime`."""
        builtin = configured(image, self._configs) or find(image, self._prefixes)
        if builtin is None:
            raise FunctionNotFound(image, absence(image, self._prefixes))
        time_limit = min(time_limit, self._most_seconds)
        try:
            reply = await self._pool.run(builtin.key, resource_list, time_limit)
        except TimeoutError:
            raise FunctionFailed(image, f"function {image!r} was killed after {time_limit:g} s") from None
        except ChildProcessError as error:
            raise FunctionFailed(image, f"function {image!r} crashed: its process {error}") from None
        return evaluation_of(image, reply)


def evaluation_of(image: str, reply: Reply) -> Evaluation:
    """Return the evaluation in the reply of a built-in function.

    Raises:
        FunctionFailed: The function's exit code is not 0.
    """
    if reply.exit_code:
        message = f"function {image!r} failed with exit code {reply.exit_code}"
        detail = f": {reply.log}" if reply.log else ""
        raise FunctionFailed(image, message + detail, reply.log, reply.exit_code, reply.resource_list or None)
    return Evaluation(reply.resource_list, reply.log.encode())
