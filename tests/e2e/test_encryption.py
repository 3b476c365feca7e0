"""Encryption of what Temporal keeps: from before the first key until the first key is gone."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from temporalio.api.common.v1 import Payload, SearchAttributes
from temporalio.api.history.v1 import MarkerRecordedEventAttributes
from temporalio.client import Client, WorkflowHistory
from temporalio.service import RPCError, RPCStatusCode

from porchflow.api.models.conditions import Reason
from porchflow.cli.doctor.schedules import check_schedules
from porchflow.cli.settings import Settings, load_settings
from porchflow.devstack.processes import HOST, free_port
from porchflow.workflows.ids import Installation
from tests.cli.encryption import new_key, write_keys
from tests.e2e.conftest import register
from tests.e2e.packages import KPTFILE, push_content
from tests.e2e.system import System
from tests.e2e.test_payloads import payloads
from tests.servers.git import GitRepository
from tests.servers.waiting import eventually

MARK = "wordThatNobodyElseSays"
FIRST, SECOND = new_key(), new_key()
WORKFLOWS = {"PackageRevisionWorkflow", "RepositorySyncWorkflow"}
"""The listing of refs begins at a time of its own."""
STARTED = 180.0
"""Seconds for what processes do first; they start together, beside other tests."""
VARIABLE = "PORCHFLOW_TEMPORAL_ENCRYPTION_KEYS_FILE"

# Processes are started up to three times.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return write_keys(tmp_path / "keys", {"first": FIRST})


def start(system: System) -> None:
    for name in list(system.processes):
        system.kill(name)
    system.start_watcher()
    system.start_worker()


def kept(message: Message) -> Iterator[Payload]:
    """Find every payload but those of search attributes, which Temporal must be able to read.

    What Temporal's library notes about a local activity, its type and times, goes past every codec.
    """
    if isinstance(message, SearchAttributes):
        return
    if isinstance(message, MarkerRecordedEventAttributes):
        for key, details in message.details.items():
            yield from () if key == "data" else details.payloads
        message = message.failure
    if isinstance(message, Payload):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        inner = value.values() if field.message_type.GetOptions().map_entry else value if field.is_repeated else [value]
        for each in inner:
            if isinstance(each, Message):
                yield from kept(each)


async def histories(temporal: Client) -> AsyncIterator[WorkflowHistory]:
    """Find the histories of all runs of the test's namespace: of objects, and of syncs."""
    async for run in temporal.list_workflows():
        yield await temporal.get_workflow_handle(run.id, run_id=run.run_id).fetch_history()


async def key_ids(temporal: Client) -> list[str]:
    """Return the id of the key of every payload of every run; the payload for one that is not encrypted."""
    return [
        payload.metadata["encryption-key-id"].decode()
        if payload.metadata["encoding"] == b"binary/encrypted"
        else f"plain: {payload.data!r}"
        async for history in histories(temporal)
        for event in history.events
        for payload in kept(event)
    ]


async def said(temporal: Client) -> str:
    """Return all that Temporal can read of all runs."""
    return "".join(
        [
            MessageToJson(event) + "".join(payload.data.decode(errors="replace") for payload in payloads(event))
            async for history in histories(temporal)
            for event in history.events
        ]
    )


async def stalls(system: System, name: str, url: str, work: Path) -> None:
    """Have a draft stall on a Kptfile, with a message that has the mark."""
    files = {"Kptfile": f"{KPTFILE}{MARK}: 1\n"}
    pushed = await push_content(url, "drafts/web/v1", "web", files, work)
    await system.patch(name, {"metadata": {"annotations": {"porch.kpt.dev/render-request": pushed}}})
    obj = await system.until(name, "is Stalled", lambda obj: "Stalled" in json.dumps(obj["status"]["conditions"]))
    assert MARK in json.dumps(obj["status"]), "the message is of the Kptfile"


async def test_no_input_result_message_or_summary_is_kept_plain(
    idle_system: System, repository: str, git_repository: GitRepository, temporal: Client, keys: Path, tmp_path: Path
) -> None:
    idle_system.environment[VARIABLE] = str(keys)
    start(idle_system)
    name = await idle_system.create_draft(repository, "web")
    await idle_system.ready(name, timeout=STARTED)
    await stalls(idle_system, name, git_repository.url, tmp_path)

    async def both_kinds() -> bool:
        return {run.workflow_type async for run in temporal.list_workflows()} >= WORKFLOWS

    await eventually(both_kinds, what="the runs of the object and of the sync are listed")
    assert set(await key_ids(temporal)) == {"first"}
    everything = await said(temporal)
    assert MARK not in everything
    # The ids themselves are what Temporal finds runs by.
    assert idle_system.workflow_id(name) in everything


def sync_id(system: System, repository: str) -> str:
    return Installation(system.installation).sync_id(system.namespace, repository)


async def test_runs_and_schedules_of_before_go_on_and_the_old_key_can_go(
    idle_system: System, repository: str, git_repository: GitRepository, temporal: Client, keys: Path, tmp_path: Path
) -> None:
    """Plain, then one key, then two, then the new one alone; an open run of before is among them."""
    start(idle_system)
    waits = await idle_system.create_draft("comes-later", "web")
    await idle_system.until(waits, "waits", lambda obj: Reason.REPOSITORY_NOT_FOUND in json.dumps(obj), timeout=STARTED)
    done = await idle_system.create_draft(repository, "web")
    await idle_system.ready(done)

    idle_system.environment[VARIABLE] = str(keys)
    start(idle_system)
    await idle_system.lifecycle(done, "Proposed")
    await idle_system.ready(done, timeout=STARTED)

    async def encrypted() -> bool:
        return "first" in await key_ids(temporal)

    await eventually(encrypted, what="the last run is encrypted")

    write_keys(keys, {"second": SECOND, "first": FIRST})
    start(idle_system)
    for schedule in (sync_id(idle_system, repository), Installation(idle_system.installation).listing_id):
        await eventually(
            lambda schedule=schedule: schedule_is_kept_with(temporal, schedule, "second"),
            timeout=STARTED,
            what=f"{schedule} is kept anew",
        )
    await idle_system.lifecycle(done, "Draft")
    await idle_system.ready(done)
    write_keys(keys, {"second": SECOND})
    await idle_system.lifecycle(done, "Proposed")
    await idle_system.ready(done)

    await register(idle_system, "comes-later", git_repository.url, directory="/later")
    await idle_system.until(waits, "goes on", lambda obj: Reason.REPOSITORY_NOT_FOUND not in json.dumps(obj))
    found = await check_schedules(settings_of(idle_system), Installation(idle_system.installation), 20)
    assert [each.level for each in found if each.check == "schedules"] == ["ok"]


async def schedule_is_kept_with(temporal: Client, schedule: str, key: str) -> bool:
    try:
        found = await temporal.get_schedule_handle(schedule).describe()
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        # At this moment it is made again.
        return False
    raw = [*found.raw_description.memo.fields.values(), *kept(found.raw_description.schedule)]
    return {payload.metadata.get("encryption-key-id", b"").decode() for payload in raw} == {key}


def settings_of(system: System) -> Settings:
    return load_settings(
        {
            "temporal_address": system.temporal_address,
            "temporal_namespace": system.temporal_namespace,
            "temporal_encryption_keys_file": system.environment[VARIABLE],
            "kubeconfig": str(system.control_plane.kubeconfig),
            "namespaces": system.namespace,
        }
    )


async def test_a_worker_without_the_key_is_not_ready_until_it_has_it(
    idle_system: System, repository: str, temporal: Client, keys: Path, tmp_path: Path
) -> None:
    idle_system.environment[VARIABLE] = str(keys)
    idle_system.start_watcher()
    health = f"{HOST}:{free_port()}"
    other = write_keys(tmp_path / "other-keys", {"second": SECOND})
    idle_system.start_worker(**{VARIABLE: str(other), "PORCHFLOW_HEALTH_ADDRESS": health})
    name = await idle_system.create_draft(repository, "web")

    async def readiness() -> str:
        try:
            async with aiohttp.ClientSession() as session, session.get(f"http://{health}/readyz") as answer:
                return f"{answer.status} {await answer.text()}"
        except aiohttp.ClientConnectionError:
            return ""

    async def lacks() -> bool:
        return (said := await readiness()).startswith("503") and f"'first', which {other} does not have" in said

    await eventually(lacks, timeout=STARTED, what="the worker says which key it lacks")
    write_keys(other, {"second": SECOND, "first": FIRST})
    await idle_system.ready(name)

    async def ready() -> bool:
        return (await readiness()).startswith("200")

    await eventually(ready, what="the worker is ready")


@pytest.mark.parametrize("command", ["worker", "watcher"])
async def test_keys_that_cannot_be_used_end_the_start(idle_system: System, keys: Path, command: str) -> None:
    write_keys(keys, {"first": "nonsense!"})
    process = idle_system.start(command, command, **{VARIABLE: str(keys)})
    await eventually(lambda: process.poll() is not None, what="it has ended")
    assert process.returncode == 2
    assert (
        f"{VARIABLE} (--temporal-encryption-keys-file): {keys}: line 1 is no key"
        in idle_system.log(command).read_text()
    )
