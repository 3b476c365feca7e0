"""Bare repositories on the local disk that hold what was fetched and made. Each can be deleted at any time."""

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
"""Uses of a repository between two looks at its size."""
_MOST_PACKS = 100
"""libgit2 asks every pack for every object; each fetch leaves one."""
_MOST_LOOSE = 10_000
"""A push reads the tips of all refs, several times slower from loose objects than from a pack."""
_INDEX_ENTRY_BYTES = 32
_MOST_PUSHED = 1_000
"""Refs that were pushed and not fetched since."""


class CacheDamagedError(Exception):
    """The local repository does not hold what it should; it is made again."""


_DAMAGE = (CacheDamagedError, pygit2.GitError, KeyError, OSError)
"""What a broken or deleted repository shows itself by; errors of the network have become ours before."""


@dataclass(eq=False)
class _Handle:
    repo: pygit2.Repository
    others: set[Path] = field(default_factory=set)

    def look_into(self, others: Iterable[Path]) -> None:
        """Find the objects of other caches from now on; there is no way to stop that."""
        for path in others:
            if path not in self.others:
                self.repo.odb.add_disk_alternate(str(path / "objects"))
                self.others.add(path)


class RepositoryCache:
    """The local repository of one remote repository, however its address is spelled. Safe to use from several threads.

    What other processes of this machine fetched or made is found in their caches, which may go at any time: what is
    missed then makes this one damaged, and it stands alone until the next upkeep. Two that each rely on what the other
    has dropped would else make each other damaged in turns.
    """

    def __init__(self, path: Path, others: Callable[[], Iterable[Path]] = tuple) -> None:
        """Take the folder, which is made at first use, and what names the caches of other processes."""
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
        """Held while refs of the local repository change."""
        self.listings = Tally()
        self.fetches = Tally()

    def run(self, work: Callable[[pygit2.Repository], T]) -> T:
        """Do work on the repository; done a second time, on a fresh one, when the first found it damaged.

        Raises:
            GitError: The work's own, or GitUnavailable where a fresh repository does not help either.
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
        """Delete the repository unless somebody uses it now; at its next use it is made again."""
        with self._lock:
            if self._lent:
                return False
            self._generation += 1
            self._idle.clear()
            shutil.rmtree(self._path, ignore_errors=True)
            return True

    def list_refs(self, repo: pygit2.Repository, remote: Remote) -> Refs:
        """Ask the remote for its branches and tags."""
        with self.listings.one():
            return transport.list_refs(repo, remote)

    def fetch(self, repo: pygit2.Repository, remote: Remote, refs: Refs, wanted: Iterable[str]) -> None:
        """Fetch what is missing of some refs (by full name) and commits (by id).

        Raises:
            GitNotFound: The remote does not give a commit.
            GitConflict: A ref went while it was fetched.
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
        """Fetch every branch and tag: a commit that the server does not give by its id may be below one of them.

        Servers refuse an unknown id by hanging up, which looks like a broken network; the listing tells them apart.
        """
        refs = self.list_refs(repo, remote)
        if absent := missing_refs(repo, refs, refs):
            self._fetch_now(repo, remote, absent)

    def _fetch_now(self, repo: pygit2.Repository, remote: Remote, wanted: Iterable[str]) -> None:
        with self.fetches.one():
            transport.fetch(repo, remote, wanted)

    def track(self, updates: Iterable[RefUpdate]) -> None:
        """Remember what was pushed, which the next fetch need not bring.

        A help and no more, so what is too much is forgotten. Nothing is written before a fetch asks for it: to make and
        remove the refs of drafts costs as much as to make their commits.
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
        """Lend a handle that no other thread uses meanwhile: libgit2 allows one thread for each."""
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
        """Whether a fresh repository, which fetches again what is needed, is better than this one."""
        objects = self._path / "objects"
        indexes = [file.stat().st_size for file in (objects / "pack").glob("*.idx")]
        # Ids are spread evenly over the 256 folders of loose objects, so one tells the size of all.
        loose = 256 * sum(1 for _ in (objects / "17").glob("*"))
        # Not before it has doubled: fetching a large repository again costs more.
        return len(indexes) > _MOST_PACKS or loose > max(_MOST_LOOSE, sum(indexes) // _INDEX_ENTRY_BYTES)

    def _initialize(self) -> None:
        """Make the repository; it appears under its name only when it is whole."""
        self._generation += 1
        self._bloated = False
        self._idle.clear()
        self._pushed.clear()
        shutil.rmtree(self._path, ignore_errors=True)
        fresh = self._path.with_suffix(".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.parent.mkdir(parents=True, exist_ok=True)
        repo = pygit2.init_repository(str(fresh), bare=True)
        # Else libgit2 follows a redirect to any host and gives it the credentials. Within a host it follows anyway.
        repo.config["http.followRedirects"] = False
        # No search for deltas: it costs three times the processor time that the bytes it saves are worth.
        repo.config["pack.windowMemory"] = 1
        fresh.rename(self._path)

    def _remake(self, generation: int) -> None:
        with self._lock:
            self._alone = True
            if generation == self._generation:
                self._initialize()


def missing_refs(repo: pygit2.Repository, refs: Refs, wanted: Iterable[str]) -> list[str]:
    """Name the wanted refs and commits whose objects are not here yet."""
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
