"""Keeps the repositories of the embedded Git server fast while they are in use."""

import asyncio
import logging
import os
from collections import Counter
from pathlib import Path

from porchflow.devstack.git.gitservice import GIT_ENVIRONMENT
from porchflow.functions.children import end_child

logger = logging.getLogger(__name__)

PUSHES = 10
"""A repository is packed after this many pushes."""

# Branches stay in files of their own: drafts come and go, and to remove one from the packed refs rewrites all of them.
# No object is ever removed here: a commit stays fetchable by its id after its draft branch has gone.
_COMMANDS = (("pack-refs",), ("repack", "-d", "-q", "--geometric=2"))


class Upkeep:
    """Packs tags and objects from time to time.

    Every push makes git read all refs and the commits that they name. With a thousand tags in files of their own every
    request takes 50 ms longer, and reading 300 commits from files of their own costs a third of a push. Packs stay few,
    because each is at least twice as large as the next.
    """

    def __init__(self) -> None:
        self._pushes: Counter[Path] = Counter()
        self._running: dict[Path, asyncio.Task[None]] = {}

    def pushed(self, repository: Path) -> None:
        """Count a push; starts packing in the background when it is due."""
        self._pushes[repository] += 1
        if self._pushes[repository] >= PUSHES and repository not in self._running:
            del self._pushes[repository]
            task = asyncio.create_task(_tidy(repository))
            self._running[repository] = task
            task.add_done_callback(lambda _: self._running.pop(repository))

    async def finished(self) -> None:
        """Wait for the packing in the background."""
        await asyncio.gather(*self._running.values())


async def _tidy(repository: Path) -> None:
    for command in _COMMANDS:
        process = await asyncio.create_subprocess_exec(
            *("git", "-C", str(repository), *command),
            env={**os.environ, **GIT_ENVIRONMENT},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            _, said = await process.communicate()
        finally:
            await end_child(process)
        if process.returncode:
            # A push held the lock; the next packing includes these refs.
            logger.debug("cannot tidy up %s: %s", repository, said.decode(errors="replace").strip())
