"""When to sync a Repository, and whether it requests a sync now. Pure functions of the object."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from porchflow.api.crontab import Crontab, own_times
from porchflow.api.names import RECONCILE_NOW_ANNOTATION
from porchflow.api.work.needs import newer
from porchflow.api.work.run_once import run_once_at, run_once_due
from porchflow.api.work.suspension import suspension_of, told_suspended
from porchflow.kube.following import Key, key_of

DELETING = "deleting"

AT_LEAST: Final = timedelta(days=1)
"""Between two syncs of a Repository without a schedule of its own, whatever its refs do.

The listing of refs starts the others (`porchflow.activities.sync.ref_listing`). Temporal drops a schedule that has no
times left.
"""


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


def plan_of(repository: Mapping[str, Any], now: datetime | None = None) -> SyncPlan:
    """Return the times at which a raw Repository is synced, beside those at which its refs have moved.

    An invalid schedule counts as none: the sync reports it in a condition.

    Args:
        repository: The object.
        now: For tests.
    """
    once = run_once_at(repository)
    return SyncPlan(
        key=key_of(repository),
        times=own_times(repository) or Crontab(every=AT_LEAST),
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
    due = run_once_due(repository, now)
    asked = (
        metadata.get("generation", 0) != status.get("observedGeneration", 0)
        or newer(token, status.get("observedReconcileNow"))
        or (due and due != status.get("observedRunOnceAt"))
        or paused != told_suspended(status)
    )
    if not asked:
        return ""
    return f"{metadata.get('uid', '')} {metadata.get('generation', 0)} {token!r} {due} {paused!r}"


def _suspended(repository: Mapping[str, Any], now: datetime | None) -> str:
    suspension = suspension_of(repository["metadata"].get("annotations") or {})
    return suspension.message if suspension is not None and suspension.is_active(now or datetime.now(UTC)) else ""
