"""A process that runs phases and syncs, one at a time, for the worker that started it.

The worker writes the settings and then one request after another to standard input, and reads one answer for each from
standard output; both are pickled, each behind its length. The process ends with its worker, at the end of its input, or
where a phase exceeds one of the limits.
"""

import asyncio
import contextlib
import logging
import os
import pickle
import resource
import sys
from asyncio import StreamReader
from collections.abc import Awaitable, Callable
from typing import Any, BinaryIO

from temporalio.api.failure.v1 import Failure
from temporalio.exceptions import ApplicationError

# The one public way to give code that runs outside of a worker the context of an activity.
from temporalio.testing import ActivityEnvironment

from porchflow.api.limits import ISOLATED_PHASE_BYTES, ISOLATED_PHASE_FILE_BYTES, ISOLATED_PHASE_SECONDS
from porchflow.cli.processes.connect import connect_kubernetes
from porchflow.cli.processes.phase_messages import LENGTH, OUT_OF_MEMORY, Answer, Request, framed
from porchflow.cli.processes.process import collect_seldom
from porchflow.cli.processes.worker_activities import Activities, open_activities
from porchflow.cli.settings import Settings
from porchflow.functions.parent_death import end_with_parent
from porchflow.workflows.converter import DATA_CONVERTER


def main() -> None:
    """Serve a worker; the argument of the command line is its process id."""
    end_with_parent(int(sys.argv[1]))
    _limit()
    answers = os.fdopen(os.dup(1), "wb")
    # Text that anything prints must not end up between the answers.
    os.dup2(2, 1)
    settings: Settings = pickle.loads(_read(sys.stdin.buffer))  # noqa: S301 - from the worker, over its own pipe
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)-7s isolated phase: %(message)s")
    collect_seldom()
    with contextlib.suppress(EOFError):
        asyncio.run(_serve(settings, answers))


def _limit() -> None:
    # Data, not address space: packs that are mapped into memory are files, and the system takes them back.
    resource.setrlimit(resource.RLIMIT_DATA, (ISOLATED_PHASE_BYTES, ISOLATED_PHASE_BYTES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (ISOLATED_PHASE_FILE_BYTES, ISOLATED_PHASE_FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _grant_processor_time() -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = int(used.ru_utime + used.ru_stime) + ISOLATED_PHASE_SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (most, resource.RLIM_INFINITY))


async def _serve(settings: Settings, answers: BinaryIO) -> None:
    requests = StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(requests), sys.stdin)
    async with contextlib.AsyncExitStack() as stack:
        kube = await stack.enter_async_context(await connect_kubernetes(settings, lambda _: None))
        activities = await stack.enter_async_context(open_activities(settings, kube))
        asking = asyncio.ensure_future(_next(requests))
        while (request := await asking) is not None:
            asking = asyncio.ensure_future(_next(requests))
            _grant_processor_time()
            running = asyncio.ensure_future(_run(_activity(activities, request.name), request))
            # The worker asks for the next phase after the answer only: the input ends where it wants none any more.
            await asyncio.wait({running, asking}, return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                running.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await running
                return
            send(answers, running.result())


async def _next(requests: StreamReader) -> Request | None:
    try:
        (length,) = LENGTH.unpack(await requests.readexactly(LENGTH.size))
        request: Request = pickle.loads(await requests.readexactly(length))  # noqa: S301 - see above
    except asyncio.IncompleteReadError:
        return None
    return request


def _activity(activities: Activities, name: str) -> Callable[[Any], Awaitable[Any]]:
    room = activities.sync if hasattr(activities.sync, name) else activities.phases
    found: Callable[[Any], Awaitable[Any]] = getattr(room, name)
    return found


async def _run(run: Callable[[Any], Awaitable[Any]], request: Request) -> Answer:
    environment = ActivityEnvironment()
    environment.info = request.info
    try:
        return Answer(await environment.run(run, request.input))
    except ApplicationError as error:
        failure = Failure()
        DATA_CONVERTER.failure_converter.to_failure(error, DATA_CONVERTER.payload_converter, failure)
        return Answer(failure=failure.SerializeToString())
    except MemoryError:
        os._exit(OUT_OF_MEMORY)


def _read(stream: BinaryIO) -> bytes:
    """Read one pickled object from a blocking stream, and not a byte more: the event loop reads what follows."""
    (length,) = LENGTH.unpack(_exactly(stream.fileno(), LENGTH.size))
    return _exactly(stream.fileno(), length)


def _exactly(descriptor: int, length: int) -> bytes:
    data = b""
    while len(data) < length:
        part = os.read(descriptor, length - len(data))
        if not part:
            sys.exit(0)
        data += part
    return data


def send(stream: BinaryIO, value: Any) -> None:  # noqa: ANN401 - any value that pickles
    """Write one value to a blocking stream."""
    stream.write(framed(value))
    stream.flush()


if __name__ == "__main__":
    main()
