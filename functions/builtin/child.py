"""A process that runs built-in functions, one at a time, for its parent process.

Requests and answers are frames on standard input and output: lengths as 32-bit numbers, then the parts. The process
ends at the end of its input. When its parent ends, it ends at once, even in the middle of a function.
"""

import gc
import os
import resource
import struct
import sys
import traceback
from typing import BinaryIO

from porchflow.functions.builtin.catalog import BUILTINS
from porchflow.functions.builtin.toolkit.sdk import Reply, execute
from porchflow.functions.parent_death import end_with_parent

REQUEST = struct.Struct("!II")
"""Lengths of the function's name and of the resource list."""

ANSWER = struct.Struct("!III")
"""Exit code, and lengths of the log and of the resource list."""

OUT_OF_MEMORY = 97
"""Exit code of a process whose function needed more memory than its limit."""

_YOUNG_OBJECTS = 50_000
"""Objects allocated and not freed until Python's cyclic garbage collector runs."""


def main() -> None:
    """Serve requests until the input ends.

    The arguments of the command line are the memory limit in bytes (0 for none) and the id of the parent process.
    """
    limit, parent = int(sys.argv[1]), int(sys.argv[2])
    end_with_parent(parent)
    if limit:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    answers = os.fdopen(os.dup(1), "wb")
    # A parsed package is many objects without cycles: the search for cycles takes a third of a large call's time.
    gc.set_threshold(_YOUNG_OBJECTS, 20, 20)
    # Text that a function prints must not end up between the frames.
    os.dup2(2, 1)
    while _serve(sys.stdin.buffer, answers):
        pass


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
        # The free memory is fragmented: a new process is better than this one.
        sys.exit(OUT_OF_MEMORY)
    except Exception as error:  # noqa: BLE001 - any error concerns this one call only
        traceback.print_exc()
        return Reply(b"", f"internal error: {type(error).__name__}: {error}", 1)


if __name__ == "__main__":
    main()
