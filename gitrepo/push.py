"""Grouped pushes: changes that wait for one remote go out in one push, and each still succeeds or fails alone."""

import logging
import random
import time
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import pygit2

from gitrepo import transport
from gitrepo.batching import shared_error
from gitrepo.cache import CacheDamagedError, RepositoryCache, Tally
from gitrepo.errors import (
    GitAuthError,
    GitCertificateError,
    GitConflict,
    GitError,
    GitHookDeclined,
    GitNotFound,
    GitUnavailable,
)
from gitrepo.refs import short_ref
from gitrepo.remote import Remote
from gitrepo.state import contains
from gitrepo.transport import PushReport, PushSession, Refs, RefUpdate
from gitrepo.view import RefView

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 12
_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 1.0
_STALE_SECONDS = 1.0

# The server's own reasons (git's receive-pack) for a ref that another push had locked or moved; all else is a refusal.
_RACE_WORDS = ("cannot lock", "failed to lock", "failed to update ref", "fetch first", "incorrect old value")
# What servers (git's receive-pack, JGit) say of refs that only share a push with one that is refused.
_COLLATERAL_WORDS = ("atomic", "transaction")
_NOT_SENT = "not sent, because another ref of the change was not updated"
_FOR_EVERYBODY = (GitAuthError, GitCertificateError, GitUnavailable, GitNotFound)
"""Errors of a whole push that would meet each change alone, too."""


class Change(Protocol):
    """Something to do to a remote's refs."""

    @property
    def moves_branch(self) -> bool:
        """Whether it may build on the tip of a branch that all packages share, and move that."""

    def needs(self, refs: RefView) -> Iterable[str]:
        """Name the refs (in full) and commits (by id) whose objects `build` reads; all are fetched together."""

    def build(self, repo: pygit2.Repository, refs: RefView) -> Sequence[RefUpdate]:
        """Make the objects and say which refs to update; nothing to update means success without a push.

        Called again, with fresher refs, whenever the updates could not be pushed; runs on a thread of its own.

        Raises:
            GitError: The change does not fit the refs as they are; its waiter gets this.
        """


@dataclass(frozen=True)
class PushResult:
    """A change that went through."""

    updates: tuple[RefUpdate, ...]
    """What was pushed for it; empty where nothing was to do."""
    attempts: int


@dataclass
class PushStats:
    """What the pushes of a process amount to."""

    groups: int = 0
    pushes: Tally = field(default_factory=Tally)
    refs: int = 0
    retries: int = 0
    """Changes that were built again because the remote had moved."""
    restores: int = 0
    """Pushes that took back what a server did of a change that it otherwise refused."""


@dataclass(eq=False)
class _Pending:
    change: Change
    updates: tuple[RefUpdate, ...] = ()
    assumed: set[str] = field(default_factory=set)
    """Refs of earlier changes of the group that this one was built on."""
    attempts: int = 0
    result: PushResult | Exception | None = None
    alone: bool = False
    """Built without another change before it: what it raises is its own fault."""
    conflict: str = ""

    def done(self) -> None:
        self.result = PushResult(self.updates, self.attempts)


@dataclass
class _Outcome:
    """What becomes of the changes of one push that are neither done nor failed."""

    again: list[_Pending] = field(default_factory=list)
    suspects: list[_Pending] = field(default_factory=list)
    """One of them made the server refuse what they share."""
    undo: list[RefUpdate] = field(default_factory=list)


class Pusher:
    """Pushes groups of changes to one remote. Blocking; one group at a time."""

    def __init__(self, cache: RepositoryCache, remote: Remote, stats: PushStats) -> None:
        """Take the local repository, the remote, and where to count."""
        self._cache = cache
        self._remote = remote
        self._stats = stats

    def push_group(self, changes: Sequence[Change]) -> list[PushResult | Exception]:
        """Bring all changes to the remote; one result or error for each."""
        self._stats.groups += 1
        pendings = [_Pending(change) for change in changes]
        work = deque([pendings])
        while work:
            group = work.popleft()
            try:
                outcome = self._cache.run(lambda repo, group=group: self._attempt(repo, group))  # type: ignore[misc]  # mypy cannot type a lambda's default
            except GitConflict as error:
                outcome = _Outcome()
                _retry_all(group, str(error), outcome)
            except GitError as error:
                _fail_all(group, error)
                continue
            half = len(outcome.suspects) // 2
            work.extend(part for part in (outcome.suspects[:half], outcome.suspects[half:]) if part)
            if again := self._retriable(outcome.again):
                work.append(again)
        return [pending.result or GitError("the change was lost") for pending in pendings]

    def _retriable(self, again: list[_Pending]) -> list[_Pending]:
        """Pause before a retry, and give up on what was retried often enough."""
        self._stats.retries += len(again)
        for pending in again:
            if pending.attempts >= MAX_ATTEMPTS:
                pending.result = GitConflict(
                    f"{pending.conflict or 'the refs moved'} ({pending.attempts} attempts on {self._remote.display})"
                )
        again = [pending for pending in again if pending.result is None]
        if again:
            longest = min(_FIRST_PAUSE * 2 ** max(pending.attempts for pending in again), _LONGEST_PAUSE)
            time.sleep(random.uniform(0, longest))  # noqa: S311 - jitter, no secret
        return again

    def _attempt(self, repo: pygit2.Repository, group: list[_Pending]) -> _Outcome:
        """Look at the remote, build, push once, and sort out what happened."""
        session = transport.open_push(repo, self._remote)
        opened = time.monotonic()
        view = RefView(repo, session.refs, lambda wanted: self._fetch(repo, session.refs, wanted))
        outcome = self._build(repo, view, group)
        built = [pending for pending in group if pending.result is None and pending not in outcome.again]
        folded = _fold(built)
        if not folded:
            for pending in built:
                pending.done()
            return outcome
        if time.monotonic() - opened > _STALE_SECONDS:
            # The server may have closed the idle connection, and others had long to push.
            session = transport.open_push(repo, self._remote)
        try:
            report = self._send(repo, session, folded, built)
        except GitConflict as error:
            _retry_all(built, str(error), outcome)
        except _FOR_EVERYBODY as error:
            _fail_all(built, error)
        except GitError as error:
            _suspect_or_fail(built, error, outcome)
        else:
            self._sort_out(repo, built, folded, report, outcome)
        return outcome

    def _fetch(self, repo: pygit2.Repository, refs: Refs, wanted: Iterable[str]) -> None:
        self._cache.fetch(repo, self._remote, refs, wanted)

    def _build(self, repo: pygit2.Repository, view: RefView, group: list[_Pending]) -> _Outcome:
        outcome = _Outcome()
        view.require([item for pending in group for item in pending.change.needs(view)])
        for pending in group:
            if pending.result is not None:
                continue
            pending.alone = not view.changed
            pending.attempts += 1
            pending.assumed = view.assumed = set()
            try:
                pending.updates = tuple(pending.change.build(repo, view))
                self._check_forward(repo, pending.updates)
                view.apply(pending.updates)
            except (pygit2.GitError, KeyError, OSError) as error:
                if pending.attempts == 1:
                    raise CacheDamagedError(str(error)) from error
                pending.result = GitUnavailable(f"the local Git cache does not work: {error}")
            except Exception as error:  # noqa: BLE001 - one bad change must not fail the others
                self._build_failed(pending, error, outcome)
        return outcome

    def _build_failed(self, pending: _Pending, error: Exception, outcome: _Outcome) -> None:
        """A change that others went before may only not fit what they are about to do: it gets a look of its own."""
        if pending.alone or not isinstance(error, GitError) or pending.attempts >= MAX_ATTEMPTS:
            pending.result = error
        else:
            pending.conflict = str(error)
            outcome.again.append(pending)

    def _check_forward(self, repo: pygit2.Repository, updates: Iterable[RefUpdate]) -> None:
        for update in updates:
            if update.old and update.new and not contains(repo, update.new, update.old):
                raise GitConflict(f"{update} is no fast-forward, and history is never overwritten")

    def _send(
        self, repo: pygit2.Repository, session: PushSession, folded: dict[str, RefUpdate], built: list[_Pending]
    ) -> PushReport:
        """Push all updates as a whole, where the server can do that; it may make none of them then.

        A push that comes late, because its server was slow or its worker died, does nothing then once another went
        first. Where one change of several is refused, the others go out as on a server that cannot do it.

        Raises:
            GitConflict: A ref moved meanwhile; nothing was done.
        """
        if not session.takes_whole or len(folded) == 1:
            return self._send_in_steps(repo, session, folded, built)
        report = self._push(session, folded.values(), whole=True)
        if len(report.refused) < len(folded):
            return report
        session = transport.open_push(repo, self._remote)
        if moved := [ref for ref, update in folded.items() if session.refs.get(ref) != update.old]:
            raise GitConflict(f"{short_ref(moved[0])} moved meanwhile")
        blamed = {ref: why for ref, why in report.refused.items() if not _is_collateral(why)}
        if len(blamed) == len(folded):
            return report
        if blamed and len(built) == 1:
            return PushReport({**dict.fromkeys(report.refused, _NOT_SENT), **blamed}, report.words)
        return self._send_in_steps(repo, session, folded, built)

    def _send_in_steps(
        self, repo: pygit2.Repository, session: PushSession, folded: dict[str, RefUpdate], built: list[_Pending]
    ) -> PushReport:
        """Push what moves a branch first and alone.

        The server updates refs one by one. Who loses the race for the branch so leaves no tag behind and removes no
        draft; a number is taken by who moved the branch.
        """
        moves = {ref: update for ref, update in folded.items() if update.old and update.new}
        rest = {ref: update for ref, update in folded.items() if ref not in moves}
        if not moves or not rest:
            return self._push(session, folded.values())
        first = self._push(session, moves.values())
        losers = [pending for pending in built if any(update.ref in first.refused for update in pending.updates)]
        held = {update.ref for pending in losers for update in pending.updates if update.ref in rest}
        session = transport.open_push(repo, self._remote)
        # A draft that somebody moved meanwhile must not keep the tag of what the branch has now from being made.
        held |= {ref for ref, update in rest.items() if session.refs.get(ref) != update.old}
        going = [update for ref, update in rest.items() if ref not in held]
        if not going:
            return PushReport({**first.refused, **dict.fromkeys(held, _NOT_SENT)}, first.words)
        second = self._push(session, going)
        refused = {**first.refused, **second.refused, **dict.fromkeys(held, _NOT_SENT)}
        return PushReport(refused, f"{first.words}\n{second.words}".strip())

    def _push(self, session: PushSession, updates: Iterable[RefUpdate], *, whole: bool = False) -> PushReport:
        updates = list(updates)
        self._stats.refs += len(updates)
        with self._stats.pushes.one():
            report = session.push(updates, whole=whole)
        self._cache.track([update for update in updates if update.ref not in report.refused])
        return report

    def _sort_out(
        self,
        repo: pygit2.Repository,
        built: list[_Pending],
        folded: dict[str, RefUpdate],
        report: PushReport,
        outcome: _Outcome,
    ) -> None:
        if not report.refused:
            for pending in built:
                pending.done()
            return
        now = self._cache.list_refs(repo, self._remote)
        races, refusals = _causes(folded, report, now)
        users = Counter(ref for pending in built for ref in {update.ref for update in pending.updates})
        whole = len(built) > 1 and len(refusals) == len(folded)
        through: list[_Pending] = []
        for pending in built:
            refs = {update.ref for update in pending.updates if update.ref in folded}
            refused = {ref: refusals[ref] for ref in refs if ref in refusals}
            if not refused and not refs & races.keys():
                through.append(pending)
                continue
            if refused and (whole or any(users[ref] > 1 for ref in refused)):
                outcome.suspects.append(pending)
            elif refused:
                pending.result = GitHookDeclined(self._refusal(refused, report.words))
            else:
                _lost(pending, {ref: races[ref] for ref in sorted(refs & races.keys())}, now, outcome)
            outcome.undo += _to_undo(pending, refs - report.refused.keys(), users, final=bool(refused))
        _finish(through, {*races, *refusals}, outcome, users)
        self._undo(repo, outcome.undo)

    def _refusal(self, refused: dict[str, str], words: str) -> str:
        reasons = "; ".join(f"{short_ref(ref)}: {reason}" for ref, reason in sorted(refused.items()))
        said = f"; the server says: {words}" if words else ""
        return f"{self._remote.display} refused to update {reasons}{said}"

    def _undo(self, repo: pygit2.Repository, updates: list[RefUpdate]) -> None:
        """Take back what the server did of changes that it otherwise refused.

        Git updates refs one by one: without this, a publish whose branch and tag are refused would lose the draft.
        """
        if not updates:
            return
        self._stats.restores += 1
        try:
            session = transport.open_push(repo, self._remote)
            wanted = [update for update in updates if session.refs.get(update.ref) == update.old]
            if wanted:
                report = self._push(session, wanted)
                for ref, reason in report.refused.items():
                    logger.error("cannot put %s of %s back: %s", ref, self._remote.display, reason)
        except GitError:
            logger.exception("cannot put back: %s", ", ".join(map(str, updates)))


def _is_collateral(reason: str) -> bool:
    return any(word in reason.lower() for word in _COLLATERAL_WORDS)


def _fold(built: Iterable[_Pending]) -> dict[str, RefUpdate]:
    """Join the updates of all changes: for each ref the first old and the last new; creations and moves go first."""
    folded: dict[str, RefUpdate] = {}
    for update in (update for pending in built for update in pending.updates):
        first = folded.get(update.ref, update)
        folded[update.ref] = RefUpdate(update.ref, first.old, update.new)
    real = [update for update in folded.values() if update.old != update.new]
    return {update.ref: update for update in sorted(real, key=lambda update: update.new is None)}


def _to_undo(pending: _Pending, accepted: set[str], users: Counter[str], *, final: bool) -> list[RefUpdate]:
    """What to take back of a change that did not go through as a whole.

    After a refusal everything that Git lets us take back; after a lost race, where the change is tried again at once,
    deletions unless a new ref still leads to the same content. A tag stays then: others may have counted on from it.
    """
    own = [update for update in pending.updates if update.ref in accepted and users[update.ref] == 1]
    created = [update for update in own if update.new and not update.old]
    moved = [update for update in pending.updates if update.ref in accepted and update.new]
    undo = [RefUpdate(update.ref, update.new, None) for update in created] if final else []
    if final or not moved:
        undo += [RefUpdate(update.ref, None, update.old) for update in own if update.new is None]
    return undo


def _causes(folded: dict[str, RefUpdate], report: PushReport, now: Refs) -> tuple[dict[str, str], dict[str, str]]:
    """Tell the refs that lost a race from those that the server refuses, by where they are now."""
    races: dict[str, str] = {}
    refusals: dict[str, str] = {}
    for ref, reason in report.refused.items():
        update = folded[ref]
        if reason == _NOT_SENT:
            races[ref] = reason
        elif now.get(ref) == update.new:
            continue
        elif now.get(ref) != update.old or any(word in reason.lower() for word in _RACE_WORDS):
            races[ref] = reason
        else:
            refusals[ref] = reason
    return races, refusals


def _lost(pending: _Pending, races: dict[str, str], now: Refs, outcome: _Outcome) -> None:
    """Try a change again that lost a race, unless no attempt can succeed."""
    for ref in races:
        if obstacle := _in_the_way(ref, now):
            pending.result = GitConflict(f"cannot make {short_ref(ref)}: {obstacle}")
            return
    pending.conflict = "; ".join(f"{short_ref(ref)}: {reason}" for ref, reason in races.items())
    outcome.again.append(pending)


def _finish(through: list[_Pending], failed: set[str], outcome: _Outcome, users: Counter[str]) -> None:
    """Let the changes succeed whose refs went through; but build again those that rely on what did not."""
    while True:
        untrue = failed | {update.ref for update in outcome.undo}
        misled = [pending for pending in through if pending.assumed & untrue]
        if not misled:
            break
        for pending in misled:
            through.remove(pending)
            outcome.undo += _to_undo(pending, {update.ref for update in pending.updates}, users, final=False)
        _retry_all(misled, "a change that it relies on was refused", outcome)
    for pending in through:
        pending.done()


def _in_the_way(ref: str, now: Refs) -> str:
    """Name the ref that Git cannot have besides another: a branch `a` leaves no room for a branch `a/b`."""
    for other in now:
        if other.startswith(ref + "/") or ref.startswith(other + "/"):
            return f"{short_ref(other)} is in the way: Git cannot have both; delete or rename it"
    return ""


def _retry_all(pendings: Iterable[_Pending], conflict: str, outcome: _Outcome) -> None:
    for pending in pendings:
        if pending.result is not None:
            continue
        pending.conflict = conflict
        outcome.again.append(pending)


def _suspect_or_fail(pendings: list[_Pending], error: GitError, outcome: _Outcome) -> None:
    if len(pendings) == 1:
        pendings[0].result = error
    else:
        outcome.suspects += pendings


def _fail_all(pendings: list[_Pending], error: GitError) -> None:
    waiting = [pending for pending in pendings if pending.result is None]
    for pending, own in zip(waiting, shared_error(error, len(waiting)), strict=True):
        pending.result = own
