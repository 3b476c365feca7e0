"""Whether servers can apply a push as a whole; what that is worth, test_late_pushes shows."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from porchflow.gitrepo.remote.transport import Transport
from tests.gitrepo.conftest import Served


async def test_each_connection_hears_its_own_server(
    ready: Served, new_repository: Callable[[], Served], tmp_path: Path
) -> None:
    other = new_repository()
    other.git("config", "receive.advertiseAtomic", "false")

    transport = Transport(tmp_path / "connections")

    def look(served: Served) -> bool:
        with transport.open_push(served.remote) as session:
            return session.takes_whole

    for served, wanted in ((ready, True), (other, False), (ready, True)):
        assert await asyncio.to_thread(look, served) is wanted
