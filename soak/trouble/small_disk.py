"""A small file system of its own for a worker's Git cache, to be filled."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

_SIZE = "64m"
_FILLER = "filler"
_CHUNK = bytes(1 << 20)


def can_mount() -> bool:
    """Return whether this user may mount file systems here."""
    return sys.platform == "linux" and os.geteuid() == 0


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Mount a file system of 64 MiB in memory at a folder while the context is open."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        # Lazily: a process that is just ending may hold a file open.
        subprocess.run(["umount", "--lazy", str(folder)], check=False)


def fill(folder: Path) -> None:
    """Take all space that is left."""
    with contextlib.suppress(OSError), (folder / _FILLER).open("ab", buffering=0) as file:
        while file.write(_CHUNK):
            continue


def free(folder: Path) -> None:
    """Give that space back."""
    (folder / _FILLER).unlink(missing_ok=True)
