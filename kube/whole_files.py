"""Files that appear whole, so that no reader sees half of one."""

import os
from pathlib import Path
from typing import Final

PRIVATE: Final = 0o600
"""Permissions of a file that other users cannot read."""

SHARED: Final = 0o666
"""Permissions of a file that says nothing secret, before the umask."""


def write_whole(path: Path, content: bytes, permissions: int = PRIVATE) -> None:
    """Write a file in one step: a reader sees the old content or the new one.

    Args:
        path: The file; its folder exists.
        content: All of it.
        permissions: Of the file, less the umask of the process.

    Raises:
        OSError: It cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.unlink(missing_ok=True)
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, permissions)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
