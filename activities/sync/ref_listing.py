"""The listing: which Repositories moved in Git. A Repository that stands still costs no run of its own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from temporalio import activity

from porchflow.activities.definitions import ListingActivities, ListingResult
from porchflow.activities.heartbeat import heartbeating
from porchflow.activities.sync.paced_writes import Write, Writer
from porchflow.activities.sync.sync_rules import check_places, is_due
from porchflow.api.crontab import own_times
from porchflow.api.models.conditions import ConditionType, Reason, raw_condition
from porchflow.api.work.suspension import suspension_of
from porchflow.gitrepo.git_store import GitStore
from porchflow.gitrepo.remote.remote import Remote
from porchflow.kube.client import KubeClient
from porchflow.kube.errors import KubeError
from porchflow.kube.following import Key, key_of
from porchflow.kube.kinds import REPOSITORIES
from porchflow.repositories.access import Repositories
from porchflow.repositories.failures import classify, to_application_error
from porchflow.repositories.scope import ScopeSettings

Start = Callable[[Key], Awaitable[None]]
"""Starts the sync of a Repository, after one that runs. Raises when Temporal cannot do it now."""

_AT_ONCE = 16
_LONGEST = 60.0
"""Seconds for one remote. The sync of a Repository there that takes longer says what is wrong with the server."""


class RefListing(ListingActivities):
    """The implementation that a worker registers. The caller closes the clients."""

    def __init__(self, *, kube: KubeClient, git: GitStore, scope: ScopeSettings, start: Start) -> None:
        self._kube = kube
        self._git = git
        self._scope = scope
        self._repositories = Repositories(kube, annotated_only=scope.annotated_repositories_only)
        self._start = start

    @activity.defn(name="list_refs")
    async def list_refs(self) -> ListingResult:
        """See `ListingActivities.list_refs`."""
        result, places = ListingResult(), dict[Remote, list[_Place]]()

        async def openings() -> AsyncIterator[Write]:
            async for raw in self._all():
                if not (self._has_own_times_or_none(raw) or _ended_processes(raw)):
                    yield partial(self._open, raw, places, result)

        async def looks() -> AsyncIterator[Write]:
            for remote, there in places.items():
                yield partial(self._look, remote, there, result)

        try:
            async with heartbeating(lambda: result.summary):
                await Writer(_AT_ONCE).run(openings())
                await Writer(_AT_ONCE).run(looks())
        except KubeError as error:
            raise to_application_error(classify(error)) from None
        return result

    async def _all(self) -> AsyncIterator[dict[str, Any]]:
        for namespace in dict.fromkeys(self._scope.namespaces) or (None,):
            async for raw in self._kube.list_all(REPOSITORIES, namespace):
                yield raw

    def _has_own_times_or_none(self, raw: dict[str, Any]) -> bool:
        """Whether syncs of a raw Repository begin at times of its own, or not at all."""
        suspension = suspension_of(raw["metadata"].get("annotations") or {})
        return (
            self._repositories.is_left_to_porch(raw)
            or "deletionTimestamp" in raw["metadata"]
            or (suspension is not None and suspension.is_active(datetime.now(UTC)))
            or own_times(raw) is not None
        )

    async def _open(self, raw: dict[str, Any], places: dict[Remote, list["_Place"]], result: ListingResult) -> None:
        """Add a Repository to those of its remote; start its sync where that is due, or the remote cannot be told."""
        if not is_due(raw):
            try:
                check_places(raw)
                async with asyncio.timeout(_LONGEST):
                    access = await self._repositories.opened(raw)
            except Exception as error:  # noqa: BLE001 - the sync meets the same, sorts it and shows it in the Repository
                activity.logger.info("Repository %s/%s cannot be opened: %s", *key_of(raw), error)
            else:
                place = _Place(key_of(raw), access.branch, access.directory, raw["status"]["observedRefs"])
                places.setdefault(access.remote, []).append(place)
                return
        await self._start_sync(key_of(raw), result)

    async def _look(self, remote: Remote, places: list["_Place"], result: ListingResult) -> None:
        """List the refs of a remote once, and start the syncs of its Repositories whose refs moved."""
        try:
            async with asyncio.timeout(_LONGEST):
                digests = await self._git.refs_digests(remote, [(place.branch, place.directory) for place in places])
        except Exception as error:  # noqa: BLE001 - as above
            activity.logger.info("the refs of %d Repositories cannot be listed: %s", len(places), error)
            digests = [""] * len(places)
        for place, digest in zip(places, digests, strict=True):
            if digest == place.observed:
                result.listed += 1
            else:
                await self._start_sync(place.key, result)

    async def _start_sync(self, key: Key, result: ListingResult) -> None:
        result.listed += 1
        try:
            await self._start(key)
        except Exception as error:  # noqa: BLE001 - one schedule that cannot be used stops no other Repository
            activity.logger.warning("the sync of Repository %s/%s cannot be started: %s", *key, error)
            result.failed += 1
        else:
            result.started += 1


@dataclass(frozen=True)
class _Place:
    """What is compared of a Repository: its refs on a branch and in a directory, with the digest when it was synced."""

    key: Key
    branch: str
    directory: str
    observed: str


def _ended_processes(raw: dict[str, Any]) -> bool:
    """Whether the last sync of a raw Repository ended its processes.

    The next would take as much processor time from what others have isolated. It begins when somebody asks for it, or
    with the Repository's own schedule.
    """
    return raw_condition(raw, ConditionType.STALLED).get("reason") == Reason.PHASE_CRASHED
