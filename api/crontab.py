"""Cron expressions of `spec.sync.schedule`: checked, and split so that every scheduler reads them alike."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from cronsim import CronSim, CronSimError

from porchflow.api.limits import SCHEDULE_CHARACTERS

_DESCRIPTORS: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_FIELD: Final = re.compile(r"[0-9a-zA-Z*/,?-]+")
_EXTENSIONS: Final = re.compile(r"(?<![a-z])[lw](?![a-z])|#", re.IGNORECASE)
_FIELDS: Final = 5
_DURATION: Final = re.compile(r"(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,6})s)?")
_SHORTEST: Final = timedelta(seconds=10)
_ANY_TIME: Final = datetime(2000, 1, 1)  # noqa: DTZ001 - of expressions that are only parsed


class InvalidSchedule(ValueError):  # noqa: N818 - named for what happened
    """A cron expression that is not valid."""


@dataclass(frozen=True)
class Calendar:
    """Minutes that match one cron expression, in UTC: all five fields must match.

    Attributes:
        expression: The cron expression.
        minutes: 0 to 59.
        hours: 0 to 23.
        days: Days of the month, 1 to 31.
        months: 1 to 12.
        weekdays: 0, Sunday, to 6.
    """

    expression: str
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]


@dataclass(frozen=True)
class Crontab:
    """Times in UTC: cron expressions, any of which may match, or an interval."""

    expressions: tuple[str, ...] = ()
    """Each with five fields, of which day of month and day of week are never both restricted."""
    every: timedelta | None = None

    def next(self, after: datetime) -> datetime:
        """Return the first time after another; for an interval, one interval later."""
        if self.every is not None:
            return after + self.every
        return min(next(CronSim(expression, after)) for expression in self.expressions)

    @property
    def calendars(self) -> list[Calendar]:
        """The calendar of each expression."""
        return [_calendar(expression) for expression in self.expressions]


def _calendar(expression: str) -> Calendar:
    parsed = CronSim(expression, _ANY_TIME)
    return Calendar(
        expression=expression,
        minutes=frozenset(parsed.minutes),
        hours=frozenset(parsed.hours),
        days=frozenset(parsed.days),
        months=frozenset(parsed.months),
        weekdays=frozenset(day % 7 for day in parsed.weekdays if isinstance(day, int)),
    )


def parse_crontab(text: str) -> Crontab:
    """Read a cron expression with five fields, or a descriptor such as `@hourly` or `@every 90m`.

    Source: docs/reference/porch-api.md, "Schedules of a Repository".

    Raises:
        InvalidSchedule: It is neither; the message states the valid forms.
    """
    if len(text) > SCHEDULE_CHARACTERS:
        raise InvalidSchedule(f"a schedule of more than {SCHEDULE_CHARACTERS} characters (the limit)")
    text = text.strip()
    if text.startswith("@every "):
        return Crontab(every=_duration(text))
    fields = _DESCRIPTORS.get(text, text).split()
    if len(fields) != _FIELDS or not all(_FIELD.fullmatch(field) and not _EXTENSIONS.search(field) for field in fields):
        raise _invalid(text, "it needs five fields: minute, hour, day of month, month, day of week")
    fields = [field.replace("?", "*") for field in fields]
    try:
        CronSim(" ".join(fields), _ANY_TIME)
    except CronSimError as error:
        raise _invalid(text, str(error)) from None
    minute, hour, day, month, weekday = fields
    if day.startswith("*") or weekday.startswith("*"):
        return Crontab((" ".join(fields),))
    # Cron matches a day that either field names; schedulers with calendars match one that both name.
    return Crontab((f"{minute} {hour} {day} {month} *", f"{minute} {hour} * {month} {weekday}"))


def own_times(repository: Mapping[str, Any]) -> Crontab | None:
    """Return the times that a raw Repository names in `spec.sync.schedule`; None where it names none, or bad ones."""
    schedule = ((repository.get("spec") or {}).get("sync") or {}).get("schedule")
    try:
        return parse_crontab(schedule) if schedule else None
    except InvalidSchedule:
        return None


def _duration(text: str) -> timedelta:
    match = _DURATION.fullmatch(text.removeprefix("@every ").strip())
    hours, minutes, seconds = (int(part or 0) for part in match.groups()) if match else (0, 0, 0)
    every = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    if every < _SHORTEST:
        raise _invalid(text, "@every needs a duration of at least 10 seconds, such as 1h30m")
    return every


def _invalid(text: str, why: str) -> InvalidSchedule:
    return InvalidSchedule(f"{text!r} is no cron expression: {why}; for example '*/10 * * * *' or '@hourly'")
