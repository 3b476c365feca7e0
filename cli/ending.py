"""The end of a process: it exits with its own exit code, whatever threads of libraries still run.

Temporal's client runs Rust threads that nothing can stop. A thread that returns to Python while the interpreter shuts
down aborts the process: exit code 134 or 139 instead of the real one, after all work is done
(https://github.com/temporalio/sdk-python/issues/300). So our processes exit before the interpreter shuts down.
"""

import atexit
import os
import sys
from collections.abc import Callable

_UNCAUGHT = 1
_INTERRUPTED = 130
_FLUSH_FAILED = 120
"""Python's own exit code when it cannot flush its output, such as on a full disk."""


class LastStep:
    """Ends the process as the last of the functions that run at exit, before the interpreter shuts down.

    Functions run at exit in the reverse order of their registration, and after all threads of Python have ended. So
    functions that are registered after this object still run.

    Attributes:
        code: Exit code of the process.
    """

    def __init__(self) -> None:
        """Register the step with `atexit`."""
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
    """Run the command of a process, and end the process with the command's exit code.

    Every entry point calls this, once, before it does anything else.

    Args:
        command: May raise `SystemExit`, as commands of click do.
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
    # Python prints any other value than a number.
    return asked.code & 0xFF if isinstance(asked.code, int) else _UNCAUGHT
