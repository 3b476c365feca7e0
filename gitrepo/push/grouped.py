"""Grouped pushes: changes that wait for one remote go out in one push, and each still succeeds or fails alone."""

import logging
import random
import time
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import ExitStack

import pygit2

from porchflow.gitrepo.errors import (
    GitAuthError,
    GitCertificateError,
    GitConflict,
    GitError,
    GitNotFound,
    GitUnavailable,
)
from porchflow.gitrepo.push.changes import Change, Pending, PushResult, fail_all, fold
from porchflow.gitrepo.push.push_outcome import NOT_SENT, Outcome
from porchflow.gitrepo.refs import short_ref
from porchflow.gitrepo.remote.remote import Remote
from porchflow.gitrepo.remote.stats import PushStats
from porchflow.gitrepo.remote.transport import PushReport, PushSession, Refs, RefUpdate
from porchflow.gitrepo.store.cache import CacheDamagedError, RepositoryCache
from porchflow.gitrepo.store.package_state import contains
from porchflow.gitrepo.store.ref_view import RefView

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 12
_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 1.0
_STALE_SECONDS = 1.0

# Words of servers (git's receive-pack, JGit) for refs that only share a push with one that is refused.
_COLLATERAL_WORDS = ("atomic", "transaction")
_FOR_EVERYBODY = (GitAuthError, GitCertificateError, GitUnavailable, GitNotFound)
"""Errors of a whole push that each change would meet alone, too."""


class Pusher:
    """Pushes groups of changes to one remote. Blocking; one group at a time."""

    def __init__(self, cache: RepositoryCache, remote: Remote, stats: PushStats) -> None:
        """Create a pusher.

        Args:
            cache: The local repository.
            remote: The remote to push to.
            stats: Counts retries and restores.
        """
        self._cache = cache
        self._remote = remote
        self._stats = stats
        self._sessions = ExitStack()

    def push_group(self, changes: Sequence[Change]) -> list[PushResult | Exception]:
        """Bring all changes to the remote; return one result or error for each."""
        self._stats.groups += 1
        pendings = [Pending(change) for change in changes]
        work = deque([pendings])
        while work:
            group = work.popleft()
            try:
                outcome = self._cache.run(lambda repo, group=group: self._attempt(repo, group))  # type: ignore[misc]  # mypy cannot type a lambda's default
            except GitConflict as error:
                outcome = Outcome()
                outcome.retry(group, str(error))
            except GitError as error:
                fail_all(group, error)
                continue
            half = len(outcome.suspects) // 2
            work.extend(part for part in (outcome.suspects[:half], outcome.suspects[half:]) if part)
            if again := self._retriable(outcome.again):
                work.append(again)
        return [pending.result or GitError("the change was lost") for pending in pendings]

    def _retriable(self, again: list[Pending]) -> list[Pending]:
        """Pause before a retry, and give up changes that were retried too often."""
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

    def _attempt(self, repo: pygit2.Repository, group: list[Pending]) -> Outcome:
        """List the refs, build, push once, and sort the results."""
        with self._sessions:
            return self._attempt_over(repo, self._open(), group)

    def _open(self) -> PushSession:
        """Connect for a push; the attempt that it is part of closes the connection."""
        return self._sessions.enter_context(self._cache.transport.open_push(self._remote))

    def _attempt_over(self, repo: pygit2.Repository, session: PushSession, group: list[Pending]) -> Outcome:
        opened = time.monotonic()
        view = RefView(repo, session.refs, lambda wanted: self._fetch(repo, session.refs, wanted))
        outcome = self._build(repo, view, group)
        built = [pending for pending in group if pending.result is None and pending not in outcome.again]
        folded = fold(built)
        if not folded:
            for pending in built:
                pending.done()
            return outcome
        if time.monotonic() - opened > _STALE_SECONDS:
            # The server may have closed the idle connection, and other pushers had much time since.
            session = self._open()
        try:
            report = self._send(repo, session, folded, built)
        except GitConflict as error:
            outcome.retry(built, str(error))
        except _FOR_EVERYBODY as error:
            fail_all(built, error)
        except GitError as error:
            outcome.suspect_or_fail(built, error)
        else:
            self._sort_out(repo, built, folded, report, outcome)
        return outcome

    def _fetch(self, repo: pygit2.Repository, refs: Refs, wanted: Iterable[str]) -> None:
        self._cache.fetch(repo, self._remote, refs, wanted)

    def _build(self, repo: pygit2.Repository, view: RefView, group: list[Pending]) -> Outcome:
        outcome = Outcome()
        view.require([item for pending in group for item in pending.change.needs(view)])
        for pending in group:
            if pending.result is not None:
                continue
            pending.alone = not view.changed
            pending.attempts += 1
            pending.assumed = view.assumed = set()
            view.is_second_look = pending.saw_nothing
            try:
                pending.updates = tuple(pending.change.build(repo, view))
                pending.saw_nothing = False
                self._check_forward(repo, pending.updates)
                view.apply(pending.updates)
            except (pygit2.GitError, KeyError, OSError) as error:
                if pending.attempts == 1:
                    raise CacheDamagedError(str(error)) from error
                pending.result = GitUnavailable(f"the local Git cache does not work: {error}")
            except Exception as error:  # noqa: BLE001 - one bad change must not fail the others
                self._build_failed(pending, error, outcome)
        return outcome

    def _build_failed(self, pending: Pending, error: Exception, outcome: Outcome) -> None:
        """Retry a change alone that failed after others in its group: it may conflict only with theirs.

        Refs that are not found are looked for in another list, for the reason that `RefView.believe_absent` gives.
        """
        may_be_torn = isinstance(error, GitNotFound) and not pending.saw_nothing
        pending.saw_nothing = isinstance(error, GitNotFound)
        alone = pending.alone and not may_be_torn
        if alone or not isinstance(error, GitError) or pending.attempts >= MAX_ATTEMPTS:
            pending.result = error
        else:
            pending.conflict = str(error)
            outcome.again.append(pending)

    def _check_forward(self, repo: pygit2.Repository, updates: Iterable[RefUpdate]) -> None:
        for update in updates:
            if update.old and update.new and not contains(repo, update.new, update.old):
                raise GitConflict(f"{update} is no fast-forward, and history is never overwritten")

    def _send(
        self, repo: pygit2.Repository, session: PushSession, folded: dict[str, RefUpdate], built: list[Pending]
    ) -> PushReport:
        """Push all updates as a whole, where the server can; it may then apply none of them.

        A late push, because its server was slow or its worker died, then does nothing if another push went first. Where
        one change of several is refused, the others are pushed as on a server without this ability.

        Raises:
            GitConflict: A ref moved meanwhile; nothing was done.
        """
        if not session.takes_whole or len(folded) == 1:
            return self._send_in_steps(repo, session, folded, built)
        report = self._push(repo, session, folded.values(), whole=True)
        if len(report.refused) < len(folded):
            return report
        session = self._open()
        if moved := [ref for ref, update in folded.items() if session.refs.get(ref) != update.old]:
            raise GitConflict(f"{short_ref(moved[0])} moved meanwhile")
        blamed = {ref: why for ref, why in report.refused.items() if not _is_collateral(why)}
        if len(blamed) == len(folded):
            return report
        if blamed and len(built) == 1:
            return PushReport({**dict.fromkeys(report.refused, NOT_SENT), **blamed}, report.words)
        return self._send_in_steps(repo, session, folded, built)

    def _send_in_steps(
        self, repo: pygit2.Repository, session: PushSession, folded: dict[str, RefUpdate], built: list[Pending]
    ) -> PushReport:
        """Push the updates of branches first and alone.

        The server updates refs one by one. So the loser of a race for the branch leaves no tag behind and removes no
        draft; the winner of the branch takes the revision number.
        """
        moves = {ref: update for ref, update in folded.items() if update.old and update.new}
        rest = {ref: update for ref, update in folded.items() if ref not in moves}
        if not moves or not rest:
            return self._push(repo, session, folded.values())
        first = self._push(repo, session, moves.values())
        losers = [pending for pending in built if any(update.ref in first.refused for update in pending.updates)]
        held = {update.ref for pending in losers for update in pending.updates if update.ref in rest}
        session = self._open()
        # A draft that moved meanwhile must not prevent the tag of the content that the branch has now.
        held |= {ref for ref, update in rest.items() if session.refs.get(ref) != update.old}
        going = [update for ref, update in rest.items() if ref not in held]
        if not going:
            return PushReport({**first.refused, **dict.fromkeys(held, NOT_SENT)}, first.words)
        second = self._push(repo, session, going)
        refused = {**first.refused, **second.refused, **dict.fromkeys(held, NOT_SENT)}
        return PushReport(refused, f"{first.words}\n{second.words}".strip())

    def _push(
        self, repo: pygit2.Repository, session: PushSession, updates: Iterable[RefUpdate], *, whole: bool = False
    ) -> PushReport:
        updates = list(updates)
        self._stats.refs += len(updates)
        with self._stats.pushes.one():
            report = session.push(repo, updates, whole=whole)
        self._cache.track([update for update in updates if update.ref not in report.refused])
        return report

    def _sort_out(
        self,
        repo: pygit2.Repository,
        built: list[Pending],
        folded: dict[str, RefUpdate],
        report: PushReport,
        outcome: Outcome,
    ) -> None:
        if not report.refused:
            for pending in built:
                pending.done()
            return
        now = self._cache.list_refs(self._remote)
        outcome.sort_out(built, folded, report, now, self._remote.display)
        self._undo(repo, outcome.undo)

    def _undo(self, repo: pygit2.Repository, updates: list[RefUpdate]) -> None:
        """Undo the parts that the server applied of changes that it otherwise refused.

        Git updates refs one by one: without this, a publish whose branch and tag are refused would lose the draft.
        """
        if not updates:
            return
        self._stats.restores += 1
        try:
            session = self._open()
            wanted = [update for update in updates if session.refs.get(update.ref) == update.old]
            if wanted:
                report = self._push(repo, session, wanted)
                for ref, reason in report.refused.items():
                    logger.error("cannot put %s of %s back: %s", ref, self._remote.display, reason)
        except GitError:
            logger.exception("cannot put back: %s", ", ".join(map(str, updates)))


def _is_collateral(reason: str) -> bool:
    return any(word in reason.lower() for word in _COLLATERAL_WORDS)
