"""The listing of refs on a real API server and real Git: syncs start where refs moved, and nowhere else."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from porchflow.activities.definitions import ListingResult
from porchflow.activities.sync.ref_listing import RefListing
from porchflow.api.names import SUSPEND_ANNOTATION
from porchflow.gitrepo.git_store import GitStore
from porchflow.gitrepo.remote.remote import Remote
from porchflow.kube.client import Object
from porchflow.kube.errors import KubeUnavailable
from porchflow.kube.following import Key
from porchflow.kube.kinds import REPOSITORIES
from porchflow.repositories.scope import ScopeSettings
from tests.activities.syncing import Syncs
from tests.servers.git import GitRepositories, commit_files
from tests.watcher.objects import repository


class Starts:
    """Keeps which syncs were started; fails for those it is told to."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.refused: set[str] = set()

    async def __call__(self, key: Key) -> None:
        _, name = key
        if name in self.refused:
            raise RuntimeError(f"there is no schedule of {name}")
        self.started.append(name)


@pytest.fixture
def starts() -> Starts:
    return Starts()


async def listed(syncs: Syncs, starts: Starts, **scope: Any) -> ListingResult:
    starts.started.clear()
    listing = RefListing(
        kube=syncs.kube,
        git=syncs.world.store,
        scope=ScopeSettings(namespaces=(syncs.world.namespace,), **scope),
        start=starts,
    )
    result: ListingResult = await ActivityEnvironment().run(listing.list_refs)
    return result


async def patch(syncs: Syncs, change: dict[str, Any], name: str = "porch", subresource: str | None = None) -> None:
    await syncs.world.kube.merge_patch(REPOSITORIES, syncs.world.namespace, name, change, subresource=subresource)


@pytest.fixture
async def still(syncs: Syncs) -> Syncs:
    """Two Repositories that were synced, and whose refs stand still: `porch` is the one that tests change."""
    syncs.porch.publish("web", 1, "first")
    await syncs.written()
    for name in ("porch", "blueprints"):
        await syncs.sync(name)
    return syncs


async def test_what_stands_still_starts_nothing_and_is_written_nowhere(still: Syncs, starts: Starts) -> None:
    before = await still.repository()
    still.kube.forget()
    result = await listed(still, starts)
    assert (starts.started, result.summary) == ([], "Repositories looked at: 2; syncs started: 0")
    assert still.kube.writes == 0
    assert await still.repository() == before


@pytest.mark.parametrize("what", ["a tag", "a draft", "the branch"])
async def test_what_moved_is_synced(still: Syncs, starts: Starts, what: str) -> None:
    if what == "a tag":
        still.porch.publish("web", 2, "second")
    elif what == "a draft":
        still.porch.open("web", "third")
    else:
        still.porch.commit("by hand", {"web/more.txt": "x"})
    await still.written()
    await listed(still, starts)
    assert starts.started == ["porch"]
    await still.sync()
    await listed(still, starts)
    assert starts.started == [], "one sync for one move"


async def test_a_remote_is_listed_once_for_all_its_repositories(
    still: Syncs, starts: Starts, git_server: GitRepositories, monkeypatch: pytest.MonkeyPatch
) -> None:
    namespace, git, listings = still.world.namespace, git_server.create(), list[str]()
    await asyncio.to_thread(commit_files, git, "main", {"README.md": "packages"}, "first")
    for name in ("one", "two", "three"):
        spec = {"type": "git", "git": {"repo": git.url, "branch": "main", "directory": name}}
        await still.world.kube.create(REPOSITORIES, {**repository(namespace, name), "spec": spec})
        await still.sync(name)
    digests = GitStore.refs_digests

    async def counted(store: GitStore, remote: Remote, places: Sequence[tuple[str, str]]) -> list[str]:
        listings.append(remote.url)
        return await digests(store, remote, places)

    monkeypatch.setattr(GitStore, "refs_digests", counted)
    await asyncio.to_thread(git.git, "update-ref", "refs/heads/drafts/two/web/v1", "refs/heads/main")
    result = await listed(still, starts)
    assert listings.count(git.url) == 1
    assert (starts.started, result.listed) == (["two"], 5)


async def test_what_is_due_is_synced_although_no_ref_moved(still: Syncs, starts: Starts) -> None:
    past = (datetime.now(UTC) - timedelta(seconds=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
    await patch(still, {"status": {"nextFullSyncTime": past}}, subresource="status")
    await listed(still, starts)
    assert starts.started == ["porch"]


@pytest.mark.parametrize(
    "change",
    [
        {"spec": {"sync": {"schedule": "@daily"}}},
        {"metadata": {"annotations": {SUSPEND_ANNOTATION: "audit"}}},
    ],
    ids=["times of its own", "suspended"],
)
async def test_what_has_times_of_its_own_or_none_is_left_alone(
    still: Syncs, starts: Starts, change: dict[str, Any]
) -> None:
    still.porch.publish("web", 2, "second")
    await still.written()
    await patch(still, change)
    assert (await listed(still, starts)).listed == 1, "the other one"
    assert starts.started == []


async def test_what_is_left_to_porch_or_goes_is_left_alone(still: Syncs, starts: Starts) -> None:
    await listed(still, starts, annotated_repositories_only=True)
    assert starts.started == []
    await still.world.kube.delete(REPOSITORIES, still.world.namespace, "porch")
    assert (await still.repository())["metadata"]["deletionTimestamp"], "its finalizer holds it"
    await listed(still, starts)
    assert starts.started == []


@pytest.mark.parametrize(("reason", "begins"), [("PhaseCrashed", []), ("GitNotFound", ["porch"])])
async def test_a_sync_that_ended_its_processes_is_not_begun_again_and_again(
    still: Syncs, starts: Starts, reason: str, begins: list[str]
) -> None:
    """It would keep the one place for isolated work busy for minutes, each five minutes."""
    stalled = {"type": "Stalled", "status": "True", "reason": reason, "message": "it needed too much memory"}
    stalled["lastTransitionTime"] = "2026-01-01T00:00:00Z"
    await patch(still, {"status": {"conditions": [stalled]}}, subresource="status")
    await listed(still, starts)
    assert starts.started == begins


async def test_a_bad_schedule_counts_as_none(still: Syncs, starts: Starts) -> None:
    await patch(still, {"spec": {"sync": {"schedule": "now and then"}}})
    await still.sync()
    still.porch.publish("web", 2, "second")
    await still.written()
    await listed(still, starts)
    assert starts.started == ["porch"]


async def test_a_server_that_does_not_answer_is_for_the_sync_to_show(still: Syncs, starts: Starts) -> None:
    """Its failure appears in the Repository's conditions, where everybody looks for it."""
    await asyncio.to_thread(still.world.git.path.rename, still.world.git.path.with_name("elsewhere.git"))
    await listed(still, starts)
    assert starts.started == ["porch"]


async def test_one_schedule_that_fails_stops_no_other_repository(still: Syncs, starts: Starts) -> None:
    for name in ("a", "b", "c"):
        await still.world.kube.create(REPOSITORIES, repository(still.world.namespace, name))
    starts.refused.add("b")
    result = await listed(still, starts)
    assert sorted(starts.started) == ["a", "c"], "those were never synced"
    assert result.summary == "Repositories looked at: 5; syncs started: 2; could not be started: 1"


async def test_an_api_server_that_is_away_is_said(
    still: Syncs, starts: Starts, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any, **__: Any) -> Object:
        raise KubeUnavailable("the API server does not answer")

    monkeypatch.setattr(still.kube, "list_page", away)
    with pytest.raises(ApplicationError, match="look at the API server"):
        await listed(still, starts)
