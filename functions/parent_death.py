"""The end of a child process with its parent, even when the parent is killed."""

import os
import signal
import sys


def end_with_parent(parent: int) -> None:
    """Have the system kill this process when its parent ends; end it where that has happened already.

    Only Linux has the signal. Elsewhere a process that does not read its input outlives a parent that was killed.

    Args:
        parent: Id of the parent process.
    """
    if sys.platform != "linux":
        return
    import ctypes  # noqa: PLC0415 - not on other systems

    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    if os.getppid() != parent:
        # The parent ended before the signal was set up.
        sys.exit(1)
