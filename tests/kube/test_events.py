"""Events as kubectl shows them."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from porchflow.kube.client import KubeClient, Object
from porchflow.kube.events import EventRecorder
from porchflow.kube.kinds import EVENTS, Resource
from tests.kube.helpers import WIDGETS, kubeconfig_for, widget
from tests.kube.scripted import failing, scripted_server
from tests.servers.waiting import eventually

EVENTS_V1 = Resource("events.k8s.io", "v1", "events", "Event")
ENDLESS = 10.0**9
"""Seconds of a window so long that no test crosses its end."""


async def _kubectl(kubeconfig: Path, *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        "kubectl", "--kubeconfig", str(kubeconfig), *arguments, stdout=-1, stderr=-1
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


async def _events(api: KubeClient, namespace: str) -> list[Object]:
    return (await api.list_page(EVENTS, namespace)).items


async def test_equal_events_are_folded_and_kubectl_describe_shows_them(
    api: KubeClient, namespace: str, control_plane: Any
) -> None:
    obj = await api.create(WIDGETS, widget(namespace, "w"))
    recorder = EventRecorder(api, fold_seconds=ENDLESS)
    for _ in range(5):
        recorder.record(obj, "Warning", "GitAuthFailed", "the password was refused; renew Secret git-auth")
    recorder.record(obj, "Normal", "Published", "published as v1", "Publish")
    await eventually(recorder._queue.empty, what="events are taken")
    for _ in range(2):
        recorder.record(obj, "Warning", "GitAuthFailed", "the password was refused; renew Secret git-auth")
    await recorder.aclose()

    events = {event["reason"]: event for event in await _events(api, namespace)}
    assert set(events) == {"GitAuthFailed", "Published"}
    assert (events["GitAuthFailed"]["count"], events["Published"]["count"]) == (7, 1)
    assert events["Published"]["action"] == "Publish"
    assert events["Published"]["involvedObject"]["uid"] == obj["metadata"]["uid"]
    assert events["Published"]["source"] == {"component": "porchflow"}

    described = await _kubectl(control_plane.kubeconfig, "describe", "widget", "w", "-n", namespace)
    assert "Warning  GitAuthFailed" in described
    assert "(x7 over" in described
    assert "published as v1" in described


async def test_another_process_counts_up_the_same_event(api: KubeClient, namespace: str) -> None:
    obj = await api.create(WIDGETS, widget(namespace, "w"))
    for _ in range(2):
        recorder = EventRecorder(api, fold_seconds=ENDLESS)
        recorder.record(obj, "Normal", "Ready", "done")
        recorder.record(obj, "Normal", "Ready", "done")
        await recorder.aclose()
    assert [event["count"] for event in await _events(api, namespace)] == [4]


async def test_different_events_are_not_folded(api: KubeClient, namespace: str) -> None:
    obj = await api.create(WIDGETS, widget(namespace, "w"))
    other = {**obj, "metadata": {**obj["metadata"], "uid": "another-object-of-that-name"}}
    recorder = EventRecorder(api)
    recorder.record(obj, "Normal", "Ready", "done")
    recorder.record(obj, "Normal", "Ready", "done again")
    recorder.record(obj, "Warning", "Ready", "done")
    recorder.record(obj, "Normal", "Rendered", "done")
    recorder.record(other, "Normal", "Ready", "done")
    await recorder.aclose()
    assert len(await _events(api, namespace)) == 5


async def test_an_event_that_was_deleted_is_made_anew(api: KubeClient, namespace: str) -> None:
    obj = await api.create(WIDGETS, widget(namespace, "w"))
    recorder = EventRecorder(api, fold_seconds=ENDLESS)
    recorder.record(obj, "Normal", "Ready", "done")

    async def written() -> list[Object]:
        return await _events(api, namespace)

    (event,) = await eventually(written, what="the event is written")
    await api.delete(EVENTS, namespace, event["metadata"]["name"])
    recorder.record(obj, "Normal", "Ready", "done")
    await recorder.aclose()
    assert [event["count"] for event in await _events(api, namespace)] == [2]


async def test_messages_are_bounded_and_a_flat_reference_will_do(api: KubeClient, namespace: str) -> None:
    reference = {
        "apiVersion": WIDGETS.api_version,
        "kind": "Widget",
        "namespace": namespace,
        "name": "x" * 199 + "-.y",
        "uid": "u1",
    }
    recorder = EventRecorder(api)
    recorder.record(reference, "Normal", "Ready", "m" * 1025)
    await recorder.aclose()
    (event,) = await _events(api, namespace)
    assert event["message"] == "m" * 1021 + "…"
    assert event["involvedObject"]["uid"] == "u1"


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("ü" * 512, "ü" * 512),
        ("m" + "ü" * 512, "m" + "ü" * 510 + "…"),
        ("ü" * 513, "ü" * 510 + "…"),
        ("cannot read a\udcff.yaml", "cannot read a?.yaml"),
    ],
)
async def test_what_counts_is_the_bytes_of_a_message(api: KubeClient, namespace: str, message: str, told: str) -> None:
    recorder = EventRecorder(api)
    recorder.record(await api.create(WIDGETS, widget(namespace, "w")), "Warning", "InvalidPackage", message)
    await recorder.aclose()
    (event,) = await _events(api, namespace)
    assert event["message"] == told
    seen = await api.get(EVENTS_V1, namespace, event["metadata"]["name"])
    assert seen["note"] == told


async def test_a_failing_api_server_is_tried_a_few_times_and_never_felt(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("porchflow.kube.events._FIRST_DELAY", 0.001)
    caplog.set_level(logging.WARNING, logger="porchflow.kube.events")
    async with scripted_server() as server:
        server.lists = [failing(503)]
        async with await KubeClient.connect(kubeconfig_for(server.url, tmp_path)) as client:
            recorder = EventRecorder(client)
            recorder.record(widget("ns", "w"), "Normal", "Ready", "done")
            await recorder.aclose()
        assert len(server.requests) == 4
    assert "gave up on the Event Ready (done) on w: events ns/w." in caplog.text


async def test_an_event_that_is_refused_is_not_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with scripted_server() as server:
        server.lists = [failing(403, "Forbidden")]
        async with await KubeClient.connect(kubeconfig_for(server.url, tmp_path)) as client:
            recorder = EventRecorder(client)
            recorder.record(widget("ns", "w"), "Normal", "Ready", "done")
            await recorder.aclose()
        assert len(server.requests) == 1
    assert "cannot write the Event Ready (done) on w" in caplog.text


async def test_too_many_events_are_dropped_not_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("porchflow.kube.events._QUEUE_LIMIT", 3)
    monkeypatch.setattr("porchflow.kube.events._REMEMBERED", 5)
    async with scripted_server() as server:
        server.lists = [failing(403, "Forbidden")]
        async with await KubeClient.connect(kubeconfig_for(server.url, tmp_path)) as client:
            recorder = EventRecorder(client)
            for number in range(10):
                recorder.record(widget("ns", "w"), "Normal", "Ready", f"message {number}")
            assert len(recorder._seen) == 5
            await recorder.aclose()
        assert len(server.requests) == 3
    assert "too many Events wait; dropped: Event Ready (message 9) on w" in caplog.text
