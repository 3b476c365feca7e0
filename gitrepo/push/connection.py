"""One remote as the process uses it: its cache, and one listing, fetch and push at a time, shared by all callers."""

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TypeVar

import pygit2
from opentelemetry import trace

from porchflow.gitrepo.errors import GitAuthError, GitError, GitNotFound, GitUnavailable
from porchflow.gitrepo.push.batching import Batcher, QueueFullError, shared_error
from porchflow.gitrepo.push.changes import Change, PushResult
from porchflow.gitrepo.push.grouped import Pusher
from porchflow.gitrepo.refs import branch_ref
from porchflow.gitrepo.remote.remote import Remote
from porchflow.gitrepo.remote.stats import PushStats
from porchflow.gitrepo.remote.transport import BRANCHES_AND_TAGS, Refs
from porchflow.gitrepo.store.cache import RepositoryCache, missing_refs
from porchflow.gitrepo.store.folders import Turn
from porchflow.gitrepo.store.object_copy import carry
from porchflow.gitrepo.store.package_state import Knowledge
from porchflow.gitrepo.store.ref_view import RefView

T = TypeVar("T")

_tracer = trace.get_tracer("porchflow")

PROOF_SECONDS = 300.0
"""Seconds for which credentials that the server accepted open the cache: the longest delay of a revocation."""

_FEW = (branch_ref("main"),)
"""Names that a listing asks for which only has to succeed."""
_MOST_PREFIXES = 64
"""Servers compare each of their refs with each prefix, so many prefixes cost more than all refs."""
_GATHERING_SECONDS = 0.005
"""Seconds that a lone push waits for others: little beside the time of a push."""
_PATIENCE = 1.0
"""Seconds that a push to the branch waits for its turn at least: longer than most pushes take."""
_SHORT_PATIENCE = 0.05
"""Seconds that other pushes wait: about as long as one to a near server."""
_PUSHES_PATIENT = 3
"""Pushes, each as long as the last one, that a push to the branch waits for: a lost race costs it two."""
_MOST_WAITING = 2_000
"""Changes that wait for one remote; at a hundred in a push that is twenty pushes."""


@dataclass(frozen=True)
class Pools:
    """The threads of a store."""

    network: Executor
    """For work that waits for servers; a server that hangs must not block other work."""
    local: Executor
    """For reading and writing objects."""


@dataclass(frozen=True)
class _Want:
    refs: Refs
    items: tuple[str, ...]


@dataclass(frozen=True)
class _Push:
    change: Change
    pusher: Pusher


class PushQueue:
    """Changes that wait for one repository; while one push is in flight the next group gathers.

    All spellings of the repository's address share it, with the same credentials. Each change goes to the address as
    its user wrote it.
    """

    def __init__(self, display: str, pool: Executor, *, turn: Turn, limit: int) -> None:
        """Create the queue.

        Args:
            display: The repository's address, for people.
            pool: Threads for pushes.
            turn: The repository's turn among the processes of this machine.
            limit: Changes in a push at most.
        """
        self._display = display
        self._turn = turn
        self._seconds = 0.0
        self._batcher: Batcher[_Push, PushResult] = Batcher(
            self._push_all,
            pool,
            limit=limit,
            gathering=_GATHERING_SECONDS,
            most_waiting=_MOST_WAITING,
            irrevocable=True,
            turn=self._wait_for_turn,
        )

    async def submit(self, change: Change, pusher: Pusher) -> PushResult:
        """Bring a change to the remote of `pusher`.

        A cancelled change whose group has not gone out is dropped. After that the caller waits for the end of the push,
        because its next step must see the result.

        Raises:
            GitError: Of this change alone, or the error that kept the whole group from the server.
            GitUnavailable: Also where so many changes wait that this one would not be pushed in any useful time.
        """
        try:
            return await self._batcher.submit(_Push(change, pusher))
        except QueueFullError as error:
            raise GitUnavailable(f"{self._display} accepts changes more slowly than they come: {error}") from error

    @property
    def is_idle(self) -> bool:
        """Whether no change waits or is pushed."""
        return self._batcher.is_idle

    async def close(self) -> None:
        """Drop the changes that wait, and wait for the push in flight."""
        await self._batcher.close()

    def _wait_for_turn(self, pushes: Sequence[_Push]) -> AbstractAsyncContextManager[None]:
        if any(push.change.moves_branch for push in pushes):
            return self._turn.taken(max(_PATIENCE, _PUSHES_PATIENT * self._seconds))
        return self._turn.taken(_SHORT_PATIENCE)

    def _push_all(self, pushes: Sequence[_Push]) -> list[PushResult | Exception]:
        began = time.monotonic()
        groups: dict[Pusher, list[int]] = {}
        for number, push in enumerate(pushes):
            groups.setdefault(push.pusher, []).append(number)
        results: dict[int, PushResult | Exception] = {}
        for pusher, numbers in groups.items():
            results.update(zip(numbers, _push_group(pusher, [pushes[each].change for each in numbers]), strict=True))
        self._seconds = time.monotonic() - began
        return [results[number] for number in range(len(pushes))]


def _push_group(pusher: Pusher, changes: Sequence[Change]) -> Sequence[PushResult | Exception]:
    try:
        return pusher.push_group(changes)
    except Exception as error:  # noqa: BLE001 - it is the result of each change, and of no other spelling's
        return shared_error(error, len(changes))


class Connection:
    """A remote with everything that the process keeps for it."""

    def __init__(
        self,
        cache: RepositoryCache,
        knowledge: Knowledge,
        remote: Remote,
        *,
        stats: PushStats,
        pools: Pools,
        pushes: PushQueue,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create a connection; nothing is sent yet.

        Args:
            cache: Local copy of the repository; shared by all its connections.
            knowledge: Facts about the repository's objects; shared likewise.
            remote: Address and credentials.
            stats: Counts of pushes.
            pools: Threads.
            pushes: The push queue of the account.
            clock: Seconds; for tests.
        """
        self.knowledge = knowledge
        self.cache = cache
        self._remote = remote
        self._pools = pools
        self._clock = clock
        self._proven_until = -math.inf
        self.carrying = asyncio.Lock()
        self._listings: Batcher[tuple[str, ...], Refs] = Batcher(self._list, pools.network, limit=10_000)
        self._fetches: Batcher[_Want, None] = Batcher(self._fetch, pools.network, limit=10_000)
        self._pusher = Pusher(cache, remote, stats)
        self._pushes = pushes

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits for it, and it was not used lately."""
        unused = self._clock() >= self._proven_until and not self.carrying.locked()
        return unused and self._listings.is_idle and self._fetches.is_idle and self._pushes.is_idle

    async def refs(self, prefixes: Iterable[str] = BRANCHES_AND_TAGS) -> Refs:
        """Return the remote's branches and tags, not older than this call.

        Args:
            prefixes: Begins of the names of those that the caller reads; by default it reads all of them.
        """
        with self._span("git list"), self._proving():
            return await self._listings.submit(tuple(prefixes))

    async def push(self, change: Change) -> PushResult:
        """Bring a change to the remote; see `PushQueue.submit`."""
        with self._span("git push"), self._proving():
            return await self._pushes.submit(change, self._pusher)

    async def view(
        self,
        prefixes: Iterable[str],
        needs: Callable[[RefView], Iterable[str]],
        read: Callable[[pygit2.Repository, RefView], T],
    ) -> T:
        """Read from the remote's state as it is now.

        Args:
            prefixes: Begins of the names of all refs that `needs` and `read` look at, existing or not.
            needs: Names the refs and commits that `read` reads; one fetch brings them together with those of other
                callers.
            read: Runs on a thread.
        """
        refs = await self.refs(prefixes)

        def missing(repo: pygit2.Repository) -> list[str]:
            return missing_refs(repo, refs, needs(self._view(repo, refs)))

        if wanted := await self.local(missing):
            await self._fetched(refs, wanted)
        return await self.local(lambda repo: read(repo, self._view(repo, refs)))

    async def commit(self, commit: str, read: Callable[[pygit2.Repository], T]) -> T:
        """Read from one commit, which is fetched if the cache does not hold it.

        The first read with some credentials lists the remote's refs, and later ones do so after `PROOF_SECONDS`:
        otherwise any user who knows a commit's id could read from the cache what other users fetched.
        """
        await self._prove()
        if await self.local(lambda repo: commit not in repo):
            await self._fetched(await self.refs(), [commit])

        def held(repo: pygit2.Repository) -> T:
            # The cache that held it may have been deleted since.
            if commit not in repo:
                self.cache.fetch(repo, self._remote, self.cache.list_refs(self._remote), [commit])
            return read(repo)

        return await self.local(held)

    async def fetch(self, commits: Sequence[str]) -> None:
        """Fetch missing commits in one request; the access rule is that of `commit`."""
        await self._prove()
        if missing := await self.local(lambda repo: [commit for commit in commits if commit not in repo]):
            await self._fetched(await self.refs(), missing)

    async def local(self, work: Callable[[pygit2.Repository], T]) -> T:
        """Run work on the local repository on a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._pools.local, self.cache.run, work)

    async def carry(self, target: "Connection", roots: Sequence[str], folder: Path) -> int:
        """Copy trees and blobs into the local repository of another remote; see `carrying.carry`.

        One at a time for each remote: a caller that waits for the same objects then finds them there.
        """
        async with target.carrying:
            loop, caches = asyncio.get_running_loop(), (self.cache, target.cache)
            return await loop.run_in_executor(self._pools.local, carry, *caches, roots, folder)

    async def close(self) -> None:
        """Drop the requests that wait, and wait for those in progress."""
        await self._fetches.close()
        await self._listings.close()

    async def _fetched(self, refs: Refs, items: Sequence[str]) -> None:
        with self._span("git fetch"):
            await self._fetches.submit(_Want(refs, tuple(items)))

    async def _prove(self) -> None:
        if self._clock() >= self._proven_until:
            await self.refs(_FEW)

    @contextlib.contextmanager
    def _proving(self) -> Iterator[None]:
        """Record whether the server accepts the credentials.

        A server that hides a repository answers "not found" instead.
        """
        asked = self._clock()
        try:
            yield
        except (GitAuthError, GitNotFound):
            self._proven_until = -math.inf
            raise
        self._proven_until = asked + PROOF_SECONDS

    def _span(self, name: str) -> AbstractContextManager[trace.Span]:
        """Return a span for the wait of a caller, whose request may serve other callers too."""
        attributes = {"porchflow.git.repository": self._remote.display}
        return _tracer.start_as_current_span(name, attributes=attributes, record_exception=False)

    def _view(self, repo: pygit2.Repository, refs: Refs) -> RefView:
        return RefView(repo, refs, lambda wanted: self.cache.fetch(repo, self._remote, refs, wanted))

    def _list(self, waiting: Sequence[tuple[str, ...]]) -> list[Refs | Exception]:
        prefixes = tuple(dict.fromkeys(chain.from_iterable(waiting)))
        if len(prefixes) > _MOST_PREFIXES or not {*BRANCHES_AND_TAGS}.isdisjoint(prefixes):
            prefixes = BRANCHES_AND_TAGS
        refs = self.cache.list_refs(self._remote, prefixes, call=self._listings.call)
        return [refs] * len(waiting)

    def _fetch(self, wants: Sequence[_Want]) -> list[Exception | None]:
        # The newest listing is last. A ref that an older one named may have moved, which the fetch itself detects.
        refs = Refs({ref: oid for want in wants for ref, oid in want.refs.ids.items()})
        items = list(dict.fromkeys(item for want in wants for item in want.items))
        try:
            call = self._fetches.call
            self.cache.run(lambda repo: self.cache.fetch(repo, self._remote, refs, items, call=call))
        except GitUnavailable:
            raise
        except GitError:
            return [self._fetch_one(want) for want in wants]
        return [None] * len(wants)

    def _fetch_one(self, want: _Want) -> Exception | None:
        try:
            call = self._fetches.call
            self.cache.run(lambda repo: self.cache.fetch(repo, self._remote, want.refs, want.items, call=call))
        except GitError as error:
            return error
        return None
