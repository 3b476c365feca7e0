"""A one-time sync is due from its time on, in every time zone that it may be written in."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from porchflow.api.work.run_once import run_once_at, run_once_due

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def repository(once: str) -> dict[str, Any]:
    return {"spec": {"sync": {"runOnceAt": once}}}


@pytest.mark.parametrize("spec", [None, {}, {"sync": None}, {"sync": {}}, {"sync": {"runOnceAt": None}}])
def test_a_repository_that_asks_for_none(spec: Any) -> None:
    assert run_once_at({"spec": spec}) is None
    assert run_once_due({"spec": spec}, NOW) == ""
    assert run_once_due({}, NOW) == ""


@pytest.mark.parametrize("once", ["2026-01-31T12:00:00Z", "2026-01-31T11:59:59Z", "2026-01-31T13:30:00+02:00"])
def test_one_whose_time_has_come(once: str) -> None:
    assert run_once_due(repository(once), NOW) == once


@pytest.mark.parametrize("once", ["2026-01-31T12:00:01Z", "2026-01-31T12:30:00-01:00"])
def test_one_that_is_to_come(once: str) -> None:
    assert run_once_due(repository(once), NOW) == ""
    moment = run_once_at(repository(once))
    assert moment is not None
    assert NOW < moment <= NOW + timedelta(hours=2)
