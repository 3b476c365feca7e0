"""The watch against answers that a healthy API server does not give at will."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from porchflow.kube.client import KubeClient
from porchflow.kube.watching import (
    Changed,
    Deleted,
    Listed,
    ListEnd,
    ListStarted,
    WatchState,
    WatchTimings,
    watch_objects,
)
from tests.kube.helpers import WIDGETS, collect, kubeconfig_for
from tests.kube.scripted import EXPIRED, ScriptedServer, event, failing, listing, obj, scripted_server, watching
from tests.servers.waiting import eventually

_FAST = WatchTimings(inactivity=0.5, request=20.0, first_delay=0.001, longest_delay=0.002)


@pytest.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as running:
        running.lists = [listing(10)]
        running.watches = [watching(stay=True)]
        yield running


@pytest.fixture
async def client(server: ScriptedServer, tmp_path: Path) -> AsyncIterator[KubeClient]:
    async with await KubeClient.connect(kubeconfig_for(server.url, tmp_path)) as connected:
        yield connected


async def _first(client: KubeClient, count: int, **options: Any) -> list[Any]:
    options.setdefault("timings", _FAST)
    async with contextlib.aclosing(watch_objects(client, WIDGETS, "test", **options)) as events:
        return await collect(events, count)


async def test_the_watch_starts_from_the_lists_version_not_from_an_objects(
    client: KubeClient, server: ScriptedServer
) -> None:
    server.lists = [listing(10, obj("a", 7))]
    server.watches = [watching(event("ADDED", obj("b", 11)), stay=True)]
    events = await _first(client, 4)
    assert [type(e) for e in events] == [ListStarted, Listed, ListEnd, Changed]
    assert server.watched_from() == ["10"]
    watch = next(r for r in server.requests if r.query.get("watch"))
    assert watch.query["allowWatchBookmarks"] == "true"
    assert 20 <= int(watch.query["timeoutSeconds"]) <= 40


async def test_pages_are_asked_for_one_after_the_other(client: KubeClient, server: ScriptedServer) -> None:
    server.lists = [listing(10, obj("a", 1), token="more"), listing(10, obj("b", 2))]
    events = await _first(client, 4)
    assert [e.object["metadata"]["name"] for e in events[1:3]] == ["a", "b"]
    assert [(r.query.get("limit"), r.query.get("continue")) for r in server.requests[:2]] == [
        ("500", None),
        ("500", "more"),
    ]


async def test_an_ended_watch_goes_on_from_the_last_version_bookmarks_included(
    client: KubeClient, server: ScriptedServer
) -> None:
    server.watches = [
        watching(event("ADDED", obj("a", 11)), event("BOOKMARK", obj("", 19))),
        watching(event("DELETED", obj("a", 20)), stay=True),
    ]
    events = await _first(client, 4)
    assert [type(e) for e in events[2:]] == [Changed, Deleted]
    assert server.watched_from() == ["10", "19"]
    assert server.listed == 1


@pytest.mark.parametrize(
    "answer",
    [
        watching(EXPIRED),
        failing(410, "Expired"),
        watching(event("ERROR", {"kind": "Status", "code": 500, "message": "etcd event received with PrevKv=nil"})),
        failing(400, "BadRequest"),
        failing(404, "NotFound"),
    ],
    ids=["410 as an event", "410 as the answer", "another ERROR event", "a version that is refused", "not served"],
)
async def test_lists_again_where_the_version_cannot_be_used(
    client: KubeClient, server: ScriptedServer, answer: Any
) -> None:
    server.lists = [listing(10), listing(30, obj("a", 25))]
    server.watches = [answer, watching(stay=True)]
    events = await _first(client, 5)
    assert [type(e) for e in events] == [ListStarted, ListEnd, ListStarted, Listed, ListEnd]
    await eventually(lambda: server.watched_from() == ["10"], what="one watch so far")


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let no watch wait, and tell how long each wait would have been."""
    taken: list[float] = []

    async def sleep(seconds: float) -> None:
        taken.append(seconds)
        await asyncio.sleep(0)

    monkeypatch.setattr("porchflow.kube.watching.sleep", sleep)
    return taken


async def test_expiry_after_every_event_does_not_spin(
    client: KubeClient, server: ScriptedServer, pauses: list[float]
) -> None:
    server.watches = [watching(event("MODIFIED", obj("a", 11)), EXPIRED)]
    await _first(client, 3 * 6, timings=WatchTimings(first_delay=1.0, longest_delay=4.0))
    assert server.listed == 6
    assert all(low <= pause <= 3 * low for pause, low in zip(pauses, (0.5, 1.0, 2.0, 2.0, 2.0), strict=True))


@pytest.mark.parametrize(
    "broken",
    [
        b'{"type": "ADDED", "object": {"metadata"\n',
        b'{"type": "ADDED"}\n',
        b"[]\n",
        b'{"type": "ADDED", "object": {"metadata": {"name": "cut", "resourceVersion": "12"}}}',
    ],
    ids=["no JSON", "no object", "no event", "cut off"],
)
async def test_a_broken_line_costs_a_reconnect_and_nothing_else(
    client: KubeClient, server: ScriptedServer, broken: bytes
) -> None:
    server.watches = [
        watching(event("ADDED", obj("a", 11)), b"\n", broken),
        watching(event("ADDED", obj("b", 12)), stay=True),
    ]
    events = await _first(client, 4)
    assert [e.object["metadata"]["name"] for e in events[2:]] == ["a", "b"]
    assert server.watched_from() == ["10", "11"]


async def test_an_event_of_unknown_type_is_skipped(
    client: KubeClient, server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.watches = [watching(event("RENAMED", obj("a", 11)), event("ADDED", obj("b", 12)), stay=True)]
    events = await _first(client, 3)
    assert events[2] == Changed("ADDED", obj("b", 12))
    assert "unknown type 'RENAMED'" in caplog.text


async def test_busy_means_waiting_as_long_as_the_server_says(
    client: KubeClient, server: ScriptedServer, pauses: list[float]
) -> None:
    busy = failing(429, "TooManyRequests", headers={"Retry-After": "17"})
    server.lists, server.watches = [busy, listing(10)], [busy, watching(event("ADDED", obj("a", 11)), stay=True)]
    await _first(client, 3)
    assert pauses == [17.0, 17.0]
    assert server.watched_from() == ["10", "10"]


async def test_a_line_of_several_megabytes_is_read(client: KubeClient, server: ScriptedServer) -> None:
    text = "é" * (4 * 2**20)
    server.watches = [watching(event("ADDED", obj("big", 11, data=text)), stay=True)]
    events = await _first(client, 3)
    assert events[2].object["data"] == text


async def test_projection_sees_each_object_before_anybody_else(client: KubeClient, server: ScriptedServer) -> None:
    server.lists = [listing(10, obj("a", 1, data="much"))]
    server.watches = [watching(event("ADDED", obj("b", 11, data="much")), event("DELETED", obj("b", 12)), stay=True)]
    events = await _first(client, 5, project=lambda whole: {"name": whole["metadata"]["name"]})
    assert [e.object for e in (events[1], *events[3:])] == [{"name": "a"}, {"name": "b"}, {"name": "b"}]


async def test_silence_costs_a_connection_and_is_no_failure(
    client: KubeClient, server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.watches = [watching(stay=True)] * 5 + [watching(event("ADDED", obj("a", 11)), stay=True)]
    timings = WatchTimings(inactivity=0.1, first_delay=1000.0, longest_delay=1000.0)
    events = await _first(client, 3, timings=timings)
    assert events[2] == Changed("ADDED", obj("a", 11))
    assert server.watched_from() == ["10"] * 6
    assert server.listed == 1
    assert not [record for record in caplog.records if record.name == "porchflow.kube.watching"]


async def test_a_server_that_takes_connections_and_says_nothing_is_a_failure(
    client: KubeClient, server: ScriptedServer
) -> None:
    async def silent(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        raise AssertionError

    server.watches = [silent, watching(event("ADDED", obj("a", 11)), stay=True)]
    state = WatchState("things")
    timings = WatchTimings(inactivity=0.1, first_delay=1000.0, longest_delay=1000.0)
    async with contextlib.aclosing(watch_objects(client, WIDGETS, "test", timings=timings, state=state)) as events:
        await collect(events, 2)
        waiting = asyncio.ensure_future(anext(events))
        await eventually(lambda: state.error, what="the failure")
        assert "did not answer in time" in state.error
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def test_a_watch_that_gets_nowhere_is_replaced_by_a_list(client: KubeClient, server: ScriptedServer) -> None:
    server.watches = [failing(500), failing(503), watching(), watching(stay=True)]
    events = await _first(client, 4)
    assert [type(e) for e in events] == [ListStarted, ListEnd, ListStarted, ListEnd]
    assert server.watched_from() == ["10", "10", "10"]


async def test_lists_again_after_the_set_time(client: KubeClient, server: ScriptedServer) -> None:
    server.watches = [watching()]
    timings = WatchTimings(relist=0.01, first_delay=0.001, longest_delay=0.002)
    events = await _first(client, 4, timings=timings)
    assert [type(e) for e in events] == [ListStarted, ListEnd, ListStarted, ListEnd]
    assert [r.query.get("timeoutSeconds") for r in server.requests] == [None, "1", None]


async def test_a_list_that_expires_between_pages_starts_over(client: KubeClient, server: ScriptedServer) -> None:
    server.lists = [
        listing(10, obj("a", 1), token="more"),
        failing(410, "Expired", metadata={"continue": "newer"}),
        listing(20, obj("a", 1)),
    ]
    events = await _first(client, 5)
    assert [type(e) for e in events] == [ListStarted, Listed, ListStarted, Listed, ListEnd]
    assert server.requests[2].query.get("continue") is None


async def test_loss_and_recovery_are_told_once_each(
    client: KubeClient, server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="porchflow.kube.watching")
    state = WatchState("things")
    server.lists = [*[failing(503)] * 5, *[failing(403, "Forbidden")] * 3, listing(10)]
    await _first(client, 2, state=state)
    assert [(r.levelname, r.message.split(":")[0]) for r in caplog.records if r.name == "porchflow.kube.watching"] == [
        ("WARNING", "cannot watch things, trying until it works"),
        ("WARNING", "cannot watch things, trying until it works"),
        ("INFO", "watching things again"),
    ]
    assert (state.listed, state.error) == (True, "")


async def test_list_all_goes_on_with_the_token_that_the_expired_list_offers(
    client: KubeClient, server: ScriptedServer
) -> None:
    server.lists = [
        listing(10, obj("a", 1), token="old"),
        failing(410, "Expired", metadata={"continue": "newer"}),
        listing(20, obj("b", 2)),
    ]
    names = [o["metadata"]["name"] async for o in client.list_all(WIDGETS, "test", limit=1)]
    assert names == ["a", "b"]
    assert server.requests[2].query["continue"] == "newer"
