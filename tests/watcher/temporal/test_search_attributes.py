"""Search attributes of a namespace, on a real Temporal."""

import asyncio
import uuid
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    ListSearchAttributesRequest,
    RemoveSearchAttributesRequest,
)
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError, RPCStatusCode

from porchflow.kube.client import KubeClient
from porchflow.kube.kinds import PACKAGEREVISIONS, REPOSITORIES
from porchflow.watcher.app import WatcherHealth, run_watcher
from porchflow.watcher.temporal.schedules import RepositorySchedules
from porchflow.watcher.temporal.search_attributes import SearchAttributes, registered_attributes
from porchflow.watcher.temporal.starter import WorkflowStarter
from porchflow.watcher.temporal.temporal_errors import TemporalUnavailable
from porchflow.watcher.watcher_settings import WatcherSettings
from porchflow.workflows.ids import Attributes, Installation
from tests.kube.helpers import QUICK
from tests.servers.waiting import eventually
from tests.watcher.objects import package_revision, repository

KEYWORD, INT = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD, IndexedValueType.INDEXED_VALUE_TYPE_INT


@pytest.fixture
async def client(temporal_server: Any) -> Client:
    """A client of a namespace of the test's own."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    made = await Client.connect(temporal_server.address, namespace=name, data_converter=pydantic_data_converter)
    retention = Duration(seconds=86400)
    await made.workflow_service.register_namespace(
        RegisterNamespaceRequest(namespace=name, workflow_execution_retention_period=retention)
    )

    async def known() -> bool:
        try:
            await registered_attributes(made)
        except RPCError:
            return False
        return True

    await eventually(known, what="Temporal knows the namespace")
    return made


async def add(client: Client, **types: IndexedValueType.ValueType) -> None:
    await client.operator_service.add_search_attributes(
        AddSearchAttributesRequest(namespace=client.namespace, search_attributes=types)
    )

    async def known() -> bool:
        return types.keys() <= (await registered_attributes(client)).keys()

    await eventually(known, what="they are registered")


@pytest.mark.parametrize("prefix", ["Porchflow", "", "Team_2"])
async def test_what_is_missing_is_registered(client: Client, prefix: str) -> None:
    attributes = Attributes(prefix)
    await add(client, **{attributes.package.name: KEYWORD})

    async def all_there() -> bool:
        await SearchAttributes(client, attributes).ensure()
        return {key.name for key in attributes.all} <= (await registered_attributes(client)).keys()

    await eventually(all_there, what="all are registered")


@pytest.mark.parametrize(
    ("kind", "told"), [(INT, "Int"), (IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD_LIST, "KeywordList")]
)
async def test_another_type_is_refused_by_name(client: Client, kind: IndexedValueType.ValueType, told: str) -> None:
    await add(client, PorchflowPackage=kind)
    with pytest.raises(TemporalUnavailable) as raised:
        await SearchAttributes(client, Attributes()).ensure()
    assert f"PorchflowPackage is of type {told}" in str(raised.value)
    assert "PORCHFLOW_TEMPORAL_SEARCH_ATTRIBUTE_PREFIX" in str(raised.value)
    assert f"remove --namespace {client.namespace} --name PorchflowPackage" in str(raised.value)
    await SearchAttributes(client, Attributes("Other")).ensure()


async def test_a_namespace_without_room_says_whose_they_are(client: Client) -> None:
    await add(client, **{f"Theirs{number}": KEYWORD for number in range(8)})
    with pytest.raises(TemporalUnavailable) as raised:
        await SearchAttributes(client, Attributes()).ensure()
    assert "has no room for the search attributes PorchflowRepository" in str(raised.value)
    assert "at most 10 of type Keyword, and has 8 (Theirs0, " in str(raised.value)


async def test_a_namespace_with_room_for_the_required_ones_alone_is_enough(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """Such as one that has the five of the first version: runs cannot be searched by reason then, and that is all."""
    await add(client, **{f"Theirs{number}": KEYWORD for number in range(5)})
    attributes = SearchAttributes(client, Attributes())

    async def known() -> bool:
        await attributes.ensure()
        return {key.name for key in Attributes().required} <= (await registered_attributes(client)).keys()

    await eventually(known, what="the required ones are registered")
    await attributes.ensure()
    assert not attributes.has_optional
    assert caplog.text.count("runs cannot be searched by reason and outcome: namespace") == 1
    removing = RemoveSearchAttributesRequest(namespace=client.namespace, search_attributes=["Theirs0", "Theirs1"])
    await client.operator_service.remove_search_attributes(removing)

    async def complete() -> bool:
        await attributes.ensure()
        return attributes.has_optional

    await eventually(complete, what="there is room for all")


class _Refusing:
    """An operator service that refuses some calls."""

    def __init__(self, service: Any, *calls: str) -> None:
        self._service, self._calls = service, calls
        self.refusals = 0

    def __getattr__(self, name: str) -> Any:
        if name not in self._calls:
            return getattr(self._service, name)

        async def refused(
            _: AddSearchAttributesRequest | ListSearchAttributesRequest, *, timeout: timedelta | None = None
        ) -> None:
            self.refusals += 1
            raise RPCError("Request unauthorized.", RPCStatusCode.PERMISSION_DENIED, b"")

        return refused


class _Limited:
    """A client that may do less."""

    def __init__(self, client: Client, *calls: str) -> None:
        self._client, self.operator_service = client, _Refusing(client.operator_service, *calls)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


async def test_a_client_that_may_not_register_gets_the_commands(client: Client) -> None:
    limited: Any = _Limited(client, "add_search_attributes")
    with pytest.raises(TemporalUnavailable) as raised:
        await SearchAttributes(limited, Attributes("X")).ensure()
    told = str(raised.value)
    assert f"temporal operator search-attribute create --namespace {client.namespace} --name XRepository" in told
    assert f"tcld namespace search-attributes add --namespace {client.namespace}" in told
    assert '--sa "XPhase=Keyword"' in told


async def test_a_client_that_may_not_look_goes_on_and_says_the_commands_once(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    limited: Any = _Limited(client, "list_search_attributes")
    attributes = SearchAttributes(limited, Attributes("X"))
    for _ in range(3):
        await attributes.ensure()
    assert caplog.text.count("--name XRepository --type Keyword") == 1


async def test_a_client_that_may_not_look_is_not_ready_until_somebody_registers_them(
    client: Client, kube: KubeClient, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("one", "two"):
        await kube.create(REPOSITORIES, repository(namespace, name))
        for number in range(5):
            await kube.create(PACKAGEREVISIONS, package_revision(namespace, name, f"p{number}"))
    limited: Any = _Limited(client, "list_search_attributes")
    ours, health = Installation("blue", Attributes("X")), WatcherHealth()
    starter, schedules = WorkflowStarter(limited, ours), RepositorySchedules(limited, ours)
    watching = run_watcher(
        kube, starter, schedules, WatcherSettings(), namespaces=[namespace], health=health, timings=QUICK
    )
    running = asyncio.create_task(watching)
    command = f"temporal operator search-attribute create --namespace {client.namespace} --name XRepository"

    def says_what_to_do(part: str) -> bool:
        ready, found = health.readiness()
        return not ready and part in found and command in found[part]["error"]

    await eventually(lambda: says_what_to_do("signals") and says_what_to_do("schedules"), what="it is not ready")
    await eventually(lambda: limited.operator_service.refusals >= 10, what="it is tried again and again")
    lines = [record.getMessage() for record in caplog.records if command in record.getMessage()]
    assert len(lines) == 3, "at the start, for the signals, and for the schedules"
    await SearchAttributes(client, ours.attributes).ensure()
    await eventually(lambda: health.readiness()[0], what="it is ready")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
