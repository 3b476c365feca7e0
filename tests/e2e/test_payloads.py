"""Temporal carries references only: no package content, no credential, nothing large, in any event of any run."""

import base64
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload
from temporalio.client import Client, WorkflowHistory

from porchflow.kube.kinds import SECRETS
from tests.e2e.conftest import PrivateRepository, register
from tests.e2e.packages import DEPLOYMENT, KPTFILE, push_content
from tests.e2e.system import System, is_ready

LIMIT = 64 * 1024
MARK = "a-word-of-the-content-that-nobody-else-says"


def large_package() -> dict[str, str | bytes]:
    """Make a package of 5 MiB: binaries, and a hundred resources that go through the functions."""
    files: dict[str, str | bytes] = {f"images/{number}.bin": os.urandom(1024 * 1024) for number in range(4)}
    for number in range(100):
        text = f"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: map-{number}\ndata:\n  text: |\n"
        files[f"maps/{number}.yaml"] = text + f"    {MARK} {'x' * 100}\n" * 70
    return {"Kptfile": KPTFILE, "deployment.yaml": DEPLOYMENT, **files}


def payloads(message: Message) -> Iterator[Payload]:
    """Find every payload in a message, however deep."""
    if isinstance(message, Payload):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            inner = [each for each in value.values() if isinstance(each, Message)]
        else:
            inner = list(value) if field.is_repeated else [value]
        for each in inner:
            yield from payloads(each)


async def histories(temporal: Client, name: str) -> AsyncIterator[WorkflowHistory]:
    async for run in temporal.list_workflows(f"WorkflowId = '{name}'"):
        yield await temporal.get_workflow_handle(run.id, run_id=run.run_id).fetch_history()


async def test_a_package_of_five_mebibytes_goes_through_as_references(
    system: System, private_repository: PrivateRepository, temporal: Client, tmp_path: Path
) -> None:
    words = {"username": private_repository.username, "password": private_repository.password}
    encoded = {key: base64.b64encode(word.encode()).decode() for key, word in words.items()}
    metadata = {"name": "git-auth", "namespace": system.namespace}
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "kubernetes.io/basic-auth"}
    await system.kube.create(SECRETS, {**body, "data": encoded})
    await register(system, "private", private_repository.url, secretRef={"name": "git-auth"})
    name = await system.create_draft("private", "web")
    await system.ready(name)

    url = private_repository.url.replace("://", f"://{words['username']}:{words['password']}@")
    files = large_package()
    assert sum(len(data) for data in files.values()) > 5 * 1000 * 1000
    pushed = await push_content(url, "drafts/web/v1", "web", files, tmp_path)
    await system.patch(name, {"metadata": {"annotations": {"porch.kpt.dev/render-request": pushed}}})
    await system.until(
        name, "is rendered", lambda obj: obj["status"].get("observedPrrResourceVersion") == pushed and is_ready(obj)
    )
    for lifecycle in ("Proposed", "Published"):
        await system.lifecycle(name, lifecycle)
        await system.ready(name)

    source = {"cloneFrom": {"upstreamRef": {"name": name}}}
    clone = await system.create_draft("private", "shop", source=source)
    await system.ready(clone)
    for lifecycle in ("Proposed", "Published"):
        await system.lifecycle(clone, lifecycle)
        await system.ready(clone)
    copy = await system.create_draft("private", "web", "v2", source={"copyFrom": {"name": name}})
    await system.ready(copy)
    changed = {"images/1.bin": os.urandom(1024 * 1024), "maps/1.yaml": str(files["maps/1.yaml"]).replace("xx", "yy")}
    pushed = await push_content(url, "drafts/web/v2", "web", changed, tmp_path)
    await system.patch(copy, {"metadata": {"annotations": {"porch.kpt.dev/render-request": pushed}}})
    for lifecycle in ("Proposed", "Published"):
        await system.lifecycle(copy, lifecycle)
        await system.ready(copy)
    sides = {"oldUpstream": name, "newUpstream": copy, "currentPackage": clone}
    upgrade = {"upgrade": {field: {"name": side} for field, side in sides.items()}}
    upgraded = await system.create_draft("private", "shop", "v2", source=upgrade)
    await system.ready(upgraded)

    sizes, seen = [], ""
    for identity in (system.workflow_id(each) for each in (name, clone, copy, upgraded)):
        async for history in histories(temporal, identity):
            for event in history.events:
                sizes += [payload.ByteSize() for payload in payloads(event)]
                words_of = [payload.data.decode(errors="replace") for payload in payloads(event)]
                seen += MessageToJson(event) + "".join(words_of)
                assert event.ByteSize() < LIMIT
    for secret in (MARK, words["password"], encoded["password"]):
        assert secret not in seen
    for phase in ("execute_source", "render", "move_lifecycle"):
        assert phase in seen, "the histories are those of the whole way"
    assert len(sizes) > 20
    assert max(sizes) < LIMIT
