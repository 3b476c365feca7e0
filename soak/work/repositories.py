"""What the administrator does with Repositories: a sync now, and deleting one to register it again."""

import asyncio
import time
from functools import partial

from porchflow.api.models.conditions import raw_holding
from porchflow.devstack.demo.demo_repository import GitFailed
from porchflow.kube.client import Object
from porchflow.kube.errors import AlreadyExists, NotFound
from porchflow.kube.kinds import PACKAGEREVISIONS, REPOSITORIES
from soak.findings import Findings, Violation
from soak.invariants.objects import why_unsettled
from soak.ledger import GONE, Ledger, Promise
from soak.observer import Observer
from soak.people import repository
from soak.places import ADMINISTRATOR, Place
from soak.stack import SoakStack
from soak.work import bodies
from soak.work.pushes import push_readme
from soak.work.requests import Asker

_LONGEST_SECONDS = 600.0
"""Until a Repository that is deleted must be gone, though faults go on."""


class Repositories:
    """Actions on Repositories."""

    def __init__(self, stack: SoakStack, ledger: Ledger, observer: Observer, asker: Asker, findings: Findings) -> None:
        """Create the actions of the administrator."""
        self._stack = stack
        self._ledger = ledger
        self._observer = observer
        self._asker = asker
        self._findings = findings

    async def sync(self, place: Place, token: str) -> None:
        """Ask for a sync, and wait until it was made.

        Raises:
            CutOff: The run is over.
        """
        admin, body = self._stack.admin, bodies.reconcile_now(token)
        await self._asker.ask(partial(admin.merge_patch, REPOSITORIES, place.namespace, place.repository, body))
        while (await self._read(place)).get("status", {}).get("observedReconcileNow") != token:
            await self._asker.pause()

    async def commit(self, place: Place, token: str) -> None:
        """Push a file beside all packages to the branch of published packages.

        Raises:
            CutOff: The run is over; it may or may not have been done.
        """
        url, attempts = f"{self._stack.git_url}/{place.git}.git", list[str]()
        while True:
            try:
                commit = await asyncio.to_thread(push_readme, url, token, ADMINISTRATOR, attempts)
            except GitFailed:
                await self._asker.pause()
            else:
                self._ledger.commits[place.git].append(commit)
                return

    async def reregister(self, place: Place, *, now: bool = False) -> None:
        """Delete a Repository, wait until it and its objects are gone, and make it again.

        Nobody else may act on its objects meanwhile.

        Args:
            place: The Repository.
            now: Whether to do it in the middle of work.

        Raises:
            CutOff: The run is over.
        """
        await (self._abandon(place) if now else self._until_settled(place))
        admin = self._stack.admin
        await self._asker.ask(partial(admin.delete, REPOSITORIES, place.namespace, place.repository))
        await self._until_gone(place)
        await self._make(place)
        for promise in self._ledger.of(place):
            # Git never had it, and a suspension is of the object that is gone.
            promise.wanted = frozenset({GONE}) if promise.stalled else promise.wanted
            promise.suspended = False
        await self._until_settled(place)

    async def _abandon(self, place: Place) -> None:
        """Expect nothing more of objects that are not settled."""

        async def read() -> Object:
            # Not what the watch has shown: that may be older than what was asked last.
            listed = self._stack.admin.list_all(PACKAGEREVISIONS, place.namespace)
            return {obj["metadata"]["name"]: obj async for obj in listed}

        objects = await self._asker.ask(read)
        for promise in self._ledger.of(place):
            promise.abandoned |= bool(why_unsettled(promise, objects.get(promise.key.name)))

    async def _until_settled(self, place: Place) -> None:
        while any(self._why_unsettled(promise) for promise in self._ledger.of(place)):
            await self._asker.pause()

    def _why_unsettled(self, promise: Promise) -> str:
        if self._ledger.is_open(promise):
            return ""
        return why_unsettled(promise, self._observer.get(promise.key))

    async def _until_gone(self, place: Place) -> None:
        until = time.monotonic() + _LONGEST_SECONDS
        while await self._read(place):
            if time.monotonic() > until:
                self._findings.add([Violation("repositories", str(place), "it was deleted, and must be gone")])
            await self._asker.pause()

    async def _read(self, place: Place) -> Object:
        async def read() -> Object:
            try:
                return await self._stack.admin.get(REPOSITORIES, place.namespace, place.repository)
            except NotFound:
                return {}

        return await self._asker.ask(read)

    async def _make(self, place: Place) -> None:
        async def create() -> Object:
            try:
                return await self._stack.admin.create(REPOSITORIES, repository(self._stack, place))
            except AlreadyExists:
                return {}

        await self._asker.ask(create)
        while not raw_holding(await self._read(place), "Ready"):
            await self._asker.pause()
