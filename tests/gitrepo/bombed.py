"""A process that fetches a delta bomb, and prints by how many bytes that made it larger."""

import asyncio
import resource
import subprocess
import sys
from pathlib import Path

from porchflow.gitrepo.errors import GitQuotaExceeded
from porchflow.gitrepo.remote.transport import Transport
from tests.gitrepo.remote.test_attacks import answering, delta_bomb, fetched, sending


def _largest() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


async def _measure(folder: Path, repository: Path) -> int:
    async with answering(sending(delta_bomb(70))) as url:
        before = _largest()
        try:
            await fetched(Transport(folder / "connections"), url, repository)
        except GitQuotaExceeded:
            return _largest() - before
    raise AssertionError("the bomb was taken in")


if __name__ == "__main__":
    bare = Path(sys.argv[1]) / "local.git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(bare)], check=True)
    sys.stdout.write(f"{asyncio.run(_measure(bare.parent, bare))}\n")
