"""What the processes of one machine share that were given the same folder for their Git caches."""

import asyncio
import contextlib
import errno
import fcntl
import hashlib
import itertools
import logging
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

logger = logging.getLogger(__name__)

_WORKER = "worker-"
_DIGITS = 32
_POLL_SECONDS = 0.01
"""The kernel tells nobody that a lock is free unless a thread waits for it, and that cannot be given up."""


class CacheFolder:
    """A folder of caches that only this process writes to.

    Several processes may be given the same `root`: each takes the first sub-folder that nobody holds, by a lock that
    the kernel frees with the process, and reads what the others have. A restarted worker finds a warm cache again.
    """

    def __init__(self, root: Path) -> None:
        """Take a sub-folder of `root`, which is made, for this user alone, if it does not exist."""
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._root = root
        for number in itertools.count():
            lock = _try_lock(root / f"{_WORKER}{number}.lock")
            if lock is not None:
                self._lock = lock
                self.path = root / f"{_WORKER}{number}"
                _remove_outdated(self.path)
                return

    def close(self) -> None:
        """Let another process take the sub-folder."""
        os.close(self._lock)

    def repository(self, place: str) -> Path:
        """Folder for a repository, by its place (`GitAddress.place`)."""
        return self.path / _folder_name(place)

    def others(self, place: str) -> list[Path]:
        """Folders that other processes have, or had, for a repository, by its place (`GitAddress.place`)."""
        name = _folder_name(place)
        try:
            folders = [entry for entry in self._root.iterdir() if entry.name.startswith(_WORKER)]
        except OSError:
            return []
        return [path for folder in folders if folder != self.path and (path := folder / name).is_dir()]

    def turn(self, place: str) -> "Turn":
        """The turn to push to a repository, by its place (`GitAddress.place`)."""
        return Turn((self._root / _folder_name(place)).with_suffix(".turn"))


class Turn:
    """The turn to push to one remote, which the processes that share a folder pass on.

    All merges into a branch build on one another. Who builds while another pushes has to build again, and has to fetch
    first what the other has pushed. Other changes gain only that more of them share a push. Nothing depends on a turn
    but time: a push out of turn is as correct.
    """

    def __init__(self, lock: Path) -> None:
        """Take the file whose lock is the turn."""
        self._path = lock

    @contextlib.asynccontextmanager
    async def taken(self, patience: float) -> AsyncIterator[None]:
        """Have the turn, or have waited for so many seconds: who has it may hang with its server."""
        try:
            handle = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            logger.debug("pushing out of turn: %s", error)
            yield
            return
        try:
            await self._wait(handle, patience)
            yield
        finally:
            # Closing alone frees nothing that a child process has inherited.
            with contextlib.suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_UN)
            os.close(handle)

    async def _wait(self, handle: int, patience: float) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + patience
        try:
            while not _locked(handle):
                if loop.time() > until:
                    logger.debug("pushing out of turn: %s is held for more than %g s", self._path, patience)
                    return
                await asyncio.sleep(_POLL_SECONDS)
        except OSError as error:
            # A file system that has lost its locks must keep nobody from pushing.
            logger.debug("pushing out of turn: %s", error)


def _folder_name(place: str) -> str:
    return f"{hashlib.sha256(place.encode()).hexdigest()[:_DIGITS]}.git"


def _remove_outdated(folder: Path) -> None:
    """Free the disk of caches whose names tell that a version made them which named them by spelling."""
    for path in folder.glob("*.git"):
        if len(path.stem) != _DIGITS:
            shutil.rmtree(path, ignore_errors=True)


def _try_lock(path: Path) -> int | None:
    handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        if _locked(handle):
            return handle
    except OSError:
        os.close(handle)
        raise
    os.close(handle)
    return None


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in {errno.EWOULDBLOCK, errno.EACCES}:
            return False
        raise
    return True
