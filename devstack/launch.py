"""Becomes another program that ends when its parent process ends, however that happens.

Run as a script, by path, so that it imports nothing of porchflow; `launched` returns the command.
"""

import os
import signal
import sys
from collections.abc import Callable

_FOLDER = 50
"""File descriptor of the folder that a command of another user is started in."""
OPENED_FOLDER = f"/proc/self/fd/{_FOLDER}"
"""Path of that folder for the command, which may have no right to pass the folders above it, such as root's home."""


def _end_with_parent() -> Callable[[int], None]:
    """Return what makes this process end with its parent, with everything loaded that it needs.

    It is called as the user of the command, which may not be able to read the folders of Python.
    """
    # Linux only; elsewhere the parts of a killed supervisor live on, and the next start ends them.
    if sys.platform != "linux":
        return lambda _: None
    import ctypes  # noqa: PLC0415 - not on other systems

    library, set_parent_death_signal = ctypes.CDLL(None), 1
    return lambda death: library.prctl(set_parent_death_signal, death)


def _become(name: str) -> None:
    import pwd  # noqa: PLC0415 - not on other systems

    user = pwd.getpwnam(name)
    os.dup2(os.open(".", os.O_PATH | os.O_DIRECTORY), _FOLDER)
    os.chdir("/")
    os.setgroups([user.pw_gid])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)


def launched(parent: int, death: signal.Signals = signal.SIGTERM, *, user: str = "") -> list[str]:
    """Return the prefix of a command that makes it end with the process `parent`, which starts it.

    Args:
        parent: Id of that process.
        death: The signal that the command gets then.
        user: Name of the user that the command runs as, which takes root and Linux; empty means the user of `parent`.
            Such a command reaches the current folder as `OPENED_FOLDER`.
    """
    return [sys.executable, "-I", "-S", __file__, str(parent), str(int(death)), user]


def main() -> None:
    """Replace this process by the command."""
    parent, death, user, command = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:]
    end_with_parent = _end_with_parent()
    if user:
        _become(user)
    # Linux forgets the signal of a process that becomes another user, so it is requested after that.
    end_with_parent(death)
    if os.getppid() != parent:
        # The parent ended before the signal was requested.
        sys.exit(1)
    try:
        os.execvp(command[0], command)  # noqa: S606 - the command comes from the stack itself
    except OSError as error:
        sys.exit(f"cannot start {command[0]}: {error}")


if __name__ == "__main__":
    main()
