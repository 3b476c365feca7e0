"""The one-time sync that `spec.sync.runOnceAt` of a Repository asks for. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any


def run_once_at(repository: Mapping[str, Any]) -> datetime | None:
    """Return the time of a raw Repository's one-time sync; None where it asks for none."""
    text = _asked(repository)
    return datetime.fromisoformat(text) if text else None


def run_once_due(repository: Mapping[str, Any], now: datetime | None = None) -> str:
    """Return the time of a raw Repository's one-time sync, as the object has it, once it has come; else empty.

    Args:
        repository: The object.
        now: For tests.
    """
    moment = run_once_at(repository)
    return _asked(repository) if moment is not None and moment <= (now or datetime.now(UTC)) else ""


def _asked(repository: Mapping[str, Any]) -> str:
    return ((repository.get("spec") or {}).get("sync") or {}).get("runOnceAt") or ""
