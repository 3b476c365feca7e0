import logging

import pytest

from porchflow.kube.backoff import Backoff, persist


def test_delays_double_up_to_the_longest_with_jitter() -> None:
    backoff = Backoff(first=1.0, longest=4.0)
    for middle in (1.0, 2.0, 4.0, 4.0):
        assert 0.5 * middle <= backoff.next() <= 1.5 * middle
    assert len({Backoff(first=1.0, longest=4.0).next() for _ in range(20)}) > 1


def test_only_a_quiet_time_starts_over(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("porchflow.kube.backoff.time.monotonic", lambda: now)
    backoff = Backoff(first=1.0, longest=4.0)
    for now, low in ((0.0, 0.5), (1.0, 1.0), (8.9, 2.0), (17.0, 0.5)):  # noqa: B007 - the clock reads it
        assert low <= backoff.next() <= 3 * low


async def test_what_is_waited_for_is_told_once_for_each_reason(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("porchflow.kube.backoff._FIRST_DELAY", 0.0)
    monkeypatch.setattr("porchflow.kube.backoff._LONGEST_DELAY", 0.0)
    caplog.set_level(logging.INFO)
    failures, waited = ["away", "away", "busy"], list[str]()

    async def attempt() -> str:
        if failures:
            raise ConnectionError(failures.pop(0))
        return "there"

    assert await persist("the server", attempt, (ConnectionError,), waited.append) == "there"
    assert waited == ["the server: away", "the server: away", "the server: busy", ""]
    assert [record.message for record in caplog.records] == [
        "waiting for the server: away",
        "waiting for the server: busy",
        "connected to the server",
    ]


async def test_an_error_that_is_not_expected_ends_the_waiting() -> None:
    async def attempt() -> None:
        raise ValueError("another")

    with pytest.raises(ValueError, match="another"):
        await persist("the server", attempt, (ConnectionError,), lambda _: None)
