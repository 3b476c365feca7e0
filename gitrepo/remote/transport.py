"""Requests to a remote: list, fetch, push. Blocking; every error leaves as one of ours, without secrets."""

import contextlib
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

import pygit2
from pygit2.enums import CredentialType, FetchPrune
from pygit2.ffi import C
from pygit2.remotes import PushUpdate

from porchflow.api.git_address import BadAddress, parse, without_secrets
from porchflow.gitrepo.errors import (
    GitAuthError,
    GitConflict,
    GitError,
    GitHostKeyError,
    GitNotFound,
    GitQuotaExceeded,
    from_network,
    is_local,
    speaks_of_quota,
)
from porchflow.gitrepo.refs import HEADS, TAGS, short_ref
from porchflow.gitrepo.remote import atomic, redirects
from porchflow.gitrepo.remote import server_certificates as certificates
from porchflow.gitrepo.remote.credential_backoff import Refusals
from porchflow.gitrepo.remote.host_key_types import prefer_known_types
from porchflow.gitrepo.remote.known_hosts import KnownHosts
from porchflow.gitrepo.remote.peers import PeerCallbacks
from porchflow.gitrepo.remote.remote import Remote, SshKey
from porchflow.gitrepo.remote.ssh_keys import UnusableKey, key_pair


class Refs(dict[str, pygit2.Oid]):
    """Branches and tags of a remote by full ref name. An annotated tag's id is the tag object's. Never changed."""

    def directly_below(self, folder: str) -> dict[str, pygit2.Oid]:
        """Return the refs one level below a folder, such as `refs/tags/P`, without a scan of all others."""
        return self._folders.get(folder, {})

    def folders_below(self, folder: str) -> list[str]:
        """The folders further below a folder that hold refs, found likewise; that folder is not among them."""
        # "0" comes right after "/".
        first, end = (bisect_left(self._sorted_folders, folder + after) for after in "/0")
        return self._sorted_folders[first:end]

    @cached_property
    def _sorted_folders(self) -> list[str]:
        return sorted(self._folders)

    @cached_property
    def _folders(self) -> dict[str, dict[str, pygit2.Oid]]:
        folders: dict[str, dict[str, pygit2.Oid]] = {}
        for ref, oid in self.items():
            folders.setdefault(ref.rpartition("/")[0], {})[ref] = oid
        return folders


T = TypeVar("T")

_MOST_REDIRECTS = 5
_TRACKING = "refs/remotes/origin/"
_WANTED = "refs/wanted/"
_ZERO = "0" * 40
_PROBE_SECONDS = 10.0
_WORDS_LIMIT = 2000


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


_refusals = Refusals()

_Answer = pygit2.UserPass | pygit2.Username | pygit2.KeypairFromMemory


class _Callbacks(PeerCallbacks):
    def __init__(self, remote: Remote) -> None:
        super().__init__()
        self._remote = remote
        self._offered = ""
        self.words: list[str] = []
        self.answers: dict[str, str | None] = {}
        self.expected: dict[str, RefUpdate] = {}

    def custom_headers(self) -> list[str] | None:
        # Sent without waiting for a 401, which saves a request for each connection.
        authorization = self._remote.authorization
        if authorization and not (atomic.IS_INSTALLED and redirects.KNOWN_LAYOUT):
            raise GitError(
                f"nothing is sent to {self._remote.display}: with libgit2 {pygit2.LIBGIT2_VERSION} it is not known that"
                " a redirect cannot take the credentials elsewhere; install the version that is pinned"
            )
        return [f"Authorization: {authorization}"] if authorization else None

    def credentials(self, url: str, username_from_url: str | None, allowed_types: CredentialType) -> _Answer:  # noqa: ARG002
        where, named = self._remote.display, _named(self._remote)
        key = self._remote.credentials
        if isinstance(key, SshKey) and self._remote.is_ssh and not self._offered:
            return self._ssh_answer(key, allowed_types)
        # Over HTTP this is called only when the server refused the header. Another answer would loop.
        if self._remote.authorization or self._offered:
            offered = f"the {self._offered}" if self._offered else "the credentials"
            raise GitAuthError(f"{where} refused {offered}; correct {named}, or what they may do at the server")
        raise GitAuthError(f"{where} asks for credentials; name a Secret in the Repository's spec.git.secretRef")

    def _ssh_answer(self, key: SshKey, allowed: CredentialType) -> _Answer:
        if not allowed & CredentialType.SSH_MEMORY:
            if allowed & CredentialType.USERNAME:
                return pygit2.Username(self._remote.user)
            raise GitAuthError(f"{self._remote.display} takes no public keys over SSH")
        try:
            pair = key_pair(key.private_key, key.passphrase)
        except UnusableKey as error:
            named = _named(self._remote)
            raise GitAuthError(f"the private key for {self._remote.display} {error}; correct {named}") from None
        self._offered = f"key {pair.fingerprint} of user {self._remote.user!r}"
        return pygit2.KeypairFromMemory(self._remote.user, pair.public, pair.private, pair.passphrase)

    def certificate_check(self, certificate: None, valid: bool, host: bytes) -> bool:  # noqa: ARG002, FBT001 - pygit2's
        if self.certificate is not None:
            return valid or self._trusts(self.certificate)
        key = self._remote.credentials
        if self.host_key is None or not isinstance(key, SshKey):
            raise GitHostKeyError(f"the SSH server of {self._remote.display} shows no host key that can be checked")
        KnownHosts(key.known_hosts).check(self._remote.host, self._remote.port, self.host_key)
        return True

    def _trusts(self, certificate: bytes) -> bool:
        timeout = pygit2.settings.server_connect_timeout / 1000
        certificates.check_certificate(
            self._remote.host, self._remote.port, certificate, self._remote.ca_bundle, timeout=timeout or _PROBE_SECONDS
        )
        return True

    @property
    def output(self) -> str:
        """Output of the server's hooks and programs, without secrets and bounded."""
        return without_secrets("".join(self.words).strip()[:_WORDS_LIMIT])

    def sideband_progress(self, string: str) -> None:
        self.words.append(string)

    def push_update_reference(self, refname: str, message: str | None) -> None:
        self.answers[refname] = message

    def push_negotiation(self, updates: list[PushUpdate]) -> None:
        for update in updates:
            wanted = self.expected[update.dst_refname]
            if str(update.src) != (str(wanted.old) if wanted.old else _ZERO):
                raise GitConflict(f"{wanted.ref} of {self._remote.display} moved to {_short(update.src)}")


@dataclass
class PushSession:
    """A connection for one push: the push is checked against the refs that the server advertised on it."""

    remote: Remote
    refs: Refs
    _connection: pygit2.remotes.Remote = field(repr=False)
    takes_whole: bool = False
    """Whether the server can apply all updates of a push or none."""

    def push(self, updates: Iterable[RefUpdate], *, whole: bool = False) -> PushReport:
        """Send updates in one push.

        Args:
            updates: One for each ref.
            whole: Request that the server applies all of them or none; only where it offers that.

        Raises:
            GitConflict: A ref is not where its update expects it, or an update is no fast-forward; nothing was sent.
            GitError: As `from_network`; which updates were applied is not known.
        """
        callbacks = _Callbacks(self.remote)
        callbacks.expected = {update.ref: update for update in updates}
        specs = [_refspec(update) for update in callbacks.expected.values()]
        try:
            with atomic.asking() if whole else contextlib.nullcontext():
                self._connection.push(specs, callbacks=callbacks)
        except (pygit2.GitError, ValueError, OSError) as error:
            if is_local(error) and not _is_race(error):
                raise
            raise _push_error(error, self.remote, callbacks.output) from None
        refused = {
            ref: callbacks.answers.get(ref, "the server did not say what it did") or ""
            for ref in callbacks.expected
            if callbacks.answers.get(ref, "") is not None
        }
        return PushReport(refused, callbacks.output)


def list_refs(repo: pygit2.Repository, remote: Remote) -> Refs:
    """List the remote's branches and tags."""

    def ask(address: str) -> Refs:
        return _advertised(_connect(repo, remote, address).list_heads(callbacks=_Callbacks(remote)))

    return _ask(remote, "list the refs", ask)


def open_push(repo: pygit2.Repository, remote: Remote) -> PushSession:
    """Connect for a push; the session's refs are the remote's at this moment."""

    def ask(address: str) -> PushSession:
        with atomic.listening() as offers:
            connection = _connect(repo, remote, address)
            connection.connect(_Callbacks(remote), direction=C.GIT_DIRECTION_PUSH)
            heads = connection.list_heads(connect=False)
            return PushSession(remote, _advertised(heads), connection, offers())

    return _ask(remote, "open a push", ask)


def fetch(repo: pygit2.Repository, remote: Remote, wanted: Iterable[str]) -> None:
    """Fetch refs, by their name at the remote, or commits, by their id, and nothing else."""
    specs = [_fetch_spec(item) for item in wanted]

    def ask(address: str) -> None:
        _connect(repo, remote, address).fetch(specs, callbacks=_Callbacks(remote), prune=FetchPrune.NO_PRUNE)

    _ask(remote, "fetch", ask)


def _ask(remote: Remote, doing: str, ask: Callable[[str], T]) -> T:
    """Send a request to a remote's address, and to the targets of redirects within the same origin."""
    address = remote.address
    for _ in range(_MOST_REDIRECTS):
        with _asking(remote, doing), redirects.noted() as led_to:
            try:
                return ask(address)
            except pygit2.GitError:
                if not led_to():
                    raise
                address = _same_origin(remote, led_to())
    raise GitNotFound(f"{remote.display} redirects without an end")


def _same_origin(remote: Remote, target: str) -> str:
    """Return the target of a redirect.

    Raises:
        GitNotFound: It is of another origin: the credentials are for one scheme, host and port.
    """
    try:
        moved = parse(target)
    except BadAddress as error:
        raise GitNotFound(f"{remote.display} redirects to what is no address: {error}") from None
    if moved.origin != remote.parsed.origin:
        raise GitNotFound(
            f"{remote.display} has moved: it redirects to {moved.display}, which is another server, and nothing is sent"
            " there; if that is the right place, create the Repository again with this address in spec.git.repo (the"
            " clone: in spec.source.cloneFrom.git.repo)"
        )
    return moved.wire


@contextlib.contextmanager
def _asking(remote: Remote, doing: str) -> Iterator[None]:
    """Translate the errors of a request, and make refused credentials wait before their next use."""
    _refusals.check(remote.account)
    try:
        yield
    except GitAuthError as error:
        _refusals.note(remote.account, error)
        raise
    except (pygit2.GitError, ValueError, OSError) as error:
        if is_local(error):
            raise
        ours = from_network(error, remote.url, doing)
        if isinstance(ours, GitAuthError):
            _refusals.note(remote.account, ours)
        raise ours from None
    _refusals.forget(remote.account)


def tracking_ref(ref: str) -> str:
    """Return the local ref that tracks a remote's branch or tag."""
    return _TRACKING + ref.removeprefix(HEADS) if ref.startswith(HEADS) else ref


def prune(repo: pygit2.Repository, refs: Refs) -> None:
    """Delete local refs that the remote no longer has: they could be in the way of new ones."""
    kept = {tracking_ref(ref) for ref in refs}
    for name in list(repo.references):
        if name.startswith((_TRACKING, TAGS)) and name not in kept:
            repo.references.delete(name)


def track(repo: pygit2.Repository, ref: str, commit: pygit2.Oid) -> None:
    """Set the local ref of a remote's ref, so that a fetch can state which objects exist locally."""
    repo.references.create(tracking_ref(ref), commit, force=True)


def _connect(repo: pygit2.Repository, remote: Remote, address: str) -> pygit2.remotes.Remote:
    # Anonymous: nothing about the remote is stored on the disk, and tags are not followed.
    if remote.ca_bundle:
        certificates.trust(remote.ca_bundle)
    if isinstance(remote.credentials, SshKey):
        prefer_known_types(remote.host, remote.port, KnownHosts(remote.credentials.known_hosts))
    return repo.remotes.create_anonymous(address)


def _named(remote: Remote) -> str:
    return f"Secret {remote.secret!r}" if remote.secret else "the Secret that the Repository names"


def _advertised(heads: Iterable[pygit2.remotes.RemoteHead]) -> Refs:
    return Refs(
        (head.name, head.oid)
        for head in heads
        if head.name and head.name.startswith((HEADS, TAGS)) and not head.name.endswith("^{}")
    )


def _is_race(error: Exception) -> bool:
    """Return whether an error means that a ref moved. libgit2 has no type for it, and detects it before sending."""
    return any(words in str(error) for words in ("non-fastforwardable", "not present locally"))


def _push_error(error: Exception, remote: Remote, said: str) -> GitError:
    text = str(error)
    if _is_race(error):
        return GitConflict(f"cannot push to {remote.display}: {text}")
    if "unpacking the sent packfile failed" in text:
        message = f"{remote.display} cannot store what was pushed; the server says: {said or text}"
        return GitQuotaExceeded(message) if speaks_of_quota(said) else GitError(message)
    return from_network(error, remote.url, "push to a branch or tag")


def _refspec(update: RefUpdate) -> str:
    return f"{update.new or ''}:{update.ref}"


def _fetch_spec(item: str) -> str:
    return f"+{item}:{tracking_ref(item)}" if item.startswith("refs/") else f"+{item}:{_WANTED}{item}"


def _short(oid: pygit2.Oid | None) -> str:
    return str(oid)[:12] if oid else "nothing"
