import time

import pytest

from porchflow.gitrepo.errors import GitAuthError, GitRefusedBefore
from porchflow.gitrepo.remote.credential_backoff import Refusals

MINE, OTHER = ("https://h/x", "digest"), ("https://h/x", "another")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr("porchflow.gitrepo.remote.credential_backoff.time.monotonic", lambda: now[0])
    return now


def may_ask(refusals: Refusals) -> bool:
    try:
        refusals.check(MINE)
    except GitAuthError:
        return False
    return True


def test_from_the_second_refusal_on_there_is_a_wait(clock: list[float]) -> None:
    refusals = Refusals()
    waits = []
    for _ in range(9):
        assert may_ask(refusals)
        refusals.note(MINE, GitAuthError("h refused the credentials"))
        before = clock[0]
        while not may_ask(refusals):
            clock[0] += 1
        waits.append(clock[0] - before)
    assert waits == [0, 1, 2, 4, 8, 16, 30, 30, 30]


def test_what_is_said_meanwhile(clock: list[float]) -> None:
    refusals = Refusals()
    for _ in range(4):
        refusals.note(MINE, GitAuthError("h refused the credentials"))
    clock[0] += 0.1
    words = r"^h refused the credentials \(refused 4 times; not asked again for 4 s\)$"
    with pytest.raises(GitRefusedBefore, match=words) as raised:
        refusals.check(MINE)
    assert 0 <= time.time() - raised.value.refused_at < 60


@pytest.mark.usefixtures("clock")
def test_other_credentials_and_a_success_end_it() -> None:
    refusals = Refusals()
    for _ in range(4):
        refusals.note(MINE, GitAuthError("refused"))
    refusals.check(OTHER)
    refusals.forget(MINE)
    assert may_ask(refusals)
