"""Builtin functions in processes of their own: CPU-bound work leaves the event loop, and can be killed."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from types import TracebackType
from typing import Self

from porchflow.functions.builtin.catalog import configured, find
from porchflow.functions.builtin.child import ANSWER, OUT_OF_MEMORY, REQUEST
from porchflow.functions.builtin.toolkit.sdk import Reply
from porchflow.functions.children import end_child
from porchflow.functions.configs import FunctionConfigs
from porchflow.functions.function_errors import FunctionNotFound
from porchflow.kpt.package_errors import FunctionFailed
from porchflow.kpt.render.evaluation import Evaluation

DEFAULT_MEMORY_LIMIT = 1024 * 1024 * 1024
"""Bytes of address space per process: enough for a package of the largest message size, far from a whole machine."""


class WorkerPool:
    """A fixed number of processes, each running one function at a time.

    A process that crashes, runs out of memory or overstays its time is replaced; only the call it worked for fails.
    """

    def __init__(self, size: int, *, memory_limit: int = DEFAULT_MEMORY_LIMIT) -> None:
        """Prepare the pool; processes start when it is entered, or when first needed.

        Args:
            size: processes, hence functions at a time.
            memory_limit: bytes of address space per process; 0 for none.
        """
        self._size = size
        self._memory_limit = memory_limit
        # Last in, first out: the process used last has its memory warm. None stands for a process not started yet.
        self._idle: asyncio.LifoQueue[Process | None] = asyncio.LifoQueue()
        for _ in range(size):
            self._idle.put_nowait(None)
        self._running: set[Process] = set()
        self._ending: set[asyncio.Task[int]] = set()

    async def __aenter__(self) -> Self:
        """Start all processes."""
        slots = [self._idle.get_nowait() for _ in range(self._size)]
        for process in await asyncio.gather(*(self._start() for _ in slots)):
            self._idle.put_nowait(process)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill all processes."""
        await self.aclose()

    async def aclose(self) -> None:
        """Kill all processes."""
        for process in list(self._running):
            self._kill(process)
        await asyncio.gather(*self._ending)

    async def run(self, name: str, request: bytes) -> Reply:
        """Run one builtin function, waiting for a free process.

        Args:
            name: of the builtin.
            request: serialised ResourceList.

        Raises:
            ChildProcessError: the process died over it.
        """
        slot = await self._idle.get()
        process = None
        try:
            process = slot if slot is not None and slot.returncode is None else await self._start()
            reply = await _exchange(process, name, request)
        except BaseException:
            # Also when cancelled: what the process is doing is of no use to anybody, and it answers to one caller only.
            if process is not None:
                self._kill(process)
            self._idle.put_nowait(None)
            raise
        self._idle.put_nowait(process)
        return reply

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
        self._running.add(process)
        return process

    def _kill(self, process: Process) -> None:
        """Kill a process at once; that it has ended is waited for beside what comes next, and by `aclose`."""
        self._running.discard(process)
        if process.returncode is None:
            process.kill()
        ending = asyncio.create_task(end_child(process))
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)


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
        self, pool: WorkerPool, prefixes: tuple[str, ...] = (), configs: FunctionConfigs | None = None
    ) -> None:
        self._pool = pool
        self._prefixes = prefixes
        self._configs = configs or FunctionConfigs()

    async def evaluate(self, image: str, resource_list: bytes, time_limit: float) -> Evaluation:
        """Run one function; see `porchflow.functions.evaluators.FunctionRuntime`."""
        builtin = configured(image, self._configs) or find(image, self._prefixes)
        if builtin is None:
            raise FunctionNotFound(image)
        try:
            async with asyncio.timeout(time_limit):
                reply = await self._pool.run(builtin.name, resource_list)
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
