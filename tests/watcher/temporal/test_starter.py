"""Signals on a real Temporal."""

import uuid
from dataclasses import replace
from typing import Any

import pytest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RetryConfig

from porchflow.watcher.needs import Target
from porchflow.watcher.temporal.starter import WorkflowStarter
from porchflow.watcher.temporal.stuck_runs import FAILED_ATTEMPTS
from porchflow.watcher.temporal.temporal_errors import SignalRefused, TemporalUnavailable
from porchflow.workflows.ids import (
    LOOK_AGAIN_SIGNAL,
    RECONCILE_QUEUE,
    WORKFLOW_NAME,
    Installation,
    PackageRevisionInput,
)
from tests.kube.proxy import tcp_proxy
from tests.servers.waiting import eventually
from tests.watcher.tasks import take_and_fail


def _target(**changes: str) -> Target:
    fields: dict[str, Any] = {
        "namespace": "ns-" + uuid.uuid4().hex[:8],
        "name": "repo.pkg.v1",
        "repository": "repo",
        "package": "pkg",
        "workspace": "v1",
        "lifecycle": "Draft",
        "signature": "1",
    }
    return Target(**{**fields, **changes})


@pytest.fixture
async def starter(temporal: Client) -> WorkflowStarter:
    made = WorkflowStarter(temporal)
    await made.prepare()
    first = _target()

    async def takes_signals() -> bool:
        try:
            await made.signal(first)
        except SignalRefused:
            return False
        return True

    # A search attribute that was registered a moment ago is not known in all of Temporal at once.
    await eventually(takes_signals, what="Temporal knows the search attributes")
    return made


async def _events(temporal: Client, target: Target) -> list[str]:
    handle = temporal.get_workflow_handle(Installation().workflow_id(target.namespace, target.name))
    return [event.WhichOneof("attributes") or "" for event in (await handle.fetch_history()).events]


async def test_starts_a_workflow_with_what_it_is_searched_by(starter: WorkflowStarter, temporal: Client) -> None:
    target = _target()
    await starter.signal(target)
    handle = temporal.get_workflow_handle(Installation().workflow_id(target.namespace, target.name))
    described = await handle.describe()
    assert (described.workflow_type, described.task_queue) == (WORKFLOW_NAME, RECONCILE_QUEUE)
    found = {pair.key.name: pair.value for pair in described.typed_search_attributes}
    wanted = {
        "PorchflowRepository": "repo",
        "PorchflowPackage": "pkg",
        "PorchflowWorkspace": "v1",
        "PorchflowLifecycle": "Draft",
    }
    assert wanted.items() <= found.items()
    assert await described.static_summary() == f"{target.namespace}/repo.pkg.v1"
    history = await handle.fetch_history()
    started = history.events[0].workflow_execution_started_event_attributes
    (decoded,) = await pydantic_data_converter.decode(started.input.payloads, [PackageRevisionInput])
    assert decoded == PackageRevisionInput(
        namespace=target.namespace, name=target.name, attribute_prefix="Porchflow", shows_outcome=True
    )
    signalled = [
        event.workflow_execution_signaled_event_attributes
        for event in history.events
        if event.HasField("workflow_execution_signaled_event_attributes")
    ]
    assert [signal.signal_name for signal in signalled] == [LOOK_AGAIN_SIGNAL]
    assert not signalled[0].input.payloads, "the signal carries no state"


async def test_signals_the_run_that_is_there(starter: WorkflowStarter, temporal: Client) -> None:
    target = _target()
    for _ in range(3):
        await starter.signal(target)
    events = await _events(temporal, target)
    assert events.count("workflow_execution_started_event_attributes") == 1
    assert events.count("workflow_execution_signaled_event_attributes") == 3


async def test_starts_anew_where_the_run_was_ended_by_hand(starter: WorkflowStarter, temporal: Client) -> None:
    target = _target()
    await starter.signal(target)
    handle = temporal.get_workflow_handle(Installation().workflow_id(target.namespace, target.name))
    first = await handle.describe()
    await handle.terminate()
    await starter.signal(target)
    second = await handle.describe()
    assert second.run_id != first.run_id
    assert second.status is WorkflowExecutionStatus.RUNNING


async def test_an_object_that_says_little_has_no_empty_search_attributes(
    starter: WorkflowStarter, temporal: Client
) -> None:
    target = _target(package="", workspace="", lifecycle="")
    await starter.signal(target)
    described = await temporal.get_workflow_handle(Installation().workflow_id(target.namespace, target.name)).describe()
    names = {pair.key.name for pair in described.typed_search_attributes}
    assert "PorchflowRepository" in names
    assert not names & {"PorchflowPackage", "PorchflowWorkspace", "PorchflowLifecycle"}


async def test_what_temporal_refuses_for_one_object_is_no_outage(starter: WorkflowStarter) -> None:
    with pytest.raises(SignalRefused):
        await starter.signal(_target(name="x" * 2000))


async def test_preparing_again_changes_nothing(starter: WorkflowStarter) -> None:
    await starter.prepare()


async def test_an_unknown_namespace_is_an_outage_that_says_so(temporal_server: Any) -> None:
    client = await Client.connect(temporal_server.address, namespace="nowhere", data_converter=pydantic_data_converter)
    for call in (lambda: WorkflowStarter(client).signal(_target()), WorkflowStarter(client).ping):
        with pytest.raises(TemporalUnavailable, match="nowhere"):
            await call()
    with pytest.raises(
        TemporalUnavailable, match="search-attribute create --namespace nowhere --name PorchflowRepository"
    ):
        await WorkflowStarter(client).prepare()


async def test_a_temporal_that_is_away_is_an_outage(temporal_server: Any, starter: WorkflowStarter) -> None:
    host, port = temporal_server.address.split(":")
    async with tcp_proxy(host, int(port)) as proxy:
        client = await Client.connect(
            f"127.0.0.1:{proxy.port}",
            data_converter=pydantic_data_converter,
            retry_config=RetryConfig(max_retries=1),
        )
        away = WorkflowStarter(client)
        await away.signal(_target())
        await away.ping()
        await proxy.stop()
        for call in (lambda: away.signal(_target()), away.ping):
            with pytest.raises(TemporalUnavailable):
                await call()
        await proxy.start()

        async def works() -> bool:
            try:
                await away.signal(_target())
            except TemporalUnavailable:
                return False
            return True

        await eventually(works, what="Temporal takes signals again")


async def test_a_run_whose_task_fails_again_and_again_is_ended_by_the_next_list(temporal: Client) -> None:
    ours = Installation(f"stuck-{uuid.uuid4().hex[:8]}")
    starter, target = WorkflowStarter(temporal, ours), _target()
    handle = temporal.get_workflow_handle(ours.workflow_id(target.namespace, target.name))
    await starter.signal(target)
    first = (await handle.describe()).run_id
    for _ in range(1, FAILED_ATTEMPTS):
        await take_and_fail(temporal, ours.queue(RECONCILE_QUEUE))
    await starter.signal(target)
    assert (await handle.describe()).run_id == first, "a new intent says nothing of the run"
    await starter.signal(replace(target, repeated=True))
    assert (await handle.describe()).run_id != first
    assert starter.stuck_runs_ended == 1
    ended = await temporal.get_workflow_handle(handle.id, run_id=first).describe()
    assert ended.status is WorkflowExecutionStatus.TERMINATED
    await handle.terminate()


async def test_an_open_run_of_the_first_version_goes_on_with_the_new_id(temporal: Client) -> None:
    await WorkflowStarter(temporal).prepare()
    old, target, other = Installation(), _target(), _target()
    ours = Installation(f"moved-{uuid.uuid4().hex[:8]}")
    for each in (target, other):
        await temporal.start_workflow(
            WORKFLOW_NAME,
            PackageRevisionInput(namespace=each.namespace, name=each.name),
            id=old.workflow_id(each.namespace, each.name),
            task_queue=RECONCILE_QUEUE,
        )
    starter = WorkflowStarter(temporal, ours)

    async def found() -> bool:
        await starter.prepare()
        return {old.workflow_id(each.namespace, each.name) for each in (target, other)} <= starter.first_version_runs

    await eventually(found, what="Temporal lists both runs")
    await starter.signal(target)

    async def status(installation: Installation, of: Target) -> WorkflowExecutionStatus | None:
        return (await temporal.get_workflow_handle(installation.workflow_id(of.namespace, of.name)).describe()).status

    assert await status(old, target) is WorkflowExecutionStatus.TERMINATED
    assert await status(ours, target) is WorkflowExecutionStatus.RUNNING
    assert await status(old, other) is WorkflowExecutionStatus.RUNNING, "its object may be of another cluster"
