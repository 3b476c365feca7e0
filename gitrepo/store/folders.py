"""The folder of Git caches that all processes of a machine share: its sub-folders and the turns to push."""

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

from porchflow.gitrepo.remote.incoming import QUARANTINE
from porchflow.gitrepo.remote.outgoing import OUTGOING

logger = logging.getLogger(__name__)

_WORKER = "worker-"
_DIGITS = 32
_POLL_SECONDS = 0.01
"""Interval of attempts to lock: a thread that waits for a lock in the kernel could not be cancelled."""


class CacheFolder:
    """A folder of caches that only this process writes to.

    Several processes may use the same `root`. Each locks the first free sub-folder, and reads the caches in the others.
    The kernel releases the lock when the process ends, so that a restarted worker finds a warm cache again.
    """

    def __init__(self, root: Path) -> None:
        """Lock a free sub-folder.

        Args:
            root: Folder of all caches; if it is missing, it is made with access for this user only.
        """
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
        """Release the sub-folder to other processes."""
        os.close(self._lock)

    def repository(self, place: str) -> Path:
        """Return the folder for a repository, by its place (`GitAddress.place`)."""
        return self.path / _folder_name(place)

    def others(self, place: str) -> list[Path]:
        """Return the folders of present and former other processes for a repository, by its place."""
        name = _folder_name(place)
        try:
            folders = [entry for entry in self._root.iterdir() if entry.name.startswith(_WORKER)]
        except OSError:
            return []
        return [path for folder in folders if folder != self.path and (path := folder / name).is_dir()]

    def turn(self, place: str) -> "Turn":
        """Return the turn to push to a repository, by its place."""
        return Turn((self._root / _folder_name(place)).with_suffix(".turn"))


class Turn:
    """The turn to push to one remote, among the processes that share a folder.

    All merges into a branch build on one another. A process that builds while another one pushes must fetch that push,
    and build again. Other changes gain less: more of them share a push. Turns only save time: a push out of turn is
    correct too.
    """

    def __init__(self, lock: Path) -> None:
        """Create the turn of a lock file."""
        self._path = lock

    @contextlib.asynccontextmanager
    async def taken(self, patience: float) -> AsyncIterator[None]:
        """Hold the turn.

        Args:
            patience: Seconds to wait for it; after that the context is entered without the turn, as the process that
                has it may hang with its server.
        """
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
            # Closing alone does not release a lock that a child process has inherited.
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
            # A file system whose locks fail must not keep the process from pushing.
            logger.debug("pushing out of turn: %s", error)


def _folder_name(place: str) -> str:
    return f"{hashlib.sha256(place.encode()).hexdigest()[:_DIGITS]}.git"


def _remove_outdated(folder: Path) -> None:
    """Free the disk of caches that an older version named by spelling, and of packs that a killed process left."""
    for path in folder.glob("*.git"):
        if len(path.stem) != _DIGITS:
            shutil.rmtree(path, ignore_errors=True)
    for begin in (QUARANTINE, OUTGOING):
        for path in folder.glob(f"*.git/{begin}*"):
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
