"""Builtin functions in processes of their own: CPU-bound work leaves the event loop, and can be killed."""

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
from porchflow.functions.builtin.catalog import configured, find
from porchflow.functions.builtin.child import ANSWER, OUT_OF_MEMORY, REQUEST
from porchflow.functions.builtin.toolkit.sdk import Reply
from porchflow.functions.children import end_child, kill_child
from porchflow.functions.configs import FunctionConfigs
from porchflow.functions.function_errors import FunctionNotFound
from porchflow.functions.slots import FairSlots
from porchflow.kpt.package_errors import FunctionFailed
from porchflow.kpt.render.evaluation import Evaluation

DEFAULT_MEMORY_LIMIT = 1024 * 1024 * 1024
"""Bytes of address space per process: enough for a package of the largest message size, far from a whole machine."""

_LARGE = 2
"""A process whose memory limit is less than so many times its size is replaced: a call must find room."""
_log = logging.getLogger(__name__)


class WorkerPool:
    """A fixed number of processes, each running one function at a time.

    A process that crashes, runs out of memory or overstays its time is replaced; only the call it worked for fails. So
    is one that has grown large or has answered many calls: what others have left in it is nobody's burden.
    """

    def __init__(self, size: int, *, memory_limit: int = DEFAULT_MEMORY_LIMIT) -> None:
        """Prepare the pool; processes start when it is entered, or when first needed.

        Args:
            size: processes, hence functions at a time of one tenant; one more is started where all are one tenant's
                and another calls.
            memory_limit: bytes of address space per process; 0 for none.
        """
        self._size = size
        self._memory_limit = memory_limit
        self._slots = FairSlots(size)
        # Last in, first out: the process used last has its memory warm.
        self._idle: list[Process] = []
        self._calls: dict[Process, int] = {}
        """Of every process that runs: the calls that it has answered."""
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
        """Run one builtin function, waiting for a free process.

        Args:
            name: of the builtin.
            request: serialised ResourceList.
            time_limit: seconds that it may run, without those of waiting; None for no limit.

        Raises:
            ChildProcessError: the process died over it.
            TimeoutError: it was killed because its time was over.
        """
        async with self._slots.taken(), asyncio.timeout(time_limit):
            process = self._idle_process()
            if process is not None:
                try:
                    return await self._answer(process, name, request)
                except ChildProcessError as error:
                    # It may have died of what calls before it have left behind.
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
            # Also when cancelled: what the process is doing is of no use to anybody, and it answers to one caller only.
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
            # Nothing of the environment is a function's business; our modules may come from any entry of the path.
            env={"PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)},
            # An interrupt at the terminal is for the runner, which lets its functions finish.
            start_new_session=True,
        )
        self._calls[process] = 0
        return process

    def _kill(self, process: Process) -> None:
        """Kill a process at once; that it has ended is waited for beside what comes next, and by `aclose`."""
        self._calls.pop(process, None)
        kill_child(process)
        ending = asyncio.create_task(end_child(process))
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)


def _address_space(pid: int) -> int:
    """Bytes of address space of a process, which is what its limit counts; 0 where the system does not tell."""
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
    """Runs builtin functions in a pool of processes."""

    def __init__(
        self,
        pool: WorkerPool,
        prefixes: tuple[str, ...] = (),
        configs: FunctionConfigs | None = None,
        *,
        most_seconds: float = BUILTIN_SECONDS,
    ) -> None:
        """Take the pool.

        Args:
            pool: where they run.
            prefixes: registries besides the catalog's own whose images the builtins stand for.
            configs: which more images they stand for.
            most_seconds: that one may run, however long its caller waits.
        """
        self._pool = pool
        self._most_seconds = most_seconds
        self._prefixes = prefixes
        self._configs = configs or FunctionConfigs()

    async def evaluate(self, image: str, resource_list: bytes, time_limit: float) -> Evaluation:
        """Run one function; see `porchflow.functions.evaluators.FunctionRuntime`."""
        builtin = configured(image, self._configs) or find(image, self._prefixes)
        if builtin is None:
            raise FunctionNotFound(image)
        time_limit = min(time_limit, self._most_seconds)
        try:
            reply = await self._pool.run(builtin.name, resource_list, time_limit)
        except TimeoutError:
            raise FunctionFailed(image, f"function {image!r} was killed after {time_limit:g} s") from None
        except ChildProcessError as error:
            raise FunctionFailed(image, f"function {image!r} crashed: its process {error}") from None
        return evaluation_of(image, reply)


def evaluation_of(image: str, reply: Reply) -> Evaluation:
    """What a caller gets for a builtin's reply.

    Raises:
        FunctionFailed: the function ended with another exit code than 0.
    """
    if reply.exit_code:
        message = f"function {image!r} failed with exit code {reply.exit_code}"
        detail = f": {reply.log}" if reply.log else ""
        raise FunctionFailed(image, message + detail, reply.log, reply.exit_code, reply.resource_list or None)
    return Evaluation(reply.resource_list, reply.log.encode())
