from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from porchflow.api.timestamps import timestamp

_ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.timedeltas(timedelta(), timedelta(days=365 * 200)), _ZONES)
def test_the_text_is_the_same_moment_to_the_second(since: timedelta, zone: timezone) -> None:
    moment = (datetime(1970, 1, 1, tzinfo=UTC) + since).astimezone(zone)
    text = timestamp(moment)
    assert text.endswith("Z")
    assert len(text) == len("2026-01-31T12:00:00Z")
    assert datetime.fromisoformat(text) == moment.replace(microsecond=0)


def test_no_time_is_now() -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    assert before <= datetime.fromisoformat(timestamp()) <= datetime.now(UTC)
