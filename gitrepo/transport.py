"""Talking to a remote: list, fetch, push. Blocking; every error leaves as one of ours, without secrets."""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from tempfile import NamedTemporaryFile

import pygit2
from pygit2.enums import FetchPrune
from pygit2.ffi import C
from pygit2.remotes import PushUpdate

from gitrepo.errors import (
    GitAuthError,
    GitCertificateError,
    GitConflict,
    GitError,
    GitQuotaExceeded,
    from_network,
    is_local,
    sanitize,
    speaks_of_quota,
)
from gitrepo.refs import HEADS, TAGS, short_ref
from gitrepo.remote import Remote


class Refs(dict[str, pygit2.Oid]):
    """Branches and tags of a remote by full ref name. An annotated tag's id is the tag object's. Never changed."""

    def directly_below(self, folder: str) -> dict[str, pygit2.Oid]:
        """The refs one level below a folder, such as `refs/tags/P`; found without a look at all others."""
        return self._folders.get(folder, {})

    @cached_property
    def _folders(self) -> dict[str, dict[str, pygit2.Oid]]:
        folders: dict[str, dict[str, pygit2.Oid]] = {}
        for ref, oid in self.items():
            folders.setdefault(ref.rpartition("/")[0], {})[ref] = oid
        return folders


_TRACKING = "refs/remotes/origin/"
_WANTED = "refs/wanted/"
_ZERO = "0" * 40
_WORDS_LIMIT = 2000


@dataclass(frozen=True)
class RefUpdate:
    """One ref to change, with the state it must be in: the compare-and-swap."""

    ref: str
    old: pygit2.Oid | None
    """None: the ref must not exist."""
    new: pygit2.Oid | None
    """None: delete the ref."""

    def __str__(self) -> str:
        return f"{short_ref(self.ref)} ({_short(self.old)} -> {_short(self.new)})"


@dataclass(frozen=True)
class PushReport:
    """What a server did with a push."""

    refused: Mapping[str, str]
    """Refs that it did not update, each with its reason."""
    words: str
    """What the server's hooks said."""


class _Callbacks(pygit2.RemoteCallbacks):
    def __init__(self, remote: Remote) -> None:
        super().__init__()
        self._remote = remote
        self.words: list[str] = []
        self.answers: dict[str, str | None] = {}
        self.expected: dict[str, RefUpdate] = {}

    def custom_headers(self) -> list[str] | None:
        # Sent without waiting for a 401, which saves a request for each connection.
        authorization = self._remote.authorization
        return [f"Authorization: {authorization}"] if authorization else None

    def credentials(self, url: str, username_from_url: str | None, allowed_types: object) -> pygit2.UserPass:  # noqa: ARG002
        # Called only when the server did not take the header: asking again would loop.
        where = self._remote.display
        if self._remote.authorization:
            raise GitAuthError(f"{where} refused the credentials; correct the Secret that the Repository names")
        raise GitAuthError(f"{where} asks for credentials; name a Secret in the Repository's spec.git.secretRef")

    @property
    def said(self) -> str:
        """What the server's hooks and programs said, without secrets and not endless."""
        return sanitize("".join(self.words).strip()[:_WORDS_LIMIT])

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
    """A connection for one push: what the server advertised is what the push is checked against."""

    remote: Remote
    refs: Refs
    _connection: pygit2.remotes.Remote = field(repr=False)

    def push(self, updates: Iterable[RefUpdate]) -> PushReport:
        """Send updates in one push.

        Raises:
            GitConflict: A ref is not where its update expects it, or an update is no fast-forward; nothing was sent.
            GitError: As `from_network`; what arrived is not known.
        """
        callbacks = _Callbacks(self.remote)
        callbacks.expected = {update.ref: update for update in updates}
        try:
            self._connection.push([_refspec(update) for update in callbacks.expected.values()], callbacks=callbacks)
        except (pygit2.GitError, ValueError, OSError) as error:
            if is_local(error):
                raise
            raise _push_error(error, self.remote, callbacks.said) from None
        refused = {
            ref: callbacks.answers.get(ref, "the server did not say what it did") or ""
            for ref in callbacks.expected
            if callbacks.answers.get(ref, "") is not None
        }
        return PushReport(refused, callbacks.said)


def list_refs(repo: pygit2.Repository, remote: Remote) -> Refs:
    """Ask the remote for its branches and tags."""
    connection = _connect(repo, remote)
    try:
        heads = connection.list_heads(callbacks=_Callbacks(remote))
    except (pygit2.GitError, ValueError, OSError) as error:
        raise from_network(error, remote.url, "list the refs") from None
    return _advertised(heads)


def open_push(repo: pygit2.Repository, remote: Remote) -> PushSession:
    """Connect for a push; the session's refs are the remote's at this moment."""
    connection = _connect(repo, remote)
    try:
        connection.connect(_Callbacks(remote), direction=C.GIT_DIRECTION_PUSH)
        heads = connection.list_heads(connect=False)
    except (pygit2.GitError, ValueError, OSError) as error:
        raise from_network(error, remote.url, "open a push") from None
    return PushSession(remote, _advertised(heads), connection)


def fetch(repo: pygit2.Repository, remote: Remote, wanted: Iterable[str]) -> None:
    """Fetch refs, by their name at the remote, or commits, by their id; nothing else comes along."""
    specs = [_fetch_spec(item) for item in wanted]
    try:
        _connect(repo, remote).fetch(specs, callbacks=_Callbacks(remote), prune=FetchPrune.NO_PRUNE)
    except (pygit2.GitError, ValueError, OSError) as error:
        if is_local(error):
            raise
        raise from_network(error, remote.url, "fetch") from None


def tracking_ref(ref: str) -> str:
    """Where a remote's branch or tag is kept locally."""
    return _TRACKING + ref.removeprefix(HEADS) if ref.startswith(HEADS) else ref


def prune(repo: pygit2.Repository, refs: Refs) -> None:
    """Forget local refs that the remote no longer has: they could be in the way of new ones."""
    kept = {tracking_ref(ref) for ref in refs}
    for name in list(repo.references):
        if name.startswith((_TRACKING, TAGS)) and name not in kept:
            repo.references.delete(name)


def track(repo: pygit2.Repository, updates: Iterable[RefUpdate]) -> None:
    """Note locally what was pushed, so that it need not be fetched."""
    for update in updates:
        name = tracking_ref(update.ref)
        if update.new is not None:
            repo.references.create(name, update.new, force=True)
        elif name in repo.references:
            repo.references.delete(name)


_trusted: set[str] = set()
_trust_lock = threading.Lock()


def _connect(repo: pygit2.Repository, remote: Remote) -> pygit2.remotes.Remote:
    # Anonymous: nothing about the remote is stored on the disk, and tags are not followed.
    if remote.ca_bundle:
        _trust(remote.ca_bundle)
    return repo.remotes.create_anonymous(remote.address)


def _trust(bundle: str) -> None:
    """Add certificates to those that libgit2 trusts; there is no way to do so for one connection."""
    with _trust_lock:
        if bundle in _trusted:
            return
        with NamedTemporaryFile("w", suffix=".pem") as file:
            file.write(bundle)
            file.flush()
            try:
                pygit2.settings.set_ssl_cert_locations(file.name, None)
            except pygit2.GitError as error:
                raise GitCertificateError(f"the CA bundle holds no usable PEM certificates: {error}") from None
        _trusted.add(bundle)


def _advertised(heads: Iterable[pygit2.remotes.RemoteHead]) -> Refs:
    return Refs(
        (head.name, head.oid)
        for head in heads
        if head.name and head.name.startswith((HEADS, TAGS)) and not head.name.endswith("^{}")
    )


def _push_error(error: Exception, remote: Remote, said: str) -> GitError:
    # libgit2 has no type for these. The first two it finds on our side, before anything is sent.
    text = str(error)
    if "non-fastforwardable" in text or "not present locally" in text:
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
