"""Pushes that forges tell about, over HTTP."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestClient, TestServer
from pydantic import SecretStr

from porchflow.devstack.processes import HOST, free_port
from porchflow.kube.client import KubeClient
from porchflow.kube.following import Key
from porchflow.kube.kinds import REPOSITORIES
from porchflow.watcher.indexes.places import Places
from porchflow.watcher.watcher_settings import WatcherSettings
from porchflow.watcher.webhooks.endpoint import Webhooks
from tests.servers.waiting import eventually
from tests.watcher import forges
from tests.watcher.forges import SECRET, Request, gitea, github, gitlab, signature
from tests.watcher.objects import repository
from tests.watcher.signallers import RecordingSchedules, RecordingSignaller
from tests.watcher.test_packagerevisions import watching


class Endpoint:
    def __init__(self, client: TestClient[Any, Any], synced: list[Key], places: Places) -> None:
        self.client = client
        self.synced = synced
        self.places = places

    def register(self, name: str, url: str, branch: str = "main") -> None:
        registered = repository("ns", name, branch)
        registered["spec"]["git"]["repo"] = url
        self.places.note(registered)

    async def post(self, request: Request, path: str = "/webhooks") -> tuple[int, dict[str, Any]]:
        headers, body = request
        headers = {"Content-Type": "application/json", **headers}
        async with self.client.post(path, data=body, headers=headers) as response:
            return response.status, await response.json()


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    synced: list[Key] = []
    places = Places()
    webhooks = Webhooks(["an-old-secret-of-it", SECRET], places, synced.append, spacing=0.0)
    async with TestClient(TestServer(webhooks.application())) as client:
        endpoint = Endpoint(client, synced, places)
        endpoint.register("https", f"https://{forges.HOST}/shop/packages.git")
        endpoint.register("ssh", f"git@{forges.HOST}:shop/packages.git")
        endpoint.register("ssh-2222", f"ssh://git@{forges.HOST}:2222/shop/packages")
        endpoint.register("http-3000", f"http://{forges.HOST}:3000/shop/packages")
        endpoint.register("stable", f"https://{forges.HOST}/shop/packages", branch="stable")
        endpoint.register("other", f"https://{forges.HOST}/shop/other.git")
        yield endpoint
    webhooks.close()


@pytest.mark.parametrize(
    ("make", "names"),
    [(github, ["https", "ssh"]), (gitlab, ["https", "ssh-2222"]), (gitea, ["http-3000", "ssh"])],
)
async def test_a_push_syncs_the_repositories_at_its_addresses(
    endpoint: Endpoint, make: Callable[..., Request], names: list[str]
) -> None:
    status, answer = await endpoint.post(make())
    assert (status, sorted(answer["synced"])) == (202, [f"ns/{name}" for name in names])
    assert sorted(endpoint.synced) == [("ns", name) for name in names]
    endpoint.synced.clear()
    for ref in ("refs/heads/drafts/web/v1", "refs/tags/web/v1"):
        status, answer = await endpoint.post(make(ref))
        assert {("ns", name) for name in names} <= set(endpoint.synced)
    endpoint.synced.clear()
    for request in (make("refs/heads/feature"), make(path="shop/unknown")):
        status, answer = await endpoint.post(request)
        assert (status, answer["synced"], endpoint.synced) == (200, [], [])
        assert "no Repository at one of these addresses" in answer["message"]


async def test_other_events_of_pushes(endpoint: Endpoint) -> None:
    for request in (
        gitlab("refs/tags/web/v1", event="Tag Push Hook"),
        gitlab(event="System Hook"),
        gitlab("refs/tags/web/v1", event="System Hook"),
        gitea("web/v1", event="delete", ref_type="tag"),
        gitea("drafts/web/v1", event="delete", ref_type="branch"),
    ):
        status, _ = await endpoint.post(request)
        assert status == 202


async def test_events_that_say_of_no_push(endpoint: Endpoint) -> None:
    for request in (github(event="ping"), github(event="issues"), gitlab(event="Merge Request Hook")):
        status, answer = await endpoint.post(request)
        assert (status, answer) == (200, {"synced": [], "message": "this event is not a push"})
    assert not endpoint.synced


async def test_a_request_for_one_repository(endpoint: Endpoint) -> None:
    """For servers whose own idea of their address is not how porchflow reaches them."""
    elsewhere = github(path="shop/elsewhere")
    assert (await endpoint.post(elsewhere, "/webhooks/ns/https"))[0] == 202
    assert endpoint.synced == [("ns", "https")]
    assert (await endpoint.post(elsewhere, "/webhooks/ns/unknown"))[1]["synced"] == []
    assert (await endpoint.post(github("refs/heads/feature"), "/webhooks/ns/https"))[1]["synced"] == []


def signed(headers: dict[str, str], body: bytes) -> Request:
    return {"X-Hub-Signature-256": "sha256=" + signature(body), **headers}, body


@pytest.mark.parametrize(
    ("request_", "status", "told"),
    [
        (({"X-GitHub-Event": "push"}, github()[1]), 401, "no signature and no token"),
        (({**github()[0], "X-Hub-Signature-256": "sha256=" + "0" * 64}, github()[1]), 401, "PORCHFLOW_WEBHOOK_SECRET"),
        (({**github()[0], "X-Hub-Signature-256": "sha256="}, github()[1]), 401, "no signature"),
        (({**github()[0], "X-Hub-Signature-256": "\u00ff"}, github()[1]), 401, "PORCHFLOW_WEBHOOK_SECRET"),
        ((github()[0], github()[1] + b" "), 401, "PORCHFLOW_WEBHOOK_SECRET"),
        (({**gitlab()[0], "X-Gitlab-Token": SECRET[:-1]}, gitlab()[1]), 401, "PORCHFLOW_WEBHOOK_SECRET"),
        (({**gitlab()[0], "X-Gitlab-Token": ""}, gitlab()[1]), 401, "PORCHFLOW_WEBHOOK_SECRET"),
        (signed({}, github()[1]), 400, "porchflow accepts no other webhooks"),
        (signed({"X-GitHub-Event": "push"}, b"{"), 400, "no JSON"),
        (signed({"X-GitHub-Event": "push"}, b"\xff\xfe"), 400, "no JSON"),
        (signed({"X-GitHub-Event": "push"}, b"[" * 100_000), 400, "no JSON"),
        (signed({"X-GitHub-Event": "push"}, b"[]"), 400, "no JSON object"),
        (signed({"X-GitHub-Event": "push"}, b"{}"), 400, "without ref"),
        (signed({"X-GitHub-Event": "push"}, b'{"ref": 1}'), 400, "without ref"),
        (signed({"X-GitHub-Event": "push"}, b'{"ref": "refs/heads/main"}'), 400, "without the repository's addresses"),
        (
            signed({"X-GitHub-Event": "push"}, b'{"ref": "refs/heads/main", "repository": {"url": 1}, "project": 2}'),
            400,
            "without the repository's addresses",
        ),
        (
            signed({"X-GitHub-Event": "push", "Content-Type": "application/x-www-form-urlencoded"}, b"payload=x"),
            415,
            "content type of the webhook to application/json",
        ),
        (signed({"X-GitHub-Event": "push"}, b" " * (5 * 1024 * 1024 + 1)), 413, "the regular sync"),
    ],
)
async def test_bad_requests(
    endpoint: Endpoint, caplog: pytest.LogCaptureFixture, request_: Request, status: int, told: str
) -> None:
    with caplog.at_level(logging.DEBUG):
        got, answer = await endpoint.post(request_)
    assert (got, endpoint.synced) == (status, [])
    assert told in answer["error"]
    assert told in caplog.text
    for secret in (SECRET, "an-old-secret-of-it", SECRET[:-1]):
        assert secret not in caplog.text + json.dumps(answer)


async def test_an_older_secret_still_works(endpoint: Endpoint) -> None:
    headers, body = github()
    headers["X-Hub-Signature-256"] = "sha256=" + signature(body, "an-old-secret-of-it")
    assert (await endpoint.post((headers, body)))[0] == 202
    assert "an-old" not in repr(WatcherSettings(webhook_secret=SecretStr("an-old-secret-of-it")))


async def test_only_post(endpoint: Endpoint) -> None:
    async with endpoint.client.get("/webhooks") as response:
        assert response.status == 405
    async with endpoint.client.post("/") as response:
        assert response.status == 404


async def test_a_burst_makes_two_syncs() -> None:
    """One at once, and one after the last push; a request that is sent again asks for nothing more."""
    synced: list[Key] = []
    places = Places()
    registered = repository("ns", "mine")
    registered["spec"]["git"]["repo"] = f"https://{forges.HOST}/shop/packages"
    places.note(registered)
    webhooks = Webhooks([SECRET], places, synced.append, spacing=0.5)
    async with TestClient(TestServer(webhooks.application())) as client:
        endpoint = Endpoint(client, synced, places)
        first = asyncio.create_task(endpoint.post(github()))
        await asyncio.gather(first, *(endpoint.post(github()) for _ in range(20)))
        await eventually(lambda: len(synced) >= 2, what="the second sync")
    webhooks.close()
    assert synced == [("ns", "mine")] * 2


async def test_in_the_watcher(kube: KubeClient, namespace: str) -> None:
    """From a request at the port to the trigger of the Repository's schedule."""
    body = repository(namespace, "mine")
    body["spec"]["git"]["repo"] = f"https://{forges.HOST}/shop/packages.git"
    await kube.create(REPOSITORIES, body)
    schedules = RecordingSchedules()
    address = f"{HOST}:{free_port()}"
    webhooks = {"webhook_address": address, "webhook_secret": SecretStr(SECRET)}
    async with watching(kube, RecordingSignaller(), namespace, schedules, **webhooks), ClientSession() as client:
        await eventually(lambda: ((namespace, "mine"), False) in schedules.triggered, what="the first sync")
        schedules.triggered.clear()
        headers, payload = gitea(path="shop/packages")
        async with client.post(
            f"http://{address}/webhooks/{namespace}/mine", data=payload, headers=headers
        ) as response:
            assert response.status == 202
        await eventually(lambda: schedules.triggered == [((namespace, "mine"), False)], what="a sync")
