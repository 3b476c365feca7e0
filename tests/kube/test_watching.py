"""The watch against a real API server: restarts, expiry, silence, size."""

import asyncio
import functools
import json
import tracemalloc
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import aiohttp
import pytest

from porchflow.kube.client import KubeClient
from porchflow.kube.errors import Expired, KubeError
from porchflow.kube.kinds import CONFIGMAPS
from porchflow.kube.watching import Listed, WatchState, WatchTimings, _Watch, watch_objects
from tests.kube.helpers import (
    QUICK,
    WIDGET_CRD,
    WIDGETS,
    Follower,
    install_crd,
    kubeconfig_for,
    widget,
)
from tests.kube.proxy import tcp_proxy
from tests.servers.waiting import eventually


async def test_list_then_changes(api: KubeClient, namespace: str) -> None:
    await api.create(WIDGETS, widget(namespace, "a", size=1))
    async with Follower(api, WIDGETS, namespace) as follower:
        await eventually(lambda: follower.lists == 1, what="the list")
        await api.create(WIDGETS, widget(namespace, "b"))
        await api.merge_patch(WIDGETS, namespace, "a", {"spec": {"size": 2}})
        await api.delete(WIDGETS, namespace, "b")
        await eventually(lambda: follower.log[-1] == "DELETED b", what="the deletion")
    assert follower.log == ["LISTED a", "ADDED b", "MODIFIED a", "DELETED b"]
    assert follower.objects["a"]["spec"] == {"size": 2}


class CountingClient(KubeClient):
    """Counts the watch requests."""

    watches = 0

    def watch(self, *arguments: Any, **options: Any) -> Any:
        self.watches += 1
        return super().watch(*arguments, **options)


async def test_a_watch_that_the_server_ends_goes_on(api: KubeClient, namespace: str, control_plane: Any) -> None:
    timings = WatchTimings(inactivity=5.0, request=1.0, first_delay=0.01, longest_delay=0.02)
    async with (
        await CountingClient.connect(control_plane.kubeconfig) as client,
        Follower(client, WIDGETS, namespace, timings=timings) as follower,
    ):
        for number in range(4):
            await eventually(lambda n=number: client.watches > n, what="another watch request")
            await api.create(WIDGETS, widget(namespace, f"w{number}"))
            await eventually(lambda n=number: f"w{n}" in follower.names, what="the event")
    assert follower.lists == 1
    assert follower.log == [f"ADDED w{number}" for number in range(4)]


async def _write_until_told(client: KubeClient, namespace: str, stop: asyncio.Event, written: dict[str, int]) -> None:
    number = 0
    while not stop.is_set():
        name = f"w{number % 20}"
        try:
            if number % 5 == 4 and name in written:
                await client.delete(WIDGETS, namespace, name)
                written.pop(name)
            else:
                await client.apply(WIDGETS, widget(namespace, name, size=number), field_manager="writer")
                written[name] = number
        except KubeError:
            await asyncio.sleep(0.05)
            continue
        number += 1


async def test_a_restart_of_the_api_server_loses_nothing(restartable_control_plane: Any) -> None:
    plane = restartable_control_plane
    async with await KubeClient.connect(plane.kubeconfig) as client:
        await install_crd(client, WIDGET_CRD, WIDGETS)
        stop, written = asyncio.Event(), dict[str, int]()
        async with Follower(client, WIDGETS, "default") as follower:
            writer = asyncio.create_task(_write_until_told(client, "default", stop, written))
            await eventually(lambda: len(follower.log) > 30, what="events before the restart")
            for _ in range(2):
                await plane.stop_apiserver()
                seen = len(follower.log)
                await plane.start_apiserver()
                await eventually(lambda s=seen: len(follower.log) > s + 30, what="events after the restart")
            stop.set()
            await writer

            async def agrees() -> bool:
                items = (await client.list_page(WIDGETS, "default")).items
                truth = {o["metadata"]["name"]: o["metadata"]["resourceVersion"] for o in items}
                return truth == {name: o["metadata"]["resourceVersion"] for name, o in follower.objects.items()}

            await eventually(agrees, what="the watch knows what the API server has")
    assert {name: o["spec"]["size"] for name, o in follower.objects.items()} == written


async def _compact(etcd_url: str, revision: int) -> None:
    async with aiohttp.ClientSession() as session:
        answer = await session.post(f"{etcd_url}/v3/kv/compaction", json={"revision": str(revision), "physical": True})
        assert answer.status == 200, await answer.text()


def _watch(client: KubeClient, namespace: str) -> _Watch:
    return _Watch(
        client=client,
        resource=WIDGETS,
        namespace=namespace,
        selectors={"labelSelector": "", "fieldSelector": ""},
        project=lambda obj: obj,
        timings=QUICK,
        state=WatchState("widgets"),
    )


async def _first_answer(api: KubeClient, namespace: str, version: str) -> int:
    """Return the code of the refusal, which comes as the answer or as an event."""
    try:
        async with api.watch(WIDGETS, namespace, {"resourceVersion": version}, inactivity_timeout=5) as body:
            return int(json.loads(await body.readline())["object"]["code"])
    except Expired as error:
        return error.code


async def test_an_expired_version_is_answered_by_a_list(api: KubeClient, namespace: str) -> None:
    await api.create(WIDGETS, widget(namespace, "a"))
    # The version of the very first write to etcd is older than anything an API server keeps.
    assert await _first_answer(api, namespace, version="1") == 410
    watch = _watch(api, namespace)
    watch._version = "1"
    events = watch.run()
    kinds = [type(await anext(events)).__name__ for _ in range(3)]
    assert kinds == ["ListStarted", "Listed", "ListEnd"]
    await api.create(WIDGETS, widget(namespace, "b"))
    assert (await anext(events)).object["metadata"]["name"] == "b"
    await events.aclose()


async def test_a_list_whose_token_etcd_compacted_away_still_comes_to_an_end(restartable_control_plane: Any) -> None:
    plane = restartable_control_plane
    async with await KubeClient.connect(plane.kubeconfig) as client:
        for number in range(6):
            await client.create(CONFIGMAPS, {"metadata": {"namespace": "default", "name": f"c{number}"}})
        names: list[str] = []
        async for obj in client.list_all(CONFIGMAPS, "default", limit=2):
            names.append(obj["metadata"]["name"])
            if len(names) == 2:
                written = await client.create(CONFIGMAPS, {"metadata": {"namespace": "default", "name": "d"}})
                await plane.stop_apiserver()
                await _compact(plane.etcd_url, int(written["metadata"]["resourceVersion"]))
                await plane.start_apiserver()
    assert names == [*(f"c{number}" for number in range(6)), "d"]


async def test_a_connection_that_went_silent_is_replaced(
    api: KubeClient, namespace: str, control_plane: Any, tmp_path: Path
) -> None:
    address = urlparse(api.host)
    async with tcp_proxy(str(address.hostname), int(address.port or 443)) as proxy:
        kubeconfig = kubeconfig_for(f"https://127.0.0.1:{proxy.port}", tmp_path, like=control_plane.kubeconfig)
        timings = WatchTimings(inactivity=1.0, request=60.0, first_delay=0.05, longest_delay=0.2)
        async with (
            await KubeClient.connect(kubeconfig, request_timeout=1.0) as client,
            Follower(client, WIDGETS, namespace, timings=timings) as follower,
        ):
            await eventually(lambda: follower.lists > 0, what="the list")
            await api.create(WIDGETS, widget(namespace, "before"))
            await eventually(lambda: "before" in follower.names, what="the first event")
            proxy.silence()
            await api.create(WIDGETS, widget(namespace, "during"))
            connections = proxy.accepted
            await eventually(lambda: proxy.accepted > connections, what="another connection")
            proxy.resume()
            await eventually(lambda: "during" in follower.names, what="the event of the silent time")
            proxy.cut()
            await api.create(WIDGETS, widget(namespace, "after"))
            await eventually(lambda: "after" in follower.names, what="the event after the cut")


async def test_a_large_list_takes_the_memory_of_a_page(
    api: KubeClient, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """4 MiB of objects in pages of 10: what is held stays near one page, whoever keeps only names."""
    payload = "x" * 20_000
    for start in range(0, 200, 20):
        await asyncio.gather(
            *(
                api.create(
                    CONFIGMAPS, {"metadata": {"namespace": namespace, "name": f"c{n:03}"}, "data": {"text": payload}}
                )
                for n in range(start, start + 20)
            )
        )

    list_page = api.list_page

    async def peak(page_size: int) -> tuple[int, int]:
        monkeypatch.setattr(api, "list_page", functools.partial(list_page, limit=page_size))
        tracemalloc.start()
        try:
            count = 0
            events = watch_objects(api, CONFIGMAPS, namespace, project=lambda o: {"name": o["metadata"]["name"]})
            async for event in events:
                if not isinstance(event, Listed):
                    if count:
                        break
                    continue
                count += 1
            await events.aclose()
            return count, tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    (count, paged), (_, whole) = await peak(10), await peak(1000)
    page_bytes = 10 * len(payload)
    assert count == 200
    assert paged < 6 * page_bytes + 500_000
    assert whole > 200 * len(payload), "the measurement can tell the difference"
