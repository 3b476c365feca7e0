import pytest

from porchflow.kube.backoff import Backoff


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
