"""Repositories that stand still: what it costs to find out, by one listing of all refs or by a sync of each."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from temporalio.client import Client

from bench.follow import BenchError
from bench.published import write_published
from bench.runs import until_quiet
from bench.workloads import NAMESPACE, Timing
from porchflow.activities.definitions import ListingResult
from porchflow.api.models.conditions import raw_holding
from porchflow.api.names import REPOSITORY_API_VERSION
from porchflow.kube.client import KubeClient, Object
from porchflow.kube.kinds import REPOSITORIES
from porchflow.workflows.ids import LISTING_WORKFLOW_NAME, SYNC_WORKFLOW_NAME, Installation
from porchflow.workflows.policies import SYNC_QUEUE

_NAME = "still"
_LONGEST_SECONDS = 600.0
_POLL_SECONDS = 0.2
_AT_ONCE = 32


class StillRepositories:
    """Many Repositories, each a directory of one Git repository, so that nothing but their number differs."""

    def __init__(
        self, client: KubeClient, temporal: Client, installation: Installation, git_root: Path, git_url: str
    ) -> None:
        """Create them on a running stack; `prepare` makes them."""
        self._client = client
        self._temporal = temporal
        self._installation = installation
        self._git_root = git_root
        self._git_url = git_url

    async def prepare(self, names: Sequence[str]) -> None:
        """Register a Repository with one package for each name, and wait until all that there are were synced.

        Raises:
            BenchError: They were not.
        """
        repository = f"{_NAME}-{len(names)}"
        await asyncio.to_thread(write_published, self._git_root, repository, [f"{name}/app" for name in names])
        await self._each(names, lambda name: self._client.create(REPOSITORIES, self._repository(repository, name)))
        await self._until(lambda: self._are_synced(names), "all Repositories are synced")
        await self._until(self._nothing_moved, "a listing finds that nothing has moved")
        await until_quiet(self._temporal)

    @property
    def scheduled_listings(self) -> str:
        """Temporal's query for the listings that the schedule may start while something is measured."""
        return f"WorkflowType = '{LISTING_WORKFLOW_NAME}' AND WorkflowId != '{self._listing_id}'"

    @property
    def _listing_id(self) -> str:
        return f"{self._installation.listing_id}/measured"

    async def listing(self, names: Sequence[str]) -> Timing:
        """List the refs of all Repositories once."""
        started = time.monotonic()
        if not await self._nothing_moved():
            raise BenchError(f"the refs of {len(names)} Repositories do not stand still")
        return _ended(started)

    async def syncs(self, names: Sequence[str]) -> Timing:
        """Sync each Repository once, although its refs stand still."""
        started, since = time.monotonic(), datetime.now(UTC)
        ids = [self._installation.sync_id(NAMESPACE, name) for name in names]
        await self._each(ids, lambda each: self._temporal.get_schedule_handle(each).trigger())
        synced = f"WorkflowType = '{SYNC_WORKFLOW_NAME}' AND ExecutionStatus = 'Completed'"
        query = f"{synced} AND StartTime >= '{since.isoformat()}'"

        async def have_ended() -> bool:
            return (await self._temporal.count_workflows(query)).count >= len(names)

        await self._until(have_ended, "all Repositories are synced again")
        return _ended(started)

    async def _nothing_moved(self) -> bool:
        """List the refs of all Repositories, as the schedule does."""
        result: ListingResult = await self._temporal.execute_workflow(
            LISTING_WORKFLOW_NAME,
            id=self._listing_id,
            task_queue=self._installation.queue(SYNC_QUEUE),
            execution_timeout=timedelta(seconds=_LONGEST_SECONDS),
            result_type=ListingResult,
        )
        return result.started == 0

    async def _each(self, names: Sequence[str], work: Callable[[str], Awaitable[object]]) -> None:
        slots = asyncio.Semaphore(_AT_ONCE)

        async def one(name: str) -> None:
            async with slots:
                await work(name)

        await asyncio.gather(*map(one, names))

    async def _until(self, holds: Callable[[], Awaitable[bool]], what: str) -> None:
        try:
            async with asyncio.timeout(_LONGEST_SECONDS):
                while not await holds():  # noqa: ASYNC110 - Temporal sends no notice
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            raise BenchError(f"not within {_LONGEST_SECONDS:g} s: {what}") from None

    async def _are_synced(self, names: Sequence[str]) -> bool:
        wanted = set(names)
        async for raw in self._client.list_all(REPOSITORIES, NAMESPACE):
            if raw_holding(raw, "Ready") and (raw.get("status") or {}).get("observedRefs"):
                wanted.discard(raw["metadata"]["name"])
        return not wanted

    def _repository(self, repository: str, name: str) -> Object:
        git = {"repo": f"{self._git_url}/{repository}.git", "branch": "main", "directory": name}
        return {
            "apiVersion": REPOSITORY_API_VERSION,
            "kind": "Repository",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"type": "git", "git": git},
        }


def _ended(started: float) -> Timing:
    seconds = time.monotonic() - started
    return Timing(seconds, {"ended": seconds})
