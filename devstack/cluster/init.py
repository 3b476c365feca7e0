"""The first process of the cluster's namespaces: prepares them, starts the supervisor, and reaps what nobody waits for.

The kernel ends every other process of the namespaces when this one ends, however that happens.
"""

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

_GAVE_UP = 1
_ENDING = (signal.SIGTERM, signal.SIGINT)


def supervise(run: Callable[[], int]) -> int:
    """Run a function in a child process, and reap all others that end.

    A signal to end reaches the child, which ends its parts in order.

    Args:
        run: The supervisor; returns an exit code.

    Returns:
        The exit code of the child.
    """
    # A signal that comes before there is a handler waits.
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
        _exit(run)

    def forward(number: int, _: FrameType | None) -> None:
        os.kill(child, number)

    for number in _ENDING:
        signal.signal(number, forward)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
    while True:
        ended, status = os.wait()
        if ended == child:
            return os.waitstatus_to_exitcode(status)


def _exit(run: Callable[[], int]) -> None:
    code = _GAVE_UP
    try:
        code = run()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # The code after the fork belongs to the parent.
        os._exit(code)
