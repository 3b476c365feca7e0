from datetime import UTC, datetime, timedelta

import pytest

from porchflow.api.work.suspension import suspension_of, told_suspended

WHY, UNTIL, BY = "porchflow.dev/suspend", "porchflow.dev/suspend-until", "porchflow.dev/suspended-by"
NOON = datetime(2030, 1, 31, 12, tzinfo=UTC)


def test_the_message_says_who_why_and_until_when() -> None:
    suspension = suspension_of({WHY: "the audit", UNTIL: "2030-01-31T12:00:00Z", BY: "ada@example.com"})
    assert suspension is not None
    assert suspension.message.startswith(
        "suspended by ada@example.com until 2030-01-31T12:00:00+00:00: the audit; nothing is reconciled"
    )
    assert f"remove the annotations {WHY} and {UNTIL}" in suspension.message
    assert (suspension.is_active(NOON - timedelta(seconds=1)), suspension.is_active(NOON)) == (True, False)


@pytest.mark.parametrize(
    "annotations", [{}, {BY: "ada"}, {WHY: "false"}, {WHY: " False ", UNTIL: "2030-01-31T12:00:00Z"}]
)
def test_not_suspended(annotations: dict[str, str]) -> None:
    assert suspension_of(annotations) is None


@pytest.mark.parametrize(("why", "told"), [("", ""), ("true", ""), (" True", ""), ("no", ": no")])
def test_suspended_without_an_end(why: str, told: str) -> None:
    suspension = suspension_of({WHY: why})
    assert suspension is not None
    assert suspension.is_active(datetime.max.replace(tzinfo=UTC))
    assert suspension.message.startswith(f"suspended{told}; nothing")


@pytest.mark.parametrize("until", ["2030-01-31T13:00:00+01:00", "2030-01-31T12:00:00.000Z", " 2030-01-31T12:00:00Z "])
def test_the_ways_to_write_a_time(until: str) -> None:
    suspension = suspension_of({UNTIL: until})
    assert suspension is not None
    assert (suspension.until, suspension.problem, suspension.reason) == (NOON, "", "Suspended")


@pytest.mark.parametrize(
    "until", ["", "tomorrow", "2030-01-31", "2030-01-31T12:00:00", "2030-02-31T12:00:00Z", "x" * 9999]
)
def test_a_time_that_cannot_be_read_is_told_and_the_object_stays_suspended(until: str) -> None:
    suspension = suspension_of({WHY: "the audit", UNTIL: until})
    assert suspension is not None
    assert suspension.is_active(datetime.max.replace(tzinfo=UTC))
    assert suspension.reason == "InvalidSuspension"
    assert f"{UNTIL} must be a time such as 2030-01-31T18:00:00Z, not {until[:100]!r}" in suspension.message


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ({}, ""),
        ({"conditions": [{"type": "Suspended", "status": "True", "message": "why"}]}, "why"),
        ({"conditions": [{"type": "Suspended", "status": "False", "message": "why"}]}, ""),
        ({"conditions": [{"type": "Ready", "status": "True", "message": "why"}]}, ""),
    ],
)
def test_what_a_status_says(status: dict[str, object], told: str) -> None:
    assert told_suspended(status) == told
