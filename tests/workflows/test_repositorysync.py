"""The workflow of a sync on a real Temporal server, with a fake for the activity."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from temporalio import activity
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from porchflow.activities.definitions import SyncRequest, SyncResult
from porchflow.workflows import policies
from porchflow.workflows.ids import RepositorySyncInput
from porchflow.workflows.repositorysync import RepositorySyncWorkflow
from tests.workflows.fakes import ISOLATED

Handle = WorkflowHandle[RepositorySyncWorkflow, SyncResult]


class FakeSync:
    """Answers with what a test has prepared, one after another."""

    def __init__(self, *answers: SyncResult | ApplicationError) -> None:
        self.answers = list(answers)
        self.requests: list[SyncRequest] = []
        self.isolated: list[bool] = []
        """Whether each ran isolated."""

    @activity.defn(name="sync_repository")
    async def sync_repository(self, request: SyncRequest) -> SyncResult:
        self.requests.append(request)
        self.isolated.append(activity.info().task_queue.endswith(ISOLATED))
        answer = self.answers.pop(0)
        if isinstance(answer, ApplicationError):
            raise answer
        return answer


@asynccontextmanager
async def serving(client: Client, fake: FakeSync, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """Serve a queue of this test's own; looks and retries come fast."""
    queue = f"test-{uuid.uuid4()}"
    fast = {"initial_interval": timedelta(milliseconds=20), "maximum_interval": timedelta(milliseconds=200)}
    retry = replace(policies.SYNC.retry, **fast)
    monkeypatch.setattr(policies, "ISOLATED_QUEUE", f"{queue}{ISOLATED}")
    monkeypatch.setattr(policies, "SYNC", replace(policies.SYNC, queue=queue, retry=retry))
    monkeypatch.setattr(policies, "SYNC_LOOK_DELAY", timedelta(milliseconds=10))
    async with (
        Worker(client, task_queue=queue, workflows=[RepositorySyncWorkflow], activities=[fake.sync_repository]),
        Worker(client, task_queue=policies.ISOLATED_QUEUE, activities=[fake.sync_repository]),
    ):
        yield queue


async def start(client: Client, queue: str) -> Handle:
    return await client.start_workflow(
        RepositorySyncWorkflow.run,
        RepositorySyncInput(namespace="default", name="blueprints"),
        id=f"repository/test/{uuid.uuid4()}",
        task_queue=queue,
    )


async def test_a_sync_that_settles_everything_is_one_activity(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeSync(SyncResult(summary="2 package revisions", revisions=2))
    async with serving(temporal_client, fake, monkeypatch) as queue:
        result = await (await start(temporal_client, queue)).result()
    assert (result.revisions, len(fake.requests)) == (2, 1)
    assert fake.requests[0] == SyncRequest(namespace="default", name="blueprints")


async def test_what_somebody_works_on_is_looked_at_again_soon_but_not_for_ever(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy, settled = SyncResult(summary="busy", unsettled=1), SyncResult(summary="settled")
    fake = FakeSync(busy, settled)
    async with serving(temporal_client, fake, monkeypatch) as queue:
        assert (await (await start(temporal_client, queue)).result()).summary == "settled"
        fake.answers, fake.requests = [busy] * 20, []
        assert (await (await start(temporal_client, queue)).result()).summary == "busy"
    assert len(fake.requests) == policies.SYNC_LOOKS


async def test_trouble_of_the_world_is_retried_and_what_a_person_must_mend_fails(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = ApplicationError("connection refused", type="Transient")
    refused = ApplicationError("the server refuses the credentials", type="Stalled", non_retryable=True)
    fake = FakeSync(away, away, SyncResult(summary="there"), refused)
    async with serving(temporal_client, fake, monkeypatch) as queue:
        assert (await (await start(temporal_client, queue)).result()).summary == "there"
        with pytest.raises(WorkflowFailureError) as raised:
            await (await start(temporal_client, queue)).result()
    cause = raised.value.cause
    assert isinstance(cause, ApplicationError)
    assert (cause.type, cause.message) == ("Stalled", "the server refuses the credentials")


async def test_a_sync_that_ends_its_process_is_counted_and_isolated(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = ApplicationError("it crashed", type="Lost")
    away = ApplicationError("connection refused", type="Transient")
    fake = FakeSync(lost, away, lost, SyncResult(summary="there", unsettled=1), SyncResult(summary="settled"))
    async with serving(temporal_client, fake, monkeypatch) as queue:
        assert (await (await start(temporal_client, queue)).result()).summary == "settled"
    assert [request.deaths for request in fake.requests] == [0, 1, 1, 2, 0]
    assert fake.isolated == [False, True, True, True, False]
