"""A process that runs builtin functions, one at a time, for the process that started it.

Requests and answers are frames on standard input and output: lengths as 32-bit numbers, then the parts. The process
ends when its input does, and at once when the process that started it ends, whatever it computes.
"""

import gc
import os
import resource
import signal
import struct
import sys
import traceback
from typing import BinaryIO

from porchflow.functions.builtin.catalog import BUILTINS
from porchflow.functions.builtin.toolkit.sdk import Reply, execute

REQUEST = struct.Struct("!II")
"""Lengths of the function's name and of the resource list."""

ANSWER = struct.Struct("!III")
"""Exit code, and lengths of the log and of the resource list."""

OUT_OF_MEMORY = 97
"""Exit code of a process whose function needed more memory than there is."""

_YOUNG_OBJECTS = 50_000


def main() -> None:
    """Serve requests until the input ends. Arguments: the memory limit in bytes, 0 for none; the id of the parent."""
    limit, parent = int(sys.argv[1]), int(sys.argv[2])
    _end_with_parent(parent)
    if limit:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    answers = os.fdopen(os.dup(1), "wb")
    # A parsed package is a great many objects without cycles: looking for some takes a third of a large call's time.
    gc.set_threshold(_YOUNG_OBJECTS, 20, 20)
    # Whatever a function prints must not end up between the frames.
    os.dup2(2, 1)
    while _serve(sys.stdin.buffer, answers):
        pass


def _end_with_parent(parent: int) -> None:
    # Linux only; elsewhere a function that never ends outlives a runner that was killed.
    if sys.platform != "linux":
        return
    import ctypes  # noqa: PLC0415 - not on other systems

    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    if os.getppid() != parent:
        # It ended before the signal was asked for.
        sys.exit(1)


def _serve(requests: BinaryIO, answers: BinaryIO) -> bool:
    header = requests.read(REQUEST.size)
    if len(header) < REQUEST.size:
        return False
    name_length, list_length = REQUEST.unpack(header)
    name = requests.read(name_length).decode()
    reply = _run(name, requests.read(list_length))
    log = reply.log.encode()
    answers.write(ANSWER.pack(reply.exit_code, len(log), len(reply.resource_list)) + log + reply.resource_list)
    answers.flush()
    return True


def _run(name: str, request: bytes) -> Reply:
    try:
        return execute(BUILTINS[name].run, request)
    except MemoryError:
        # What is left of the memory is in pieces: a new process is better than this one.
        sys.exit(OUT_OF_MEMORY)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is about this one call
        traceback.print_exc()
        return Reply(b"", f"internal error: {type(error).__name__}: {error}", 1)


if __name__ == "__main__":
    main()
