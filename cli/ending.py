"""How a process of porchflow ends: with the exit code that it asked for, whatever libraries still do in threads.

Temporal's client runs Rust threads that nothing can stop. One that comes back to Python while the interpreter is torn
down aborts the process: exit code 134 or 139 in place of the real one, after all work is done
(https://github.com/temporalio/sdk-python/issues/300). So no process of ours is torn down that far.
"""

import atexit
import os
import sys
from collections.abc import Callable

_UNCAUGHT = 1
_INTERRUPTED = 130
_FLUSH_FAILED = 120
"""As Python itself ends when it cannot write what was printed last, such as on a full disk."""


class LastStep:
    """Ends the process as the last of the functions that run at exit, before Python tears itself down.

    Functions run at exit in the reverse order of their registration, and after all threads of Python have ended. So
    whatever is registered after this object still runs.

    Attributes:
        code: Exit code of the process.
    """

    def __init__(self) -> None:
        """Register it."""
        self.code = _UNCAUGHT
        atexit.register(self._end)

    def _end(self) -> None:
        code = self.code
        for stream in (sys.stdout, sys.stderr):
            try:
                if stream is not None:
                    stream.flush()
            except (OSError, ValueError):
                code = code or _FLUSH_FAILED
        os._exit(code)


def run_to_end(command: Callable[[], object]) -> None:
    """Run what a process is for; the process ends with the exit code that this asks for.

    Every entry point calls this, once, before it does anything else.

    Args:
        command: It may end with `SystemExit`, as commands of click do.
    """
    last = LastStep()
    try:
        command()
    except SystemExit as asked:
        last.code = _code_of(asked)
        raise
    except KeyboardInterrupt:
        last.code = _INTERRUPTED
        raise
    last.code = 0


def _code_of(asked: SystemExit) -> int:
    if asked.code is None:
        return 0
    # Anything else than a number is printed by Python.
    return asked.code & 0xFF if isinstance(asked.code, int) else _UNCAUGHT
