"""A push is two writes: what stops between them is mended."""

import asyncio

import pytest

from porchflow.api.names import RENDER_REQUEST_ANNOTATION
from porchflow.content.packages.render_requests import RenderRequests
from porchflow.gitrepo.git_store import GitStore
from porchflow.gitrepo.refs import PackageLocation
from porchflow.gitrepo.remote.remote import Remote
from porchflow.gitrepo.store.commit_messages import TaskType
from porchflow.gitrepo.store.trees import File
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import KubeUnavailable
from tests.content.direct import Direct
from tests.content.world import FILES, KPTFILE, Packages
from tests.servers.waiting import eventually


class OfflineRequests(RenderRequests):
    """Cannot reach the API server until told that it is there."""

    online = False
    attempts = 0

    async def _patch(self, key: tuple[str, str], commit: str) -> None:
        self.attempts += 1
        if not self.online:
            raise KubeUnavailable("no route")
        await super()._patch(key, commit)


async def _push_without_asking(git: GitStore, packages: Packages, parent: str) -> str:
    files = {path: File(text.encode()) for path, text in {**FILES, "new.txt": "new\n"}.items()}
    location = PackageLocation("", "web", "v1")
    return await git.commit_on_draft(
        Remote(packages.git.url), location, files, expected_parent=parent, task=TaskType.PUSH
    )


async def _request(packages: Packages, name: str) -> str | None:
    annotations = (await packages.object(name))["metadata"].get("annotations") or {}
    return annotations.get(RENDER_REQUEST_ANNOTATION)


async def test_the_client_that_sends_a_push_again_mends_it(direct: Direct, packages: Packages) -> None:
    name, before = await packages.draft()
    pushed = await _push_without_asking(direct.git, packages, before)
    answer = await direct.push(name, before, {**FILES, "new.txt": "new\n"})
    assert (answer.status, answer.json["metadata"]["resourceVersion"]) == (200, pushed)
    assert await _request(packages, name) == pushed


async def test_a_push_of_what_is_there_mends_it_too(direct: Direct, packages: Packages) -> None:
    name, before = await packages.draft()
    pushed = await _push_without_asking(direct.git, packages, before)
    answer = await direct.push(name, pushed, {**FILES, "new.txt": "new\n"})
    assert answer.status == 200
    assert await packages.tip("drafts/web/v1") == pushed
    assert await _request(packages, name) == pushed


async def test_asking_goes_on_until_the_api_server_answers(packages: Packages, kube: KubeClient) -> None:
    name, _ = await packages.draft()
    requests = OfflineRequests(kube, patience=0.05)
    try:
        assert not await requests.ask(packages.namespace, name, "1" * 40)
        assert not await requests.ask(packages.namespace, name, "2" * 40), "newer content replaces what waits"
        requests.online = True

        async def asked() -> bool:
            return await _request(packages, name) == "2" * 40

        await eventually(asked, what="the newest request is written")
        assert requests.attempts > 1
    finally:
        await requests.aclose()


async def test_a_push_that_cannot_ask_is_stored_and_says_so(
    direct: Direct, packages: Packages, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, before = await packages.draft()

    async def unreachable(*_: object) -> None:
        raise KubeUnavailable("no route")

    monkeypatch.setattr(RenderRequests, "_patch", unreachable)
    monkeypatch.setattr(direct.server.requests, "_patience", 0.05)
    answer = await direct.push(name, before, {"Kptfile": KPTFILE})
    assert answer.status == 200
    assert "its rendering is requested as soon as" in answer.headers["Warning"]
    assert answer.json["metadata"]["resourceVersion"] == await packages.tip("drafts/web/v1") != before
    assert await _request(packages, name) is None
    monkeypatch.undo()

    async def asked() -> bool:
        return await _request(packages, name) == answer.json["metadata"]["resourceVersion"]

    await eventually(asked, what="the request is written when the API server answers again")


async def test_a_client_that_goes_away_does_not_stop_a_push_half_way(direct: Direct, packages: Packages) -> None:
    name, before = await packages.draft()
    push = asyncio.create_task(direct.push(name, before, {"Kptfile": KPTFILE}))

    async def moved() -> bool:
        return await packages.tip("drafts/web/v1") != before

    await eventually(moved, what="the commit is made")
    push.cancel()
    await asyncio.gather(push, return_exceptions=True)
    tip = await packages.tip("drafts/web/v1")

    async def asked() -> bool:
        return await _request(packages, name) == tip

    await eventually(asked, what="its rendering is asked for")
