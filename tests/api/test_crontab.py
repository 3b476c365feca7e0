from datetime import UTC, datetime, timedelta

import pytest

from porchflow.api.crontab import Crontab, InvalidSchedule, parse_crontab

SUNDAY_NOON = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "following"),
    [
        ("*/10 * * * *", "2026-11-01T12:10"),
        ("0 3 * * *", "2026-11-02T03:00"),
        ("@hourly", "2026-11-01T13:00"),
        ("@daily", "2026-11-02T00:00"),
        ("@every 1h30m", "2026-11-01T13:30"),
        ("30 4 * * MON-FRI", "2026-11-02T04:30"),
        ("0 0 29 2 *", "2028-02-29T00:00"),
        (" 5 0 1 jan ? ", "2027-01-01T00:05"),
    ],
)
def test_the_next_time(text: str, following: str) -> None:
    assert parse_crontab(text).next(SUNDAY_NOON) == datetime.fromisoformat(following).replace(tzinfo=UTC)


def test_a_day_of_month_or_of_week_is_enough_as_in_cron() -> None:
    times = parse_crontab("0 5 15 * mon")
    assert times == Crontab(("0 5 15 * *", "0 5 * * mon"))
    assert times.next(SUNDAY_NOON) == datetime(2026, 11, 2, 5, tzinfo=UTC)
    assert times.next(datetime(2026, 11, 14, tzinfo=UTC)) == datetime(2026, 11, 15, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hourly",
        "60 * * * *",
        "* * * *",
        "* * * * * *",
        "0 0 31 2 *",
        "0 0 L * *",
        "0 0 * * 5#3",
        "@every 1s",
        "@often",
    ],
)
def test_what_is_no_schedule_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InvalidSchedule, match=r"is no cron expression: .*; for example"):
        parse_crontab(text)


def test_an_interval_is_a_duration() -> None:
    assert parse_crontab("@every 2h5s").every == timedelta(hours=2, seconds=5)
