"""The workflow of the listing of refs on a real Temporal server, with a fake for the activity."""

import uuid
from dataclasses import replace
from datetime import timedelta

import pytest
from temporalio import activity
from temporalio.client import Client
from temporalio.common import RetryPolicy
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from porchflow.activities.definitions import ListingResult
from porchflow.workflows import policies
from porchflow.workflows.reflisting import RefListingWorkflow


async def test_a_listing_is_one_activity_that_is_tried_until_it_works(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts = []

    @activity.defn(name="list_refs")
    async def list_refs() -> ListingResult:
        attempts.append(activity.info().attempt)
        if len(attempts) == 1:
            raise ApplicationError("the API server is away")
        return ListingResult(listed=3, started=1)

    queue = f"test-{uuid.uuid4()}"
    retry = RetryPolicy(initial_interval=timedelta(milliseconds=20))
    monkeypatch.setattr(policies, "LISTING", replace(policies.LISTING, queue=queue, retry=retry))
    async with Worker(temporal_client, task_queue=queue, workflows=[RefListingWorkflow], activities=[list_refs]):
        result = await temporal_client.execute_workflow(
            RefListingWorkflow.run, id=f"repositories/test/{uuid.uuid4()}", task_queue=queue
        )
    assert (attempts, result.summary) == ([1, 2], "Repositories looked at: 3; syncs started: 1")
