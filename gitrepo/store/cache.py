"""Bare repositories on the local disk with fetched and created objects. Each may be deleted at any time."""

import contextlib
import itertools
import logging
import shutil
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import pygit2
from pygit2.enums import RepositoryOpenFlag

from porchflow.api.limits import GIT_HAVES
from porchflow.gitrepo.errors import GitConflict, GitError, GitNotFound, GitUnavailable
from porchflow.gitrepo.refs import is_object_id
from porchflow.gitrepo.remote.call import Call
from porchflow.gitrepo.remote.incoming import IncompletePackError
from porchflow.gitrepo.remote.remote import Remote
from porchflow.gitrepo.remote.stats import Tally
from porchflow.gitrepo.remote.transport import BRANCHES_AND_TAGS, Refs, RefUpdate, Transport

logger = logging.getLogger(__name__)

T = TypeVar("T")

_IDLE_HANDLES = 4
_UPKEEP_INTERVAL = 500
"""Uses of a repository between two checks of its size."""
_MOST_PACKS = 100
"""libgit2 searches every pack for every object, and each fetch adds a pack."""
_MOST_LOOSE = 10_000
"""A push reads the tips of all refs, which is several times slower from loose objects than from a pack."""
_INDEX_ENTRY_BYTES = 32
_MOST_TIPS = GIT_HAVES
_TIPS = "tips"
"""The file of a repository with the ids of commits that a fetch need not bring."""


class CacheDamagedError(Exception):
    """The local repository lacks objects that it should hold; it is made again."""


_DAMAGE = (CacheDamagedError, pygit2.GitError, KeyError, OSError)
"""Errors of a broken or deleted repository; errors of the network were turned into `GitError` before."""


@dataclass(eq=False)
class _Handle:
    repo: pygit2.Repository
    others: set[Path] = field(default_factory=set)

    def look_into(self, others: Iterable[Path]) -> None:
        """Find objects in other caches too, for the life of the handle: libgit2 cannot remove an alternate."""
        for path in others:
            if path not in self.others:
                self.repo.odb.add_disk_alternate(str(path / "objects"))
                self.others.add(path)


class RepositoryCache:
    """The local repository of one remote, for all spellings of its address. Safe to use from several threads.

    It also finds objects in the caches of other processes on this machine. Those caches may be deleted at any time. A
    missing object then counts as damage: this repository is made again, and does without the other caches until the
    next upkeep. Otherwise two caches that rely on each other's deleted objects would damage each other in turns.
    """

    def __init__(self, path: Path, transport: Transport, others: Callable[[], Iterable[Path]] = tuple) -> None:
        """Create a cache.

        Args:
            path: Folder of the repository, which is made at the first use.
            transport: The network to Git servers.
            others: Returns the folders of other processes' caches.
        """
        self.transport = transport
        self._path = path
        self._others = others
        self._alone = False
        self._generation = 0
        self._uses = 0
        self._lent = 0
        self._bloated = False
        self._lock = threading.RLock()
        self._idle: deque[_Handle] = deque(maxlen=_IDLE_HANDLES)
        self._tips: dict[str, None] = {}
        """Ids of commits that are here with everything that they need; the newest last."""
        self.network = threading.Lock()
        """Held while objects are fetched: what one fetch brings, the next one need not."""
        self.listings = Tally()
        self.fetches = Tally()

    def run(self, work: Callable[[pygit2.Repository], T]) -> T:
        """Call a function with the repository; if that is damaged, call it again with one that is made again.

        Raises:
            GitError: An error of the function, or GitUnavailable if the second call finds damage too.
        """
        generation = self._generation
        try:
            return self._with_handle(work)
        except _DAMAGE as error:
            logger.warning("the Git cache %s is made again: %s", self._path, error)
            self._remake(generation)
        try:
            return self._with_handle(work)
        except _DAMAGE as error:
            raise GitUnavailable(f"the local Git cache does not work: {error}; see GIT_CACHE_DIR") from error

    def discard(self) -> bool:
        """Delete the repository unless it is in use; the next use makes it again.

        Returns:
            Whether it was deleted.
        """
        with self._lock:
            if self._lent:
                return False
            self._generation += 1
            self._idle.clear()
            shutil.rmtree(self._path, ignore_errors=True)
            return True

    def list_refs(
        self, remote: Remote, prefixes: tuple[str, ...] = BRANCHES_AND_TAGS, *, call: Call | None = None
    ) -> Refs:
        """Ask the remote for its branches and tags, or those that begin with one of the prefixes."""
        with self.listings.one():
            return self.transport.list_refs(remote, prefixes, call=call)

    def fetch(
        self,
        repo: pygit2.Repository,
        remote: Remote,
        refs: Refs,
        wanted: Iterable[str],
        *,
        call: Call | None = None,
    ) -> None:
        """Fetch what is missing of some refs (by full name) and commits (by id).

        Raises:
            GitNotFound: The remote does not give a commit.
            GitConflict: A ref moved during the fetch.
        """
        with (call or Call()).turn(self.network):
            missing = [item for item in dict.fromkeys(wanted) if not _present(repo, refs, item)]
            if missing:
                self._fetch_missing(repo, remote, refs, missing, call)

    def _fetch_missing(
        self, repo: pygit2.Repository, remote: Remote, refs: Refs, missing: list[str], call: Call | None
    ) -> None:
        known = set(refs.ids.values())
        ids = [refs.ids[item] if item.startswith("refs/") else item for item in missing]
        for item in missing:
            if not item.startswith("refs/") and not is_object_id(item):
                raise _not_given(remote, item)
        try:
            self._fetch_now(repo, remote, ids, call)
        except GitUnavailable as error:
            if known.issuperset(ids) or (call is not None and call.ended):
                raise
            # Servers refuse an unknown id by hanging up, which looks like a broken network.
            self._fetch_all(repo, remote, call, error)
        except GitNotFound as error:
            self._fetch_all(repo, remote, call, error)
        for item in missing:
            if not _present(repo, refs, item):
                raise _not_given(remote, item)

    def _fetch_all(self, repo: pygit2.Repository, remote: Remote, call: Call | None, error: GitError) -> None:
        """Fetch every branch and tag: a commit that the server does not give by its id may be below one of them."""
        refs = self.list_refs(remote, call=call)
        if absent := missing_refs(repo, refs, refs):
            logger.debug("%s; fetching all refs of it", error)
            self._fetch_now(repo, remote, list(dict.fromkeys(refs.ids[ref] for ref in absent)), call)

    def _fetch_now(self, repo: pygit2.Repository, remote: Remote, ids: list[str], call: Call | None) -> None:
        others = [] if self._alone else list(self._others())
        with self.fetches.one():
            try:
                self.transport.fetch(
                    remote, ids, haves=self._haves(repo), repository=self._path, others=others, call=call
                )
            except IncompletePackError as error:
                raise CacheDamagedError(str(error)) from error
        self._have(ids)
        self._write_tips()

    def track(self, updates: Iterable[RefUpdate]) -> None:
        """Remember what was pushed, which the next fetch need not bring."""
        self._have([str(update.new) for update in updates if update.new is not None])

    def _have(self, ids: Iterable[str]) -> None:
        with self._lock:
            for oid in ids:
                self._tips.pop(oid, None)
                self._tips[oid] = None
            for oid in list(itertools.islice(self._tips, max(0, len(self._tips) - _MOST_TIPS))):
                del self._tips[oid]

    def _haves(self, repo: pygit2.Repository) -> list[str]:
        with self._lock:
            newest = list(reversed(self._tips))
        return [oid for oid in newest if oid in repo]

    def _write_tips(self) -> None:
        """Keep the tips for the next process; without them it would fetch again what is here."""
        partial = self._path / f"{_TIPS}.new"
        with contextlib.suppress(OSError), self._lock:
            partial.write_text("".join(f"{oid}\n" for oid in self._tips))
            partial.replace(self._path / _TIPS)

    def _read_tips(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._have(line for line in (self._path / _TIPS).read_text().split() if is_object_id(line))

    def _with_handle(self, work: Callable[[pygit2.Repository], T]) -> T:
        """Call a function with a handle that no other thread uses: libgit2 allows one thread for each handle."""
        generation, handle = self._borrow()
        try:
            if not self._alone:
                handle.look_into(self._others())
            result = work(handle.repo)
            if generation == self._generation:
                self._idle.append(handle)
            return result
        finally:
            with self._lock:
                self._lent -= 1

    def _borrow(self) -> tuple[int, _Handle]:
        with self._lock:
            self._uses += 1
            if self._uses % _UPKEEP_INTERVAL == 1:
                self._bloated = self._is_bloated()
                self._alone = False
            if not (self._path / "HEAD").exists() or (self._bloated and not self._lent):
                self._initialize()
            elif self._uses == 1:
                self._read_tips()
            bare = RepositoryOpenFlag.BARE
            handle = self._idle.pop() if self._idle else _Handle(pygit2.Repository(str(self._path), bare))
            self._lent += 1
            return self._generation, handle

    def _is_bloated(self) -> bool:
        """Return whether a fresh repository, with new fetches, would be faster than this one."""
        objects = self._path / "objects"
        indexes = [file.stat().st_size for file in (objects / "pack").glob("*.idx")]
        # Ids are spread evenly over the 256 folders of loose objects, so the size of one folder gives the size of all.
        loose = 256 * sum(1 for _ in (objects / "17").glob("*"))
        # The limit is the number of packed objects if that is larger: fetching a large repository again costs more.
        return len(indexes) > _MOST_PACKS or loose > max(_MOST_LOOSE, sum(indexes) // _INDEX_ENTRY_BYTES)

    def _initialize(self) -> None:
        """Make the repository; it gets its name only once it is complete."""
        self._generation += 1
        self._bloated = False
        self._idle.clear()
        self._tips.clear()
        shutil.rmtree(self._path, ignore_errors=True)
        fresh = self._path.with_suffix(".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.parent.mkdir(parents=True, exist_ok=True)
        repo = pygit2.init_repository(str(fresh), bare=True)
        # No search for deltas: it costs three times the processor time that the bytes it saves are worth.
        repo.config["pack.windowMemory"] = 1
        fresh.rename(self._path)

    def _remake(self, generation: int) -> None:
        with self._lock:
            self._alone = True
            if generation == self._generation:
                self._initialize()


def missing_refs(repo: pygit2.Repository, refs: Refs, wanted: Iterable[str]) -> list[str]:
    """Return the wanted refs and commits whose objects the local repository lacks."""
    return [item for item in wanted if not _present(repo, refs, item)]


def _present(repo: pygit2.Repository, refs: Refs, item: str) -> bool:
    if item.startswith("refs/"):
        oid = refs.ids.get(item)
        return oid is None or oid in repo
    return item in repo


def _not_given(remote: Remote, item: str) -> GitError:
    if item.startswith("refs/"):
        return GitConflict(f"{item} of {remote.display} moved while it was fetched")
    return GitNotFound(f"{remote.display} has no commit {item}")
