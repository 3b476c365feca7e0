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

from porchflow.gitrepo.errors import GitConflict, GitError, GitNotFound, GitUnavailable
from porchflow.gitrepo.remote import transport
from porchflow.gitrepo.remote.remote import Remote
from porchflow.gitrepo.remote.stats import Tally
from porchflow.gitrepo.remote.transport import Refs, RefUpdate

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
_MOST_PUSHED = 1_000
"""Refs kept that were pushed and not fetched since."""


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

    def __init__(self, path: Path, others: Callable[[], Iterable[Path]] = tuple) -> None:
        """Create a cache.

        Args:
            path: Folder of the repository, which is made at the first use.
            others: Returns the folders of other processes' caches.
        """
        self._path = path
        self._others = others
        self._alone = False
        self._generation = 0
        self._uses = 0
        self._lent = 0
        self._bloated = False
        self._lock = threading.RLock()
        self._idle: deque[_Handle] = deque(maxlen=_IDLE_HANDLES)
        self._pushed: dict[str, pygit2.Oid] = {}
        self.network = threading.Lock()
        """Lock for changes of the local repository's refs."""
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

    def list_refs(self, repo: pygit2.Repository, remote: Remote) -> Refs:
        """List the remote's branches and tags."""
        with self.listings.one():
            return transport.list_refs(repo, remote)

    def fetch(self, repo: pygit2.Repository, remote: Remote, refs: Refs, wanted: Iterable[str]) -> None:
        """Fetch the missing objects of refs (by full name) and commits (by id).

        Raises:
            GitNotFound: The remote does not give a commit.
            GitConflict: A ref moved during the fetch.
        """
        with self.network:
            missing = [item for item in dict.fromkeys(wanted) if not _present(repo, refs, item)]
            if not missing:
                return
            with contextlib.suppress(pygit2.GitError, KeyError):
                transport.prune(repo, refs)
            self._note_pushed(repo, refs)
            self._fetch_missing(repo, remote, refs, missing)

    def _fetch_missing(self, repo: pygit2.Repository, remote: Remote, refs: Refs, missing: list[str]) -> None:
        names = {str(oid): ref for ref, oid in refs.items()}
        wanted = [names.get(item, item) for item in missing]
        try:
            self._fetch_now(repo, remote, wanted)
        except GitError:
            if all(item.startswith("refs/") for item in wanted):
                raise
            self._fetch_all(repo, remote)
        for item in missing:
            if not _present(repo, refs, item):
                raise _not_given(remote, item)

    def _fetch_all(self, repo: pygit2.Repository, remote: Remote) -> None:
        """Fetch all branches and tags, which may hold a commit that the server does not give by its id.

        Servers close the connection for an unknown id, which looks like a broken network. The listing fails only for
        the latter.
        """
        refs = self.list_refs(repo, remote)
        if absent := missing_refs(repo, refs, refs):
            self._fetch_now(repo, remote, absent)

    def _fetch_now(self, repo: pygit2.Repository, remote: Remote, wanted: Iterable[str]) -> None:
        with self.fetches.one():
            transport.fetch(repo, remote, wanted)

    def track(self, updates: Iterable[RefUpdate]) -> None:
        """Record pushed refs, so that the next fetch does not transfer their objects.

        This only saves time, so records beyond a limit are dropped. The refs are not written before the next fetch:
        making and removing the refs of drafts costs as much as making their commits.
        """
        with self._lock:
            for update in updates:
                self._pushed.pop(update.ref, None)
                if update.new is not None:
                    self._pushed[update.ref] = update.new
            for ref in list(itertools.islice(self._pushed, max(0, len(self._pushed) - _MOST_PUSHED))):
                del self._pushed[ref]

    def _note_pushed(self, repo: pygit2.Repository, refs: Refs) -> None:
        with self._lock:
            pushed, self._pushed = self._pushed, {}
        for ref, oid in pushed.items():
            if ref in refs:
                try:
                    transport.track(repo, ref, oid)
                except (pygit2.GitError, ValueError, OSError) as error:
                    logger.debug("cannot note %s locally: %s", ref, error)

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
        self._pushed.clear()
        shutil.rmtree(self._path, ignore_errors=True)
        fresh = self._path.with_suffix(".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.parent.mkdir(parents=True, exist_ok=True)
        repo = pygit2.init_repository(str(fresh), bare=True)
        # Otherwise libgit2 would follow a redirect to any host, and send it the credentials. Within a host it always
        # follows.
        repo.config["http.followRedirects"] = False
        # No search for deltas: it costs three times the processor time that the saved bytes are worth.
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
        oid = refs.get(item)
        return oid is None or oid in repo
    return item in repo


def _not_given(remote: Remote, item: str) -> GitError:
    if item.startswith("refs/"):
        return GitConflict(f"{item} of {remote.display} moved while it was fetched")
    return GitNotFound(f"{remote.display} has no commit {item}")
