"""Times in objects, as Kubernetes writes them: seconds in UTC, such as `2026-01-31T12:00:00Z`. Pure."""

from datetime import UTC, datetime


def timestamp(moment: datetime | None = None) -> str:
    """Return a time as text.

    Args:
        moment: The time, with its time zone; None for now. Parts of a second are left out.
    """
    return (moment or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
