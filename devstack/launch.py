"""Becomes another program that ends when its parent process ends, however that happens.

Run as a script, by path, so that it imports nothing of porchflow; `launched` returns the command.
"""

import os
import signal
import sys


def _end_with_parent() -> None:
    # Linux only; elsewhere the parts of a killed supervisor live on, and the next start ends them.
    if sys.platform != "linux":
        return
    import ctypes  # noqa: PLC0415 - not on other systems

    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)


def launched(parent: int) -> list[str]:
    """Return the prefix of a command that makes it end with the process `parent`, which starts it."""
    return [sys.executable, "-I", "-S", __file__, str(parent)]


def main() -> None:
    """Replace this process by the command."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    _end_with_parent()
    if os.getppid() != parent:
        # The parent ended before the signal was requested.
        sys.exit(1)
    try:
        os.execvp(command[0], command)  # noqa: S606 - the command comes from the stack itself
    except OSError as error:
        sys.exit(f"cannot start {command[0]}: {error}")


if __name__ == "__main__":
    main()
