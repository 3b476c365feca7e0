"""Watches of package content."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from porchflow.kube.client import KubeClient
from porchflow.kube.kinds import PACKAGEREVISIONS
from tests.content.direct import ADMIN, Direct, running_direct
from tests.content.world import FILES, KPTFILE, Packages
from tests.servers.control_plane import ControlPlane
from tests.servers.waiting import eventually

TABLE = "application/json;as=Table;g=meta.k8s.io;v=v1"


class Events:
    """The events of one watch."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer

    async def next(self) -> tuple[str, dict[str, Any]]:
        line = await asyncio.wait_for(self.answer.content.readline(), 30)
        assert line, "the watch ended"
        event = json.loads(line)
        return event["type"], event["object"]

    async def ended(self) -> bool:
        return not await asyncio.wait_for(self.answer.content.readline(), 30)


@asynccontextmanager
async def watching(direct: Direct, query: str = "", accept: str = "application/json") -> AsyncIterator[Events]:
    context = ssl.create_default_context(cadata=direct.serving.pem)
    context.load_cert_chain(direct.proxy.certificate, direct.proxy.key)
    connector = aiohttp.TCPConnector(ssl=context, force_close=True)
    url = f"https://localhost:{direct.port}{direct.path}?watch=1&{query}"
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get(url, headers={**ADMIN, "Accept": accept}) as answer,
    ):
        assert answer.status == 200, await answer.text()
        yield Events(answer)


async def _list_version(direct: Direct) -> str:
    return str((await direct.ask("GET", direct.path)).json["metadata"]["resourceVersion"])


async def test_content_is_told_from_its_first_to_its_last_day(direct: Direct, packages: Packages) -> None:
    async with watching(direct, f"resourceVersion={await _list_version(direct)}") as events:
        name = await packages.create()
        commit = await packages.commit("drafts/web/v1", FILES)
        await packages.report(name, creationSource="init", selfLock=packages.lock("drafts/web/v1", "web", commit))
        kind, obj = await events.next()
        assert (kind, obj["metadata"]["name"], obj["metadata"]["resourceVersion"]) == ("ADDED", name, commit)
        assert obj["spec"]["resources"] == FILES

        await packages.report(name, observedGeneration=1)
        answer = await direct.push(name, commit, {"Kptfile": KPTFILE})
        kind, obj = await events.next()
        assert (kind, obj) == ("MODIFIED", answer.json), "a status is no content"

        await packages.kube.merge_patch(
            PACKAGEREVISIONS, packages.namespace, name, {"metadata": {"labels": {"team": "red"}}}
        )
        kind, obj = await events.next()
        assert (kind, obj["metadata"]["labels"]) == ("MODIFIED", {"team": "red"})

        await packages.kube.delete(PACKAGEREVISIONS, packages.namespace, name)
        kind, obj = await events.next()
        assert (kind, obj["metadata"]["name"], obj["spec"]["resources"]) == ("DELETED", name, {})


async def test_what_is_there_comes_first_where_no_version_is_given(direct: Direct, packages: Packages) -> None:
    draft, _ = await packages.draft(package="api")
    published, _ = await packages.published()
    await packages.create("later")
    initial = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    for query, ends in (("", False), ("resourceVersion=0", False), (initial, True)):
        async with watching(direct, query) as events:
            for name in (draft, published):
                kind, obj = await events.next()
                assert (kind, obj["metadata"]["name"]) == ("ADDED", name)
            if ends:
                kind, obj = await events.next()
                assert (kind, obj["kind"]) == ("BOOKMARK", "PackageRevisionResources")
                assert obj["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
                assert obj["metadata"]["resourceVersion"].isdigit()


async def test_a_watch_ends_with_a_bookmark_from_which_another_goes_on(direct: Direct, packages: Packages) -> None:
    name, commit = await packages.draft()
    query = f"allowWatchBookmarks=true&timeoutSeconds=1&resourceVersion={await _list_version(direct)}"
    async with watching(direct, query) as events:
        kind, obj = await events.next()
        assert kind == "BOOKMARK"
        assert await events.ended()
    await direct.push(name, commit, {"Kptfile": KPTFILE})
    async with watching(direct, f"resourceVersion={obj['metadata']['resourceVersion']}") as events:
        kind, obj = await events.next()
        assert (kind, obj["spec"]["resources"]) == ("MODIFIED", {"Kptfile": KPTFILE})


async def test_selectors_and_rows(direct: Direct, packages: Packages) -> None:
    await packages.draft(package="api")
    name, _ = await packages.published()
    async with watching(direct, "fieldSelector=spec.revision%3D1", TABLE) as events:
        kind, table = await events.next()
        assert (kind, table["kind"]) == ("ADDED", "Table")
        assert table["columnDefinitions"][0]["name"] == "Name"
        assert [row["cells"] for row in table["rows"]] == [[name, "web", "v1", 1, "blueprints", 3]]
        await packages.kube.merge_patch(
            PACKAGEREVISIONS, packages.namespace, name, {"metadata": {"labels": {"a": "b"}}}
        )
        _, table = await events.next()
        assert table["columnDefinitions"] == []
        assert table["rows"][0]["object"]["metadata"]["labels"] == {"a": "b"}


@pytest.mark.parametrize(
    ("query", "status"),
    [
        (f"resourceVersion={'a' * 40}", 410),
        ("sendInitialEvents=true", 422),
        ("resourceVersionMatch=NotOlderThan", 422),
        ("timeoutSeconds=soon", 400),
        ("fieldSelector=spec.color%3Dred", 400),
    ],
)
async def test_a_query_without_sense(direct: Direct, query: str, status: int) -> None:
    answer = await direct.ask("GET", f"{direct.path}?watch=1&{query}")
    assert (answer.status, answer.json["kind"]) == (status, "Status")


async def test_a_version_that_is_forgotten_is_told_as_an_error(direct: Direct) -> None:
    async with watching(direct, "resourceVersion=1") as events:
        kind, status = await events.next()
        assert (kind, status["code"]) == ("ERROR", 410)
        assert await events.ended()


async def test_more_watches_than_allowed_have_to_wait(packages: Packages, kube: KubeClient, tmp_path: Any) -> None:
    async with running_direct(packages, tmp_path, kube, watches=1) as direct:
        async with watching(direct):
            refused = await direct.ask("GET", f"{direct.path}?watch=1")
            assert (refused.status, "Retry-After" in refused.headers) == (429, True)
        name, _ = await packages.draft()

        async def again() -> Any:
            async with watching(direct) as events:
                return await events.next()

        kind, obj = await eventually(again, what="a watch becomes free")
        assert (kind, obj["metadata"]["name"]) == ("ADDED", name), "the one whose client went away makes room"


async def test_a_stop_ends_watches_at_once(packages: Packages, kube: KubeClient, tmp_path: Any) -> None:
    async with running_direct(packages, tmp_path, kube) as direct:
        query = f"allowWatchBookmarks=true&resourceVersion={await _list_version(direct)}"
        async with watching(direct, query) as events:
            direct.server.watches.close()
            assert (await events.next())[0] == "BOOKMARK"
            assert await events.ended()


@pytest.mark.usefixtures("content_api")
async def test_kubectl_watches(packages: Packages, control_plane: ControlPlane) -> None:
    name, _ = await packages.draft()
    arguments = ["get", "packagerevisionresources", "-n", packages.namespace, "-w", "-o", "name"]
    command = ["kubectl", f"--kubeconfig={control_plane.kubeconfig}", *arguments]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        first = await asyncio.wait_for(process.stdout.readline(), 30)
        patch = json.dumps({"spec": {"resources": {"new.txt": "new"}}})
        await control_plane.kubectl(
            "patch", "packagerevisionresources", name, "-n", packages.namespace, "--type=merge", "-p", patch
        )
        second = await asyncio.wait_for(process.stdout.readline(), 30)
    finally:
        process.terminate()
        await process.communicate()
    assert first == second == f"packagerevisionresources.porch.kpt.dev/{name}\n".encode()
