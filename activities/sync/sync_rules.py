"""Rules of a sync: when a Repository is due, and its conditions. Pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from porchflow.activities.sync.repository_status import handled
from porchflow.api.crontab import InvalidSchedule, own_times, parse_crontab
from porchflow.api.git_address import BadAddress, parse
from porchflow.api.models.conditions import (
    Condition,
    ConditionStatus,
    ConditionType,
    Reason,
    condition,
    not_ready,
    raw_condition,
)
from porchflow.api.models.repository import Repository
from porchflow.api.work.needs import newer
from porchflow.api.work.run_once import run_once_due
from porchflow.gitrepo.refs import InvalidName, PackageLocation, branch_ref
from porchflow.repositories.failures import Stalled

_NAMED_PROBLEMS = 3
_SHARED = condition(
    ConditionType.SHARED,
    ConditionStatus.TRUE,
    Reason.REGISTERED_ELSEWHERE,
    "a Repository of another namespace is for the same branch and packages of the same Git repository. Both work: of"
    " two changes of one package the first that is pushed stands, and the other is told of the conflict",
)


def check_places(raw: Mapping[str, Any]) -> None:
    """Refuse an invalid address, branch or directory of a raw Repository, before Git is reached.

    Raises:
        Stalled: One of them is invalid; the message says which and why.
    """
    git = Repository.model_validate(raw).spec.git
    if git is None:
        return
    try:
        parse(git.repo)
    except BadAddress as error:
        raise Stalled(Reason.INVALID_REPOSITORY, f"spec.git.repo: {error}") from None
    try:
        branch_ref(git.branch)
        PackageLocation((git.directory or "").strip("/"), "package", "workspace")
    except InvalidName as error:
        raise Stalled(Reason.INVALID_REPOSITORY, f"spec.git: {error}; register the right place anew") from error


def is_due(raw: Mapping[str, Any]) -> bool:
    """Whether the objects of a raw Repository have to be compared even if no ref moved."""
    status, metadata = raw.get("status") or {}, raw["metadata"]
    ready = raw_condition(raw, ConditionType.READY)
    following: str = status.get("nextFullSyncTime", "")
    return (
        not status.get("observedRefs")
        or status.get("observedGeneration") != metadata["generation"]
        or newer(handled(raw)["observedReconcileNow"], status.get("observedReconcileNow"))
        or bool(run_once_due(raw))
        or ready.get("reason") in {None, Reason.SUSPENDED}
        or (ready.get("status") != "True" and ready.get("reason") != Reason.INVALID_SCHEDULE)
        or not following
        or datetime.fromisoformat(following) <= datetime.now(UTC)
    )


def handled_by(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return the status fields that record as handled what a Repository asked for when the sync began.

    Args:
        before: The raw Repository as the sync read it.
        after: The raw Repository now. The generation that removed the one-time sync from the spec counts as handled.
    """
    fields = handled(before)
    if run_once_due(before) and after["metadata"]["generation"] == before["metadata"]["generation"] + 1:
        fields["observedGeneration"] = after["metadata"]["generation"]
    return fields


def next_full_sync(raw: Mapping[str, Any], now: datetime, usual: timedelta) -> datetime:
    """Return when the objects are compared next even if no ref moves.

    Args:
        raw: The raw Repository; its schedule decides if it has a valid one.
        now: The time of this sync.
        usual: The interval without a schedule.
    """
    times = own_times(raw)
    return times.next(now) if times is not None else now + usual


def conditions_of(
    raw: Mapping[str, Any],
    problems: Sequence[str],
    rewritten: str,
    *,
    incomplete: Sequence[str] = (),
    shared: bool = False,
) -> tuple[Condition, ...]:
    """Return the conditions of a Repository that was synced.

    Args:
        raw: The raw Repository.
        problems: Messages about revisions that were left out.
        rewritten: Message about a branch that was rewritten; empty for none.
        incomplete: Messages about revisions whose objects lack the values of their Kptfiles.
        shared: Whether a Repository of another namespace works on the same packages.
    """
    return (*_readiness(raw, problems, incomplete, rewritten), *([_SHARED] if shared else []))


def _readiness(
    raw: Mapping[str, Any], problems: Sequence[str], incomplete: Sequence[str], rewritten: str
) -> tuple[Condition, ...]:
    sync = Repository.model_validate(raw).spec.sync
    try:
        if sync is not None and sync.schedule:
            parse_crontab(sync.schedule)
    except InvalidSchedule as error:
        message = f"spec.sync.schedule: {error}. Until it is mended the repository is synced at the usual interval"
        return not_ready(Reason.INVALID_SCHEDULE, message, ConditionType.STALLED)
    if rewritten:
        return (condition(ConditionType.READY, ConditionStatus.TRUE, Reason.BRANCH_REWRITTEN, rewritten),)
    if not problems and not incomplete:
        return (condition(ConditionType.READY, ConditionStatus.TRUE, Reason.READY, "Repository Ready"),)
    parts = (_named("left out", problems), _named("shown without what the Kptfile says", incomplete))
    message = ". ".join(part for part in parts if part)
    return (condition(ConditionType.READY, ConditionStatus.TRUE, Reason.REGISTERED_IN_PART, message),)


def _named(what: str, problems: Sequence[str]) -> str:
    more = f"; and {len(problems) - _NAMED_PROBLEMS} more" if len(problems) > _NAMED_PROBLEMS else ""
    return f"{len(problems)} {what}: {'; '.join(problems[:_NAMED_PROBLEMS])}{more}" if problems else ""
