"""Every command of porchctl, by the requests it was recorded to send: a change that breaks porchctl fails here."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from porchflow.devstack.processes import Process
from tests.e2e.system import System, is_ready
from tests.servers.control_plane import ControlPlane
from tests.servers.git import GitRepositories, commit_files
from tests.servers.waiting import eventually

RECORDED = Path(__file__).parent / "data" / "porchctl.yaml"
READ = "<read>"

Recorded = dict[str, Any]


class Replay:
    """Sends recorded requests to the API server and looks at the answers."""

    def __init__(self, session: aiohttp.ClientSession, url: str, words: dict[str, str]) -> None:
        self._session = session
        self._url = url
        self._words = words
        self._read: dict[str, Any] = {}

    async def command(self, command: Recorded) -> None:
        """Send what a command sends; begins again where another was quicker, as porchctl does, at most five times."""
        for attempts_left in reversed(range(5)):
            wrong = await self._attempt(command)
            if wrong is None:
                return
            request, answer = wrong
            if answer.get("reason") != "Conflict" or not attempts_left:
                told = f"{command['command']}: {request['method']} {request['path']}"
                assert answer == request["answer"], told

    async def _attempt(self, command: Recorded) -> tuple[Recorded, Recorded] | None:
        """Send the requests; return the first one with another answer than recorded, and that."""
        for request in command["requests"]:
            answer = await self._send(request)
            if answer != request["answer"]:
                return request, answer
        return None

    async def _send(self, request: Recorded) -> Recorded:
        """Send one request; return its answer in the words of the recording."""
        path = self._filled(request["path"])
        body = self._filled(request.get("body"))
        if request["method"] == "PUT":
            body = _completed(body, self._read[path])
        async with self._session.request(
            request["method"],
            self._url + path,
            params=request.get("query"),
            headers=request["headers"],
            data=json.dumps(body) if body is not None else None,
        ) as response:
            answer = await response.json(content_type=None)
        if request["method"] == "GET" and response.status == 200:
            self._keep(path, answer)
        # What is deleted is answered with the object where a finalizer keeps it; porchctl looks at the code alone.
        deleted = request["method"] == "DELETE" and response.status == 200
        return _told(response.status, {} if deleted else answer)

    def _keep(self, path: str, answer: Recorded) -> None:
        for item in answer.get("items") or []:
            self._read[f"{path}/{item['metadata'].get('name', '')}"] = item
        if answer.get("metadata", {}).get("name"):
            self._read[path] = answer

    def _filled(self, value: Any) -> Any:
        match value:
            case str():
                for word, meaning in self._words.items():
                    value = value.replace(word, meaning)
                return value
            case dict():
                return {key: self._filled(each) for key, each in value.items()}
            case list():
                return [self._filled(each) for each in value]
        return value


def _completed(body: Any, read: Any) -> Any:
    """Put what was read where the recording says so; leave out what is not there this time."""
    if body == READ:
        return read
    if isinstance(body, dict):
        known = read if isinstance(read, dict) else {}
        return {key: _completed(each, known.get(key)) for key, each in body.items() if each != READ or key in known}
    if isinstance(body, list) and isinstance(read, list) and len(body) == len(read):
        return [_completed(each, known) for each, known in zip(body, read, strict=True)]
    return body


def _told(status: int, answer: Any) -> Recorded:
    told: Recorded = {"status": status}
    if kind := answer.get("kind"):
        told["kind"] = kind
    if kind == "Table":
        told["columns"] = [column["name"] for column in answer["columnDefinitions"]]
    if kind == "Status" and status >= 400:
        told["reason"] = answer.get("reason")
    return told


def recorded() -> list[Recorded]:
    commands: list[Recorded] = yaml.safe_load(RECORDED.read_text())
    return commands


@pytest.fixture
async def replay(
    system: System, control_plane: ControlPlane, content_api: Process, git_server: GitRepositories
) -> AsyncIterator[Replay]:
    repositories = [git_server.create("blueprints"), git_server.create("edge")]
    for repository in repositories:
        await asyncio.to_thread(commit_files, repository, "main", {"README.md": "packages of the test\n"})
    words = {"{namespace}": system.namespace, "{git}": repositories[0].url.rpartition("/")[0]}
    connector = aiohttp.TCPConnector(ssl=control_plane.admin_tls())
    async with aiohttp.ClientSession(connector=connector) as session:
        yield Replay(session, control_plane.url, words)


def _is_done(obj: dict[str, Any]) -> bool:
    request = (obj["metadata"].get("annotations") or {}).get("porch.kpt.dev/render-request")
    return is_ready(obj) and (not request or obj["status"].get("observedPrrResourceVersion") == request)


async def test_every_command_works(replay: Replay, system: System) -> None:
    for command in recorded():
        await replay.command(command)
        then = command.get("then", {})
        if "ready" in then:
            done = await system.until(then["ready"], f"is done after {command['command']}", _is_done)
        if "field" in then:
            assert _at(done, then["field"]) == then["is"], command["command"]
        if "gone" in then:
            await eventually(lambda name=then["gone"]: _is_gone(system, name), what=f"{then['gone']} is deleted")


def _at(obj: Any, path: str) -> Any:
    for name in path.split("."):
        obj = obj[name]
    return obj


async def _is_gone(system: System, name: str) -> bool:
    return await system.get(name) is None


def test_every_command_is_recorded() -> None:
    commands = {tuple(command["command"].split()[1:3]) for command in recorded()}
    assert commands == {
        *(("repo", name) for name in ("reg", "get", "sync", "unreg")),
        *(("rpkg", name) for name in ("init", "clone", "copy", "upgrade", "pull", "push", "get")),
        *(("rpkg", name) for name in ("propose", "approve", "reject", "propose-delete", "del", "deps")),
    }
    newer = " ".join(command["command"] for command in recorded() if "since" in command)
    for option in ("clone", "upgrade", "--subpackage-dir", "deps", "--can-delete"):
        assert option in newer
