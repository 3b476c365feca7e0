"""Sorts the changes of one push by the server's answer: done, to be tried again, or failed."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from porchflow.gitrepo.errors import GitConflict, GitError, GitHookDeclined
from porchflow.gitrepo.push.changes import Pending
from porchflow.gitrepo.refs import short_ref
from porchflow.gitrepo.remote.transport import PushReport, Refs, RefUpdate

NOT_SENT = "not sent, because another ref of the change was not updated"
"""Reason of refs that were not sent."""

# The server's own reasons (git's receive-pack) for a ref that another push had locked or moved; any other is a refusal.
_RACE_WORDS = ("cannot lock", "failed to lock", "failed to update ref", "fetch first", "incorrect old value")


@dataclass
class Outcome:
    """The changes of one push that are neither done nor failed."""

    again: list[Pending] = field(default_factory=list)
    suspects: list[Pending] = field(default_factory=list)
    """Changes of which one made the server refuse the refs that they share."""
    undo: list[RefUpdate] = field(default_factory=list)

    def retry(self, pendings: Iterable[Pending], conflict: str) -> None:
        """Have changes without a result built again."""
        for pending in pendings:
            if pending.result is None:
                pending.conflict = conflict
                self.again.append(pending)

    def suspect_or_fail(self, pendings: list[Pending], error: GitError) -> None:
        """Find out which of several changes the server refuses; a single one fails."""
        if len(pendings) == 1:
            pendings[0].result = error
        else:
            self.suspects += pendings

    def sort_out(
        self, built: list[Pending], folded: dict[str, RefUpdate], report: PushReport, now: Refs, server: str
    ) -> None:
        """Tell the changes that succeeded from those that lost a race and those that the server refuses.

        Args:
            built: All changes that were pushed together.
            folded: Their updates, joined.
            report: The refused refs, and the server's words.
            now: The remote's refs after the push.
            server: The remote's name, for people.
        """
        races, refusals = _causes(folded, report, now)
        users = Counter(ref for pending in built for ref in {update.ref for update in pending.updates})
        whole = len(built) > 1 and len(refusals) == len(folded)
        through: list[Pending] = []
        for pending in built:
            refs = {update.ref for update in pending.updates if update.ref in folded}
            refused = {ref: refusals[ref] for ref in refs if ref in refusals}
            if not refused and not refs & races.keys():
                through.append(pending)
                continue
            if refused and (whole or any(users[ref] > 1 for ref in refused)):
                self.suspects.append(pending)
            elif refused:
                pending.result = GitHookDeclined(_refusal(server, refused, report.words))
            else:
                self._lost(pending, {ref: races[ref] for ref in sorted(refs & races.keys())}, now)
            self.undo += _to_undo(pending, refs - report.refused.keys(), users, final=bool(refused))
        self._finish(through, {*races, *refusals}, users)

    def _lost(self, pending: Pending, races: dict[str, str], now: Refs) -> None:
        """Retry a change that lost a race, unless no attempt can succeed."""
        for ref in races:
            if obstacle := _in_the_way(ref, now):
                pending.result = GitConflict(f"cannot make {short_ref(ref)}: {obstacle}")
                return
        self.retry([pending], "; ".join(f"{short_ref(ref)}: {reason}" for ref, reason in races.items()))

    def _finish(self, through: list[Pending], failed: set[str], users: Counter[str]) -> None:
        """Complete the changes whose refs were updated; those that rely on a failed one are built again."""
        while True:
            untrue = failed | {update.ref for update in self.undo}
            misled = [pending for pending in through if pending.assumed & untrue]
            if not misled:
                break
            for pending in misled:
                through.remove(pending)
                self.undo += _to_undo(pending, {update.ref for update in pending.updates}, users, final=False)
            self.retry(misled, "a change that it relies on was refused")
        for pending in through:
            pending.done()


def _causes(folded: dict[str, RefUpdate], report: PushReport, now: Refs) -> tuple[dict[str, str], dict[str, str]]:
    """Tell the refs that lost a race from those that the server refuses, by their present targets."""
    races: dict[str, str] = {}
    refusals: dict[str, str] = {}
    for ref, reason in report.refused.items():
        update = folded[ref]
        if reason == NOT_SENT:
            races[ref] = reason
        elif now.get(ref) == update.new and update.new is not None:
            # Another push's deletion is no success: it may have moved the ref, as when it proposes the draft.
            continue
        elif now.get(ref) != update.old or any(word in reason.lower() for word in _RACE_WORDS):
            races[ref] = reason
        else:
            refusals[ref] = reason
    return races, refusals


def _to_undo(pending: Pending, accepted: set[str], users: Counter[str], *, final: bool) -> list[RefUpdate]:
    """Return the updates that undo a change that was applied in part.

    After a refusal: every update that Git lets us undo. After a lost race, where the change is tried again at once:
    deletions, unless a new ref still leads to the same content. A tag stays then: other clients may have counted on
    from its number.
    """
    own = [update for update in pending.updates if update.ref in accepted and users[update.ref] == 1]
    created = [update for update in own if update.new and not update.old]
    moved = [update for update in pending.updates if update.ref in accepted and update.new]
    undo = [RefUpdate(update.ref, update.new, None) for update in created] if final else []
    if final or not moved:
        undo += [RefUpdate(update.ref, None, update.old) for update in own if update.new is None]
    return undo


def _refusal(server: str, refused: dict[str, str], words: str) -> str:
    reasons = "; ".join(f"{short_ref(ref)}: {reason}" for ref, reason in sorted(refused.items()))
    said = f"; the server says: {words}" if words else ""
    return f"{server} refused to update {reasons}{said}"


def _in_the_way(ref: str, now: Refs) -> str:
    """Name the ref that Git cannot hold beside another: a branch `a` leaves no room for a branch `a/b`."""
    for other in now:
        if other.startswith(ref + "/") or ref.startswith(other + "/"):
            return f"{short_ref(other)} is in the way: Git cannot have both; delete or rename it"
    return ""
