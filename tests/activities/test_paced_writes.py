"""Writes keep to the pace of the API server."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from porchflow.activities.sync.paced_writes import Write, Writer
from porchflow.kube.errors import Invalid, KubeUnavailable, TooManyRequests


class Server:
    """Counts writes and fails as it is told."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.taken: list[int] = []
        self.calls = 0
        self.at_once = 0
        self.most_at_once = 0
        self.asked = 0

    async def writes(self, count: int) -> AsyncIterator[Write]:
        for number in range(count):
            self.asked += 1
            yield lambda number=number: self._write(number)

    async def _write(self, number: int) -> None:
        self.calls += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(0)
            if self.failures:
                raise self.failures.pop(0)
            self.taken.append(number)
        finally:
            self.at_once -= 1


async def test_a_bounded_number_of_writes_is_under_way() -> None:
    server, writer = Server(), Writer(4)
    await writer.run(server.writes(100))
    assert sorted(server.taken) == list(range(100))
    assert (server.most_at_once, writer.done) == (4, 100)


async def test_a_busy_server_is_given_time_by_all() -> None:
    busy = TooManyRequests("slow down", retry_after=0.05)
    server, writer = Server(busy, busy), Writer(8)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await writer.run(server.writes(50))
    assert loop.time() - began >= 0.05
    assert sorted(server.taken) == list(range(50))
    assert server.calls == 52


async def test_a_server_that_is_away_for_a_moment_is_tried_again() -> None:
    server = Server(KubeUnavailable("gone"))
    await Writer(1).run(server.writes(3))
    assert server.taken == [0, 1, 2]


async def test_a_write_that_is_refused_ends_the_rest() -> None:
    server = Server(Invalid("no"))
    with pytest.raises(Invalid):
        await Writer(2).run(server.writes(1000))
    assert server.asked < 10, "nothing more was asked for"
