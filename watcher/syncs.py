"""When to sync a Repository, and whether it requests a sync now. Pure functions of the object."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from porchflow.api.crontab import Crontab, InvalidSchedule, parse_crontab
from porchflow.api.names import RECONCILE_NOW_ANNOTATION
from porchflow.api.needs import newer
from porchflow.api.suspension import suspension_of, told_suspended
from porchflow.kube.following import Key, key_of

DELETING = "deleting"


@dataclass(frozen=True, slots=True)
class SyncPlan:
    """The times at which one Repository is synced.

    Attributes:
        key: Namespace and name.
        times: Regular times.
        once: One more time; None for none, or one that has passed.
        paused: Why there are no regular syncs; empty where there are.
    """

    key: Key
    times: Crontab
    once: datetime | None
    paused: str


def plan_of(repository: Mapping[str, Any], usual: timedelta, now: datetime | None = None) -> SyncPlan:
    """Return the times at which a raw Repository is synced.

    An invalid schedule counts as none: the sync reports it in a condition.

    Args:
        repository: The object.
        usual: The interval where the Repository has no schedule of its own.
        now: For tests.
    """
    sync = (repository.get("spec") or {}).get("sync") or {}
    times = Crontab(every=usual)
    if sync.get("schedule"):
        with contextlib.suppress(InvalidSchedule):
            times = parse_crontab(sync["schedule"])
    once = datetime.fromisoformat(sync["runOnceAt"]) if sync.get("runOnceAt") else None
    return SyncPlan(
        key=key_of(repository),
        times=times,
        once=once if once is not None and once > (now or datetime.now(UTC)) else None,
        paused=_suspended(repository, now),
    )


def asks_for_sync(repository: Mapping[str, Any], now: datetime | None = None) -> str:
    """Return the sync that a raw Repository requests now, as a text that differs for each request; empty for none.

    A request is a spec or a token that no sync has handled, a one-time sync whose time has come, a pause that is not
    shown or is over, or the deletion of the Repository.
    """
    metadata, status = repository["metadata"], repository.get("status") or {}
    if "deletionTimestamp" in metadata:
        return f"{metadata.get('uid', '')} {DELETING}"
    annotations = metadata.get("annotations") or {}
    token, paused = annotations.get(RECONCILE_NOW_ANNOTATION, ""), _suspended(repository, now)
    once = ((repository.get("spec") or {}).get("sync") or {}).get("runOnceAt", "")
    due = bool(once) and datetime.fromisoformat(once) <= (now or datetime.now(UTC))
    asked = (
        metadata.get("generation", 0) != status.get("observedGeneration", 0)
        or newer(token, status.get("observedReconcileNow"))
        or (due and once != status.get("observedRunOnceAt", ""))
        or paused != told_suspended(status)
    )
    if not asked:
        return ""
    return f"{metadata.get('uid', '')} {metadata.get('generation', 0)} {token!r} {once if due else ''} {paused!r}"


def _suspended(repository: Mapping[str, Any], now: datetime | None) -> str:
    suspension = suspension_of(repository["metadata"].get("annotations") or {})
    return suspension.message if suspension is not None and suspension.is_active(now or datetime.now(UTC)) else ""
