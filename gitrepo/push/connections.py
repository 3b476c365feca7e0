"""The remotes of a process, and the resources that they share: threads, caches, settings of libgit2."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from weakref import WeakValueDictionary

import pygit2
from pygit2.enums import ConfigLevel

from porchflow.api.networks import DeniedNetworks
from porchflow.gitrepo.push.connection import Connection, Pools, PushQueue
from porchflow.gitrepo.remote.call import Timeouts
from porchflow.gitrepo.remote.remote import Remote
from porchflow.gitrepo.remote.stats import GitStats, PushStats
from porchflow.gitrepo.remote.transport import Transport
from porchflow.gitrepo.store.cache import RepositoryCache
from porchflow.gitrepo.store.folders import CacheFolder
from porchflow.gitrepo.store.package_state import Knowledge

_MOST_CONNECTIONS = 2_000
_MIB = 1024 * 1024
_OBJECT_CACHE_BYTES = 64 * _MIB
_MAPPED_WINDOW_BYTES = 256 * _MIB


class Connections:
    """One connection for each remote and its credentials; all connections to one repository share a cache."""

    def __init__(
        self,
        cache_dir: Path,
        *,
        threads: int,
        network_threads: int,
        group_limit: int,
        timeouts: Timeouts,
        denied: DeniedNetworks | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create the connections, with a sub-folder of `cache_dir` for the caches; see `GitStore`."""
        self._clock = clock
        self._group_limit = group_limit
        self._folder = CacheFolder(cache_dir)
        self.transport = Transport(self._folder.path / "connections", timeouts, denied)
        self._network = ThreadPoolExecutor(network_threads, "git-network")
        self._local = ThreadPoolExecutor(threads, "git-local")
        self._caches: dict[str, tuple[RepositoryCache, Knowledge]] = {}
        self._connections: OrderedDict[tuple[str, str, str], Connection] = OrderedDict()
        self._queues: WeakValueDictionary[tuple[str, str], PushQueue] = WeakValueDictionary()
        """Each lives as long as one of the connections that share it."""
        self._pushed = PushStats()

    @property
    def path(self) -> Path:
        """The sub-folder that this process writes to."""
        return self._folder.path

    def to(self, remote: Remote) -> Connection:
        """Return the connection to a remote, which is opened at its first use."""
        connection = self._connections.get(remote.identity)
        if connection is not None:
            self._connections.move_to_end(remote.identity)
        else:
            cache, knowledge = self._cache(remote.place)
            connection = Connection(
                cache,
                knowledge,
                remote,
                stats=self._pushed,
                pools=Pools(self._network, self._local),
                pushes=self._queue(remote),
                clock=self._clock,
            )
            self._connections[remote.identity] = connection
            self._drop_idle()
        return connection

    def _drop_idle(self) -> None:
        """Drop connections that were not used for the longest time: credentials that change leave theirs behind."""
        spare = len(self._connections) - _MOST_CONNECTIONS
        if spare > 0:
            idle = (identity for identity, each in self._connections.items() if each.is_idle)
            for identity in list(islice(idle, spare)):
                del self._connections[identity]

    def _queue(self, remote: Remote) -> PushQueue:
        queue = self._queues.get(remote.account)
        if queue is None:
            turn = self._folder.turn(remote.place)
            queue = PushQueue(remote.display, self._network, turn=turn, limit=self._group_limit)
            self._queues[remote.account] = queue
        return queue

    def _cache(self, place: str) -> tuple[RepositoryCache, Knowledge]:
        if place not in self._caches:
            others = partial(self._folder.others, place)
            self._caches[place] = (RepositoryCache(self._folder.repository(place), self.transport, others), Knowledge())
        return self._caches[place]

    async def forget(self, place: str) -> None:
        """Delete the cache of a repository, unless it is used now."""
        if place in self._caches:
            cache, _ = self._caches[place]
            await asyncio.to_thread(cache.discard)

    def stats(self, *, bytes_read: int) -> GitStats:
        """Return the counts since the start."""
        caches = [cache for cache, _ in self._caches.values()]
        listings, fetches = (cache.listings for cache in caches), (cache.fetches for cache in caches)
        return GitStats.of(self._pushed, listings, fetches, bytes_read=bytes_read)

    async def aclose(self) -> None:
        """Drop the requests that wait, wait for those in progress, free the cache folder."""
        for queue in list(self._queues.values()):
            await queue.close()
        for connection in self._connections.values():
            await connection.close()
        for pool in (self._network, self._local):
            await asyncio.to_thread(pool.shutdown)
        await asyncio.to_thread(self.transport.close)
        self._folder.close()


def configure_libgit2() -> None:
    """Set the options that libgit2 keeps for the whole process; it reads and writes objects, and knows no network."""
    pygit2.settings.cache_max_size(_OBJECT_CACHE_BYTES)
    pygit2.settings.mwindow_mapped_limit = _MAPPED_WINDOW_BYTES
    for level in (ConfigLevel.PROGRAMDATA, ConfigLevel.SYSTEM, ConfigLevel.XDG, ConfigLevel.GLOBAL):
        # A user's Git configuration on this machine, such as rewritten URLs, must not change the behaviour of a worker.
        pygit2.settings.search_path[level] = ""
