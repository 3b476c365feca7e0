"""Requests to a remote: list, fetch, push. Blocking; every error leaves as one of ours, without secrets."""

import contextlib
import errno
import logging
import shutil
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

import pygit2

from porchflow.api.git_address import without_secrets
from porchflow.api.networks import DeniedNetworks
from porchflow.api.newest import Newest
from porchflow.gitrepo.errors import (
    GitAddressDenied,
    GitAuthError,
    GitConflict,
    GitError,
    GitUnavailable,
    not_stored,
)
from porchflow.gitrepo.refs import HEADS, TAGS, short_ref
from porchflow.gitrepo.remote.call import Call, Timeouts
from porchflow.gitrepo.remote.channel import Channel
from porchflow.gitrepo.remote.credential_backoff import Refusals
from porchflow.gitrepo.remote.dialing import Names
from porchflow.gitrepo.remote.http.http_channel import HttpChannel, Route, StaleRouteError
from porchflow.gitrepo.remote.http.http_client import IdleClients
from porchflow.gitrepo.remote.incoming import IncompletePackError, Unpacking, quarantine
from porchflow.gitrepo.remote.outgoing import objects_to_send, pack_of
from porchflow.gitrepo.remote.protocol import wire
from porchflow.gitrepo.remote.protocol.wire import RECEIVE_PACK, UPLOAD_PACK, ZERO, Advertisement
from porchflow.gitrepo.remote.remote import Remote
from porchflow.gitrepo.remote.ssh.ssh_channel import SshChannel

logger = logging.getLogger(__name__)

BRANCHES_AND_TAGS: Final = (HEADS, TAGS)
T = TypeVar("T")

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE}
"""Errors of this machine, which say nothing about a cache."""
_MOST_ROUTES = 1000
_V2 = 2


class Refs(Mapping[str, pygit2.Oid]):
    """Branches and tags of a remote by full ref name. An annotated tag's id is the tag object's. Never changed.

    Ids are read when somebody asks for them: of thousands of refs most callers look at a few.
    """

    def __init__(self, ids: Mapping[str, str], listed: tuple[str, ...] = BRANCHES_AND_TAGS) -> None:
        """Create from a listing.

        Args:
            ids: In hexadecimal.
            listed: Begins of the names that were asked for. What others begin with is not known.
        """
        self.ids = ids
        self._listed = listed

    def __getitem__(self, ref: str) -> pygit2.Oid:
        self._check(ref)
        return pygit2.Oid(hex=self.ids[ref])

    def __iter__(self) -> Iterator[str]:
        return iter(self.ids)

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, ref: object) -> bool:
        self._check(str(ref))
        return ref in self.ids

    def _check(self, begin: str) -> None:
        """A ref that nobody asked the server for must not look like one that it lacks."""
        if self._listed != BRANCHES_AND_TAGS and not begin.startswith(self._listed):
            raise AssertionError(f"{begin} is not in a list of {', '.join(self._listed)}")

    def directly_below(self, folder: str) -> dict[str, pygit2.Oid]:
        """Return the refs one level below a folder, such as `refs/tags/P`, without a scan of all others."""
        self._check(f"{folder}/")
        return {ref: self[ref] for ref in self._folders.get(folder, ())}

    def folders_below(self, folder: str) -> list[str]:
        """The folders further below a folder that hold refs, found likewise; that folder is not among them."""
        self._check(f"{folder}/")
        # "0" comes right after "/".
        first, end = (bisect_left(self._sorted_folders, folder + after) for after in "/0")
        return self._sorted_folders[first:end]

    @cached_property
    def _sorted_folders(self) -> list[str]:
        return sorted(self._folders)

    @cached_property
    def _folders(self) -> dict[str, list[str]]:
        folders: dict[str, list[str]] = {}
        for ref in self.ids:
            folders.setdefault(ref[: ref.rfind("/")], []).append(ref)
        return folders


@dataclass(frozen=True)
class RefUpdate:
    """One ref to change, with its expected state: a compare-and-swap."""

    ref: str
    old: pygit2.Oid | None
    """None: the ref must not exist."""
    new: pygit2.Oid | None
    """None: delete the ref."""

    def __str__(self) -> str:
        return f"{short_ref(self.ref)} ({_short(self.old)} -> {_short(self.new)})"


@dataclass(frozen=True)
class PushReport:
    """A server's answer to a push."""

    refused: Mapping[str, str]
    """Refs that it did not update, each with its reason."""
    words: str
    """Output of the server's hooks."""


class PushSession:
    """A connection for one push: the push is checked against the refs that the server advertised on it.

    Leave it as a context manager.
    """

    def __init__(
        self, transport: "Transport", remote: Remote, channel: Channel, server: Advertisement, call: Call
    ) -> None:
        """Create a session.

        Args:
            transport: The network that the session is part of.
            remote: The repository.
            channel: An open channel to its service of pushes; the session closes it.
            server: The server's first words on the channel.
            call: The call that the session is; its time runs.
        """
        self.remote = remote
        self.refs = _refs(server.refs)
        self.takes_whole = server.offers("atomic")
        """Whether the server can apply all updates of a push or none."""
        self._transport = transport
        self._channel = channel
        self._server = server
        self._call = call

    def push(self, repo: pygit2.Repository, updates: Iterable[RefUpdate], *, whole: bool = False) -> PushReport:
        """Send updates in one push.

        Args:
            repo: Has the objects.
            updates: One for each ref.
            whole: Request that the server applies all of them or none; only where it offers that.

        Raises:
            GitConflict: A ref is not where its update expects it; nothing was sent.
            GitError: Which updates were applied is not known.
        """
        updates = list(updates)
        for update in updates:
            if self.refs.get(update.ref) != update.old:
                raise GitConflict(f"{update.ref} of {self.remote.display} moved to {_short(self.refs.get(update.ref))}")
        with self._transport.asking(self.remote, "push to a branch or tag"):
            report = self._send(repo, updates, whole=whole)
        said = str(report.words)
        if report.unpacked not in {"", "ok"}:
            raise not_stored(self.remote.display, f"{said}\n{report.unpacked}".strip())
        answers = {
            update.ref: report.answers.get(update.ref, "the server did not say what it did") for update in updates
        }
        return PushReport({ref: why for ref, why in answers.items() if why is not None}, said)

    def _send(self, repo: pygit2.Repository, updates: Sequence[RefUpdate], *, whole: bool) -> wire.Report:
        commands = [(_hex(update.old), _hex(update.new), update.ref) for update in updates]
        head = wire.push(self._server, commands, whole=whole)
        tips = [update.new for update in updates if update.new]
        if not tips:
            return wire.read_report(self._server, self._channel.request(len(head), [head]))
        there = set(self._server.refs.values())
        objects = objects_to_send(repo, tips, there)
        with pack_of(repo, objects, thin=not self._server.offers("no-thin")) as (size, pack):
            answer = self._channel.request(len(head) + size, chain([head], pack))
            return wire.read_report(self._server, answer)

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()
        self._call.__exit__(None, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Transport:
    """The network of one process to Git servers. Safe to use from several threads."""

    def __init__(self, folder: Path, timeouts: Timeouts | None = None, denied: DeniedNetworks | None = None) -> None:
        """Create the transport; nothing is sent yet.

        Args:
            folder: For files of connections in progress; only this process writes to it.
            timeouts: Limits on the time of requests.
            denied: Networks that no server may be in whose address an author of packages chose; none by default.
        """
        self.timeouts = timeouts or Timeouts()
        self._names = Names(denied)
        self._folder = folder
        shutil.rmtree(folder, ignore_errors=True)
        self._refusals = Refusals()
        self._idle = IdleClients()
        self._unpacking = Unpacking()
        self._lock = threading.Lock()
        self._routes = Newest[tuple[str, str, str], Route](_MOST_ROUTES)

    def list_refs(
        self, remote: Remote, prefixes: Iterable[str] = BRANCHES_AND_TAGS, *, call: Call | None = None
    ) -> Refs:
        """List the remote's branches and tags.

        Args:
            remote: The repository.
            prefixes: Begins of the full names of those that are wanted: below `refs/heads/` or `refs/tags/`. A server
                without version 2 lists all of them.
            call: Ends the request from another thread.
        """
        prefixes = tuple(prefixes)

        def ask(channel: Channel) -> Refs:
            server = channel.advertisement()
            if server.version != _V2:
                return _refs(server.refs)
            request = wire.ls_refs(server, prefixes)
            return _refs(wire.read_listing(channel.request(len(request), [request])), prefixes)

        with self.asking(remote, "list the refs"), self._call(call) as limited:
            return self._ask(remote, limited, ask)

    def open_push(self, remote: Remote) -> PushSession:
        """Connect for a push; the session's refs are the remote's at this moment."""
        call = Call().limited(self.timeouts.whole)
        with contextlib.ExitStack() as stack, self.asking(remote, "open a push"):
            stack.push(call)
            channel: Channel = self._channel(remote, RECEIVE_PACK, call)
            stack.push(channel)
            session = PushSession(self, remote, channel, channel.advertisement(), call)
            stack.pop_all()
            return session

    def fetch(
        self,
        remote: Remote,
        wants: Sequence[str],
        *,
        haves: Sequence[str],
        repository: Path,
        others: Sequence[Path] = (),
        call: Call | None = None,
    ) -> None:
        """Fetch objects by their ids, with everything that they need, and nothing else.

        Args:
            remote: The repository.
            wants: Ids; at least one.
            haves: Ids of commits that are present with everything that they need.
            repository: The local repository.
            others: Further local repositories, whose objects count as present.
            call: Ends the request from another thread.

        Raises:
            IncompletePackError: The local repository lacks what `haves` need.
        """
        with self.asking(remote, "fetch"), self._call(call) as limited, quarantine(repository) as folder:
            pack = folder / "pack.incoming"

            def ask(channel: Channel) -> None:
                with pack.open("wb") as file:
                    server = channel.advertisement()
                    request = wire.fetch(server, wants, haves)
                    wire.read_pack(server, channel.request(len(request), [request]), file.write)

            self._ask(remote, limited, ask)
            try:
                self._unpacking.take_in(pack, repository, others, limited)
            except IncompletePackError as error:
                if haves:
                    raise
                raise GitUnavailable(f"the server sends a pack that lacks objects: {error}") from None

    def close(self) -> None:
        """Close the connections that nobody uses."""
        self._idle.close()
        self._names.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    @contextlib.contextmanager
    def asking(self, remote: Remote, doing: str) -> Iterator[None]:
        """Name the remote in errors of a request, and make refused credentials wait before their next use."""
        self._refusals.check(remote.account)
        try:
            yield
        except GitError as error:
            ours = error
            if remote.display not in str(error):
                ours = type(error)(without_secrets(f"cannot {doing} of {remote.display}: {error}"))
            if isinstance(ours, GitAuthError):
                self._refusals.note(remote.account, ours)
            self._forget(remote)
            raise ours from None
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            raise GitUnavailable(f"cannot {doing} of {remote.display}: {error}; see GIT_CACHE_DIR") from None
        self._refusals.forget(remote.account)

    def _ask(self, remote: Remote, call: Call, ask: Callable[[Channel], T]) -> T:
        """Read from a server; from the start where it does not serve any more what an earlier request found."""
        channel = self._channel(remote, UPLOAD_PACK, call)
        try:
            with channel, _hushing(remote, channel):
                result = ask(channel)
        except StaleRouteError:
            self._forget(remote)
            channel = self._channel(remote, UPLOAD_PACK, call, remembers=False)
            with channel, _hushing(remote, channel):
                result = ask(channel)
        self._note(remote, channel)
        return result

    @contextlib.contextmanager
    def _call(self, call: Call | None) -> Iterator[Call]:
        with (call or Call()).limited(self.timeouts.whole) as limited:
            yield limited

    def _channel(self, remote: Remote, service: str, call: Call, *, remembers: bool = True) -> HttpChannel | SshChannel:
        if remote.is_ssh:
            return SshChannel(
                remote, service, call=call, timeouts=self.timeouts, names=self._names, folder=self._folder
            )
        with self._lock:
            route = self._routes.get(remote.identity) if service == UPLOAD_PACK and remembers else None
        return HttpChannel(
            remote, service, call=call, timeouts=self.timeouts, idle=self._idle, names=self._names, route=route
        )

    def _note(self, remote: Remote, channel: Channel) -> None:
        """Remember that a server speaks version 2, which saves the first request."""
        if not isinstance(channel, HttpChannel) or channel.route is None or channel.route.server.version != _V2:
            return
        with self._lock:
            self._routes.put(remote.identity, channel.route)

    def _forget(self, remote: Remote) -> None:
        with self._lock:
            self._routes.pop(remote.identity)


@contextlib.contextmanager
def _hushing(remote: Remote, channel: Channel) -> Iterator[None]:
    """Tell the author who chose an address inside the network nothing of what answers there; the log has it.

    Errors that leave as they are: the credentials were refused, which the author holds; the address is denied; the
    server has proved to be one of Git.
    """
    try:
        yield
    except (GitAddressDenied, StaleRouteError):
        raise
    except GitError as error:
        is_own = isinstance(error, GitAuthError) and remote.credentials is not None
        if channel.tells or channel.is_git or is_own:
            raise
        logger.warning("an author's address %s: %s", remote.display, error)
        raise GitUnavailable(
            f"no Git repository can be read at {remote.display}; it is inside of the network, so that only the log of"
            " the worker says why: correct the address, or ask the administrator to register the repository"
        ) from None


def _refs(found: Mapping[str, str], listed: tuple[str, ...] = BRANCHES_AND_TAGS) -> Refs:
    return Refs({name: oid for name, oid in found.items() if name.startswith(BRANCHES_AND_TAGS)}, listed)


def _hex(oid: pygit2.Oid | None) -> str:
    return str(oid) if oid else ZERO


def _short(oid: pygit2.Oid | None) -> str:
    return str(oid)[:12] if oid else "nothing"
